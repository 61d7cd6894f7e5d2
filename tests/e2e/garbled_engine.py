#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An engine whose first lists are garbled, then empty. It refuses every change and records all requests.

usage: garbled_engine.py SOCKET RECORD GARBLED
"""

import sys

from fake_engine import FakeEngine, serve

LISTS = {"/containers/json": [], "/networks": [], "/volumes": {"Volumes": []}}
FACTS = {"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12", "Os": "linux", "Arch": "amd64",
         "ID": "garbled", "Architecture": "x86_64", "OSType": "linux", "SystemTime": "2026-01-01T00:00:00Z",
         "SecurityOptions": ["name=seccomp,profile=default"], "MemoryLimit": True, "PidsLimit": True, "BridgeNfIptables": True}
left = [int(sys.argv[3])]


class GarbledEngine(FakeEngine):
    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.split("?")[0].removeprefix("/v1.41")
        with open(sys.argv[2], "a", encoding="utf-8") as record:
            record.write(f"{self.command} {path}{'?all' if 'all=1' in self.path else ''}\n")
        if path == "/_ping":
            self.reply(200, b"OK")
        elif path in ("/version", "/info"):
            self.reply(200, FACTS)
        elif "/containers/json?all=1" in self.path and left[0] > 0:
            left[0] -= 1
            self.reply(200, b"[5]")
        elif path in LISTS:
            self.reply(200, LISTS[path])
        elif path == "/events":
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.flush()
            self.rfile.read(1)  # until the other side goes
        elif path.startswith("/images/"):
            self.reply(404, {"message": "No such image"})
        else:
            self.reply(500, {"message": "garbled engine"})


if __name__ == "__main__":
    serve(sys.argv[1], GarbledEngine)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An engine that can't seal: as the recorded one of tests/golden/doctor, but without seccomp.

usage: unfit_engine.py SOCKET LOG

LOG gets a line for each request, "METHOD PATH". It has no containers, networks and images, and refuses every change.
"""

import json
import pathlib
import sys
import threading

from fake_engine import FakeEngine, serve

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden" / "doctor"


def answers():
    version = json.loads((GOLDEN / "version-20.10.json").read_text(encoding="utf-8"))
    info = json.loads((GOLDEN / "info-20.10.json").read_text(encoding="utf-8"))
    info["SecurityOptions"] = []
    return {"version": version, "info": info, "networks": [], "containers/json": [], "volumes": {"Volumes": []}}


class UnfitEngine(FakeEngine):
    known = answers()
    lock = threading.Lock()

    def answer(self):
        with self.lock, open(sys.argv[2], "a", encoding="utf-8") as log:
            log.write(f"{self.command} {self.path}\n")
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        path = self.path.split("?")[0].removeprefix("/v1.41").lstrip("/")
        if path == "_ping":
            self.reply(200, b"OK", "text/plain")
        elif self.command == "GET" and path in self.known:
            self.reply(200, self.known[path])
        else:
            self.reply(404, {"message": "there is no such thing here"})


if __name__ == "__main__":
    serve(sys.argv[1], UnfitEngine)

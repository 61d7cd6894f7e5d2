#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An engine whose first lists are garbled, then empty. It refuses every change and records all requests.

usage: garbled_engine.py SOCKET RECORD GARBLED
"""

import http.server
import json
import socketserver
import sys

LISTS = {"/containers/json": [], "/networks": [], "/volumes": {"Volumes": []}}
FACTS = {"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12", "Os": "linux", "Arch": "amd64",
         "ID": "garbled", "Architecture": "x86_64", "OSType": "linux", "SystemTime": "2026-01-01T00:00:00Z",
         "SecurityOptions": ["name=seccomp,profile=default"], "MemoryLimit": True, "PidsLimit": True, "BridgeNfIptables": True}
left = [int(sys.argv[3])]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "unix"

    def log_message(self, format, *args):  # noqa: A002 (the base class names it so)
        pass

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.split("?")[0].removeprefix("/v1.41")
        with open(sys.argv[2], "a", encoding="utf-8") as record:
            record.write(f"{self.command} {path}{'?all' if 'all=1' in self.path else ''}\n")
        if path == "/_ping":
            self.reply(200, b"OK")
        elif path in ("/version", "/info"):
            self.reply(200, json.dumps(FACTS).encode())
        elif "/containers/json?all=1" in self.path and left[0] > 0:
            left[0] -= 1
            self.reply(200, b"[5]")
        elif path in LISTS:
            self.reply(200, json.dumps(LISTS[path]).encode())
        elif path == "/events":
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.flush()
            self.rfile.read(1)  # until the other side goes
        elif path.startswith("/images/"):
            self.reply(404, b'{"message": "No such image"}')
        else:
            self.reply(500, b'{"message": "garbled engine"}')

    def reply(self, status, body):
        self.send_response(status)
        self.send_header("Api-Version", "1.41")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


Server(sys.argv[1], Handler).serve_forever()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An engine that can't seal: as the recorded one of tests/golden/doctor, but without seccomp.

usage: unfit_engine.py SOCKET LOG

LOG gets a line for each request, "METHOD PATH". It has no containers, networks and images, and refuses every change.
"""

import http.server
import json
import os
import pathlib
import socketserver
import sys
import threading

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden" / "doctor"


def answers():
    version = json.loads((GOLDEN / "version-20.10.json").read_text(encoding="utf-8"))
    info = json.loads((GOLDEN / "info-20.10.json").read_text(encoding="utf-8"))
    info["SecurityOptions"] = []
    return {"version": version, "info": info, "networks": [], "containers/json": [], "volumes": {"Volumes": []}}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    known = answers()
    lock = threading.Lock()

    def address_string(self):
        return "unix"

    def log_message(self, format, *args):  # noqa: A002 (the base class names it so)
        pass

    def answer(self):
        with self.lock, open(sys.argv[2], "a", encoding="utf-8") as log:
            log.write(f"{self.command} {self.path}\n")
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        path = self.path.split("?")[0].removeprefix("/v1.41").lstrip("/")
        if path == "_ping":
            self.reply(200, b"OK", "text/plain")
        elif self.command == "GET" and path in self.known:
            self.reply(200, json.dumps(self.known[path]).encode(), "application/json")
        else:
            message = {"message": "there is no such thing here"}
            self.reply(404, json.dumps(message).encode(), "application/json")

    def reply(self, status, body, kind):
        self.send_response(status)
        self.send_header("Api-Version", "1.41")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


if __name__ == "__main__":
    if os.path.exists(sys.argv[1]):
        os.unlink(sys.argv[1])
    Server(sys.argv[1], Handler).serve_forever()

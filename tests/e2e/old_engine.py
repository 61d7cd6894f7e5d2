#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An engine that is too old: says so on a Unix socket, and refuses all else.

usage: old_engine.py SOCKET
"""

import http.server
import json
import os
import socketserver
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "unix"

    def log_message(self, format, *args):  # noqa: A002 (the base class names it so)
        pass

    def answer(self):
        path = self.path.split("?")[0]
        if path.endswith("/_ping"):
            self.reply(200, b"OK", "text/plain")
        elif path.endswith("/version"):
            facts = {"Version": "1.12.6", "ApiVersion": "1.24", "MinAPIVersion": "1.12", "Os": "linux"}
            self.reply(200, json.dumps(facts).encode(), "application/json")
        else:
            message = {"message": "client is newer than server (server API version: 1.24)"}
            self.reply(400, json.dumps(message).encode(), "application/json")

    def reply(self, status, body, kind):
        self.send_response(status)
        self.send_header("Api-Version", "1.24")
        self.send_header("Server", "Docker/1.12.6 (linux)")
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

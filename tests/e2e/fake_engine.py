# SPDX-License-Identifier: Apache-2.0
"""What the engines that are none share: HTTP on a Unix socket. Each one's own file says what it answers."""

import http.server
import json
import os
import socketserver


class FakeEngine(http.server.BaseHTTPRequestHandler):
    """A request comes to answer(), with the path as the client wrote it; reply() ends it."""

    protocol_version = "HTTP/1.1"
    api = "1.41"
    software = None  # what it says that it is; None: what Python says

    def address_string(self):
        return "unix"

    def log_message(self, format, *args):  # noqa: A002 (the base class names it so)
        pass

    def version_string(self):
        return self.software or super().version_string()

    def answer(self):
        raise NotImplementedError

    def reply(self, status, body, kind="application/json"):
        """`body`: bytes, or a value that is sent as JSON."""
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Api-Version", self.api)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):  # noqa: N802 (the base class names it so)
        self.answer()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


def serve(path, engine):
    """Whoever sees the socket finds somebody listening: it gets its name after that."""
    if os.path.exists(path):
        os.unlink(path)
    with Server(path + ".new", engine) as server:
        os.rename(path + ".new", path)
        server.serve_forever()

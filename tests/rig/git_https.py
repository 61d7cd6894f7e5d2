#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Repositories over https on loopback: git's own http-backend behind basic authentication.

    git_https.py ROOT CERT KEY USERS PORT

USERS is a file with lines "user:password", read anew for each request. Each request is a line on standard output:
its path, who asked ("-" for nobody), and the status.
"""
import base64
import http.server
import os
import pathlib
import ssl
import subprocess
import sys

BACKEND = ["git", "http-backend"]


class Handler(http.server.BaseHTTPRequestHandler):
    """One request, as CGI has it."""

    protocol_version = "HTTP/1.1"

    def _user(self):
        """Who asks, where the password is right."""
        kind, _, word = self.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "basic":
            return None
        pair = base64.b64decode(word).decode()
        return pair.partition(":")[0] if pair in self.server.users.read_text().splitlines() else None

    def _tell(self, user, status):
        print(self.path, user or "-", status, flush=True)

    def _answer(self, status, headers, body):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self):
        """What comes with it; git sends a long one in chunks."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _serve(self):
        body, user = self._body(), self._user()
        if user is None:
            self._tell(user, 401)
            self._answer(401, [("WWW-Authenticate", 'Basic realm="site"')], b"")
            return
        path, _, query = self.path.partition("?")
        names = {"Content-Type": "CONTENT_TYPE", "Git-Protocol": "HTTP_GIT_PROTOCOL", "Content-Encoding": "HTTP_CONTENT_ENCODING"}
        env = {variable: self.headers[name] for name, variable in names.items() if name in self.headers}
        env |= {"PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": self.server.root, "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
                "QUERY_STRING": query, "REQUEST_METHOD": self.command, "CONTENT_LENGTH": str(len(body)), "REMOTE_USER": user,
                "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
        done = subprocess.run(BACKEND, input=body, env=env, stdout=subprocess.PIPE, check=True)
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        headers = [line.split(": ", 1) for line in head.decode().split("\r\n")]
        status = next((int(value[:3]) for name, value in headers if name == "Status"), 200)
        self._tell(user, status)
        self._answer(status, [pair for pair in headers if pair[0] != "Status"], body)

    do_GET = do_POST = _serve

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        """Said by _tell."""


def main(root, cert, key, users, port):
    """Serves until it is killed."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
    server.root, server.users = root, pathlib.Path(users)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])

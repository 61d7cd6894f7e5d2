#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The HTTPS server behind the proxies in tests and in the demo.

usage: server.py [--listen ADDRESS:PORT]... --cert FILE --key FILE [--log FILE]

Answers:
  any method, any path    200, JSON: method, path, host, sni, headers (pairs), body (size, sha256)
  /events?count=N&gap=S   server-sent events, one each S seconds
  /big?bytes=N&fill=F     N bytes of words, or F: hex, random
  /status/CODE            that status with the same JSON
  …/redirect?to=URL       CODE (?code=, 302 unless given) with that Location
  …/reflect?as=FORM       the credential that came in Authorization: plain, url, hex, base64 (after ?shift=N other bytes),
                          in the body, or with ?where=header in a header; ?split=N sends N bytes at a time, chunked
Records one JSON object a line for each request and for each TLS handshake that failed, on stdout
or in FILE.
"""

import argparse
import base64
import hashlib
import http.server
import json
import os
import socket
import socketserver
import ssl
import sys
import threading
import time
import urllib.parse

BLOCK = 1 << 16
BLOCKS = {
    "words": (b"the quick brown fox jumps over the lazy dog\n" * 1490)[:BLOCK],
    "hex": (b"0123456789abcdef" * 4096)[:BLOCK],
}
BODY_KEPT = 2048
BODY_LIMIT = 64 << 20


class Recorder:
    """Writes whole JSON lines from many threads."""

    def __init__(self, path):
        self.out = open(path, "a", encoding="ascii") if path else sys.stdout
        self.lock = threading.Lock()

    def write(self, **entry):
        with self.lock:
            self.out.write(json.dumps({"time": time.time(), **entry}) + "\n")
            self.out.flush()


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """One listening socket; handshakes are done in the connection's own thread."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address, context, recorder):
        super().__init__(address, Handler)
        self.context, self.recorder = context, recorder

    def get_request(self):
        connection, peer = super().get_request()
        connection.settimeout(60)
        # A head and its body go out as two writes: without this the second waits for the peer's delayed acknowledgement.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wrapped = self.context.wrap_socket(
            connection, server_side=True, do_handshake_on_connect=False
        )
        return wrapped, peer

    def finish_request(self, request, client_address):
        try:
            request.do_handshake()
        except (OSError, ssl.SSLError) as error:
            self.recorder.write(event="handshake_failed", peer=client_address[0], error=str(error))
            return
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        """A peer that goes away is nothing to print a traceback for."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "upstream"

    def log_message(self, format, *args):  # noqa: A002 (the base class names it so)
        pass

    def body(self):
        """The request's body, by length or in chunks."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while sum(map(len, parts)) < BODY_LIMIT:
                size = int(self.rfile.readline(64).split(b";")[0], 16)
                parts.append(self.rfile.read(size))
                self.rfile.readline(8)
                if size == 0:
                    break
            return b"".join(parts)
        return self.rfile.read(min(int(self.headers.get("Content-Length") or 0), BODY_LIMIT))

    def facts(self, body):
        return {
            "method": self.command,
            "path": self.path,
            "host": self.headers.get("Host"),
            "sni": getattr(self.connection, "rig_sni", None),
            "headers": [[name, value] for name, value in self.headers.items()],
            "body": {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()},
        }

    def start(self, status, kind, length=None):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if length is None:
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def answer(self):
        body = self.body()
        facts = self.facts(body)
        kept = body[:BODY_KEPT].decode("utf-8", "backslashreplace")
        self.server.recorder.write(
            event="request", peer=self.client_address[0], text=kept, **facts
        )
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if url.path == "/events":
            self.events(int(query.get("count", 5)), float(query.get("gap", 0.2)))
        elif url.path == "/big":
            self.big(int(query.get("bytes", 1 << 20)), query.get("fill", "words"))
        elif url.path.endswith("/redirect"):
            self.send_response(int(query.get("code", 302)))
            self.send_header("Location", query["to"])
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif url.path.endswith("/reflect"):
            self.reflect(query)
        else:
            status = int(url.path[8:]) if url.path.startswith("/status/") else 200
            out = json.dumps(facts, indent=1).encode() + b"\n"
            self.start(status, "application/json", len(out))
            if self.command != "HEAD":
                self.wfile.write(out)

    def events(self, count, gap):
        self.start(200, "text/event-stream")
        for number in range(count):
            self.wfile.write(b"id: %d\ndata: event %d of %d\n\n" % (number, number + 1, count))
            self.wfile.flush()
            time.sleep(gap)

    def big(self, size, fill):
        self.start(200, "application/octet-stream", size)
        while size > 0 and self.command != "HEAD":
            block = os.urandom(BLOCK) if fill == "random" else BLOCKS.get(fill, BLOCKS["words"])
            self.wfile.write(block[:size])
            size -= min(size, len(block))

    def reflect(self, query):
        credential = (self.headers.get("Authorization") or "").rpartition(" ")[2].encode()
        out = b"<" + spelled(credential, query.get("as", "plain"), int(query.get("shift", 0))) + b">"
        if query.get("where") == "header":
            self.send_response(200)
            self.send_header("X-Reflected", out.decode())
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        split = int(query.get("split", 0)) or len(out)
        kind = query.get("type", "text/plain")
        if kind == "text/event-stream":
            out = b"data: " + out + b"\n\n"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for at in range(0, len(out), split):
            piece = out[at : at + split]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.flush()
            time.sleep(0.005)
        self.wfile.write(b"0\r\n\r\n")

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer


def spelled(text, form, shift):
    """A credential as some upstream might hand it back."""
    if form == "base64":
        return base64.b64encode(b"u" * shift + text)
    if form == "hex":
        return text.hex().encode()
    if form == "url":
        return urllib.parse.quote_from_bytes(text, safe="").encode()
    return text


def remember_sni(connection, name, _context):
    connection.rig_sni = name


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", action="append", metavar="ADDRESS:PORT")
    parser.add_argument("--cert", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--log")
    options = parser.parse_args()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.cert, options.key)
    context.sni_callback = remember_sni
    recorder = Recorder(options.log)
    threads = []
    for listen in options.listen or ["0.0.0.0:443"]:
        address, _, port = listen.rpartition(":")
        server = Server((address, int(port)), context, recorder)
        threads.append(threading.Thread(target=server.serve_forever))
    for thread in threads:
        thread.start()
    recorder.write(event="listening", on=options.listen or ["0.0.0.0:443"])


if __name__ == "__main__":
    main()

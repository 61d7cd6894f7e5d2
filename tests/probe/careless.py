# SPDX-License-Identifier: Apache-2.0
"""A proxy without any rule: whatever comes is answered, in TLS or not, by anybody's name. No attempt may call that a refusal."""
import contextlib
import json
import re
import socket
import ssl
import threading

import support

ROUTES = {"routes": [
    {"host": "open.example.com", "credential": "none"},
    {"host": "api.example.com", "credential": "added by the proxy",
     "matches": [{"paths": [{"type": "prefix", "value": "/repos/acme/"}], "methods": ["GET", "POST"]}]},
]}
IDLE = 0.15


class Careless:
    """The proxy; `mute`: it takes connections and never says a word; `deaf`: it closes each at once."""

    def __init__(self, directory, mute=False, deaf=False):
        self.mute, self.deaf = mute, deaf
        pem = directory / "careless.pem"
        pem.write_bytes(support.make_leaf(support.make_ca("careless"), ["open.example.com"]))
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(pem)
        self._tls.set_alpn_protocols(["h2", "http/1.1"])
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self._kept = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        """Ends the listener."""
        self._listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.mute:
                self._kept.append(client)
            elif self.deaf:
                client.close()
            else:
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client:
            try:
                head, rest = self._head(client, b"")
                if head.split(None, 1)[:1] in ([b"CONNECT"], [b"connect"]):
                    client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                    self._inside(client, rest)
                    return
                while head:
                    self._answer(client, head)
                    head, rest = self._head(client, rest)
            except (OSError, ValueError):
                pass

    def _inside(self, client, rest):
        """After a CONNECT: TLS of whatever kind, or a greeting to what is not."""
        client.settimeout(support.DEADLINE)
        if not rest:
            rest = client.recv(5, socket.MSG_PEEK)
            if rest[:2] != b"\x16\x03":
                client.recv(65536)
                client.sendall(b"welcome\r\n")
                return
            tunnel = self._tls.wrap_socket(client, server_side=True)
        elif rest[:2] == b"\x16\x03":
            tunnel = _Wrapped(self._tls, client, rest)
        else:
            client.sendall(b"welcome\r\n")
            return
        with contextlib.closing(tunnel):
            head, rest = self._head(tunnel, b"")
            while head:
                self._answer(tunnel, head)
                head, rest = self._head(tunnel, rest)

    @staticmethod
    def _head(sock, data):
        """(head, rest): up to an empty line, or what there is when nothing more comes."""
        sock.settimeout(support.DEADLINE if not data else IDLE)  # who is slow to begin is not refused
        while not re.search(rb"\r?\n\r?\n", data):
            try:
                piece = sock.recv(65536)
            except (socket.timeout, ssl.SSLError):
                break
            if not piece:
                break
            data += piece
            sock.settimeout(IDLE)
        head, _, rest = data.partition(b"\r\n\r\n")
        return head, rest

    @staticmethod
    def _answer(sock, head):
        body = b"come in\n"
        if b"_egress.local/allowlist HTTP/1." in head and head.startswith(b"GET http://_egress.local/"):
            body = json.dumps(ROUTES).encode()
        elif head.startswith(b"TRACE /bottler-probe-") and b"X-Probe" not in head:
            # The one refusal by which the probe knows that its own TLS client works.
            body = b'{"error": "blocked by bottler egress", "rule": "method"}'
            sock.sendall(b"HTTP/1.1 403 Forbidden\r\nX-Bottler-Denied: method\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            return
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + (b"" if head.startswith(b"HEAD ") else body))


class _Wrapped:
    """TLS on a connection of which the first bytes have been read already."""

    def __init__(self, context, sock, data):
        self._sock, self._in, self._out = sock, ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._in.write(data)
        self._do(self._tls.do_handshake)

    def _do(self, step, *arguments):
        while True:
            try:
                return step(*arguments)
            except ssl.SSLWantReadError:
                self._sock.sendall(self._out.read())
                data = self._sock.recv(65536)
                if not data:
                    raise ConnectionError("closed") from None
                self._in.write(data)
            finally:
                if self._out.pending:
                    self._sock.sendall(self._out.read())

    def recv(self, size):
        """Decrypted bytes."""
        return self._do(self._tls.read, size)

    def sendall(self, data):
        """Bytes to encrypt."""
        self._do(self._tls.write, data)

    def settimeout(self, wait):
        """That of the socket."""
        self._sock.settimeout(wait)

    def close(self):
        """Ends the connection."""
        self._sock.close()

# SPDX-License-Identifier: Apache-2.0
"""The real proxy through reloads, bad files, faults and its end."""
import hashlib
import json
import socket
import ssl
import tempfile
import time
import unittest
from pathlib import Path

import support
from bench import Bench
from support import SIDECAR, TOKEN, Proxy, make_ca, respond, wait_until

TESTS = Path(__file__).resolve().parent


class Reload(Bench):
    """SIGHUP, and what is kept."""

    EXTRA = support.ROUTES + "  - host: new.example.com\n"

    def setUp(self):
        """The table of before."""
        self.proxy.put(generation="b" * 64)
        self.assertEqual("denied", self.proxy.hangup()["verdict"])
        super().setUp()

    def test_good(self):
        """A new table is in force, confirmed with hash and generation, and the canary is asked."""
        sock, response = self.proxy.connect("new.example.com:443")
        sock.close()
        self.assertEqual(403, response.status)
        self.proxy.put(self.EXTRA, "c" * 64)
        self.assertEqual({"event": "canary", "verdict": "denied", "generation": "c" * 64}, self.proxy.hangup())
        loaded = self.proxy.wait_for("routes_loaded", self.line)
        self.assertEqual({"event": "routes_loaded", "routes_sha256": hashlib.sha256(self.EXTRA.encode()).hexdigest(), "generation": "c" * 64, "routes": 6}, loaded)
        sock, response = self.proxy.connect("new.example.com:443")
        sock.close()
        self.assertEqual(200, response.status)

    def test_new_token(self):
        """A rotated credential is used from the next request on, on an open connection too."""
        with self.proxy.tunnel("cred.example.com") as sock:
            for token in (TOKEN, b"rotated-token"):
                self.proxy.put(tokens={"EGRESS_TOKEN_0": token})
                self.proxy.hangup()
                sock.sendall(b"GET /v1/x HTTP/1.1\r\nHost: cred.example.com\r\n\r\n")
                respond(sock).read()
                self.assertEqual(b"Bearer " + token, self.last_request()[1][b"authorization"])

    def test_revoked(self):
        """A host that leaves the table is cut off, a stream that is under way included."""
        self.upstream.gate.clear()
        with self.proxy.tunnel("open.example.com") as sock:
            sock.sendall(b"GET /sse HTTP/1.1\r\nHost: open.example.com\r\n\r\n")
            response = respond(sock)
            self.assertEqual(b"data: one\n\n", response.read(11))
            self.proxy.put("routes:\n  - host: api.example.com\n")
            self.proxy.hangup()
            with self.assertRaises((support.http.client.IncompleteRead, ConnectionError, ssl.SSLError)):
                response.read()
        self.upstream.gate.set()

    def test_narrowed(self):
        """A narrower rule holds for the next request on an open connection."""
        with self.proxy.tunnel("open.example.com") as sock:
            for routes, status in ((support.ROUTES, 200), ("routes:\n  - host: open.example.com\n    path_allowlist: [/y]\n", 403)):
                self.proxy.put(routes)
                self.proxy.hangup()
                sock.sendall(b"GET /x HTTP/1.1\r\nHost: open.example.com\r\n\r\n")
                response = respond(sock)
                response.read()
                self.assertEqual(status, response.status)

    def test_bad(self):
        """Whatever is wrong, the last good table stays, and the log says why."""
        bad = [
            (lambda: self.proxy.put("routes: [\n"), "YAML"), (lambda: self.proxy.put("routes:\n  - host: a.b\n    x: 1\n"), "unknown key"),
            (lambda: self.proxy.put(""), "exactly one"), (lambda: (self.proxy.etc / "routes.yaml").unlink(), "routes.yaml: No such file"),
            (lambda: self.proxy.put(tokens={"EGRESS_TOKEN_0": b""}), "EGRESS_TOKEN_0: the token is empty"), (lambda: (self.proxy.etc / "tokens/EGRESS_TOKEN_0").unlink(), "EGRESS_TOKEN_0: No such file"),
            (lambda: self.proxy.put(tokens={"EGRESS_TOKEN_0": b"a\nb"}), "EGRESS_TOKEN_0"), (lambda: self.proxy.put(generation="x"), "generation"),
        ]
        for spoil, word in bad:
            with self.subTest(word=word):
                spoil()
                event = self.proxy.hangup("routes_rejected")
                self.assertIn(word, event["error"])
                self.assertEqual({"event", "routes_sha256", "error"}, set(event))
                response, _ = self.proxy.ask("cred.example.com", path="/v1/x")
                self.assertEqual((200, b"Bearer " + TOKEN), (response.status, self.last_request()[1][b"authorization"]))
                self.proxy.put()
        self.assertEqual("b" * 64, json.loads(self.proxy.plain(b"GET http://_egress.local/allowlist HTTP/1.1\r\nHost: _egress.local\r\n\r\n")[1])["generation"])


class DenyAll(Bench):
    """No usable table at the start."""

    routes = None

    def test_denied(self):
        """Everything is denied until a good table comes; then it works."""
        self.assertEqual("routes.yaml: No such file or directory", self.proxy.events("routes_rejected")[0]["error"])
        self.assertEqual([], self.proxy.events("routes_loaded"))
        for host in support.HOSTS:
            sock, response = self.proxy.connect(f"{host}:443")
            with sock:
                self.denied("host", response, response.read())
        self.assertEqual((0, 0), self.upstream.mark())
        self.proxy.put()
        self.assertEqual("a" * 64, self.proxy.hangup()["generation"])
        self.assertEqual(200, self.proxy.ask("open.example.com")[0].status)


class MissingToken(Bench):
    """A route without its token at the start."""

    tokens = {}

    def test_denied(self):
        """Deny all."""
        self.assertIn("EGRESS_TOKEN_0", self.proxy.events("routes_rejected")[0]["error"])
        sock, response = self.proxy.connect("open.example.com:443")
        with sock:
            self.denied("host", response, response.read())


class Ending(Bench):
    """Starting and stopping."""

    def test_ends(self):
        """SIGTERM during a stream: at once, with 0, nothing on standard error, nothing left in the temporary directory."""
        self.upstream.gate.clear()
        with self.proxy.tunnel("open.example.com") as sock:
            sock.sendall(b"GET /sse HTTP/1.1\r\nHost: open.example.com\r\n\r\n")
            respond(sock).read(11)
            before = time.monotonic()
            self.assertEqual(0, self.proxy.stop())
            self.assertLess(time.monotonic() - before, 2)
        self.assertEqual(b"", self.proxy.stderr)
        self.assertEqual([], list(self.proxy.etc.glob("egress-*")))
        self.assertEqual(["routes_loaded", "canary", "decision"], [event["event"] for event in self.proxy.events()])
        self.upstream.gate.set()


class Crash(Bench):
    """Faults: nothing goes upstream, no agent data is printed."""

    fault = "decide"

    @classmethod
    def setUpClass(cls):
        """Starts the proxy with the fault."""
        cls.command = ["/usr/bin/python3", "-I", "-B", str(TESTS / "crash.py"), str(SIDECAR), cls.fault]
        super().setUpClass()

    def ended(self, code):
        """The process has ended with this code, and has printed nothing of the exception."""
        wait_until(lambda: self.proxy.process.poll() is not None, "the end of the proxy")
        self.assertEqual(code, self.proxy.stop())
        self.quiet()

    def quiet(self):
        """No agent data, no traceback."""
        for text in (b"".join(self.proxy.lines), self.proxy.stderr):
            self.assertNotIn(b"agent-data-in-an-exception", text)
            self.assertNotIn(b"Traceback", text)


class CrashDecide(Crash):
    """An exception in our own hook."""

    def test_denied(self):
        """403, and the next request is judged."""
        self.denied("internal", *self.proxy.ask("open.example.com", "POST", "/x", "Content-Length: 3\r\n", b"abc"))
        self.denied("internal", *self.proxy.ask("open.example.com", "POST", "/x", f"Content-Length: {2 << 20}\r\n", b"a" * (2 << 20)))
        self.assertEqual((0, 0), self.upstream.mark())
        self.proxy.wait_for("error", self.line, where="requestheaders", error="ValueError")
        self.quiet()


class CrashConnect(Crash):
    """An exception in the CONNECT hook."""

    fault = "connect"

    def test_denied(self):
        """403."""
        sock, response = self.proxy.connect("open.example.com:443")
        with sock:
            self.denied("internal", response, response.read())
        self.assertEqual((0, 0), self.upstream.mark())
        self.quiet()


class CrashResponse(Crash):
    """An exception on the way back."""

    fault = "response"

    def test_cut(self):
        """The connection ends without a byte of the answer."""
        with self.proxy.tunnel("cred.example.com") as sock:
            sock.sendall(b"GET /v1/reflect HTTP/1.1\r\nHost: cred.example.com\r\n\r\n")
            self.assertEqual(b"", sock.recv(100))
        self.quiet()


class CrashForeign(Crash):
    """An exception in mitmproxy's own hook, which mitmproxy would log and pass over."""

    fault = "foreign"

    def test_exit(self):
        """The process ends with 70 and nothing goes upstream."""
        with self.proxy.tunnel("open.example.com") as sock:
            sock.sendall(b"GET /x HTTP/1.1\r\nHost: open.example.com\r\n\r\n")
            try:
                self.assertEqual(b"", sock.recv(100))
            except (ConnectionError, ssl.SSLError):
                pass
        self.ended(70)
        self.assertEqual((0, 0), self.upstream.mark())


class CrashOpen(Crash):
    """A proxy that does not deny."""

    fault = "open"

    def test_canary(self):
        """The canary finds it and ends it."""
        self.assertEqual("open", self.proxy.wait_for("canary")["verdict"])
        self.ended(70)
        self.assertEqual((0, 0), self.upstream.mark())


class CrashSkip(Crash):
    """The decision is not called at all."""

    fault = "skip"

    def test_denied(self):
        """A request that nobody judged does not leave."""
        self.denied("internal", *self.proxy.ask("open.example.com", path="/x"))
        self.assertEqual((0, 0), self.upstream.mark())


class Broken(unittest.TestCase):
    """A proxy that cannot start."""

    def test_exit(self):
        """Without its CA, or with a port that is taken, it ends with 70 and says why."""
        with tempfile.TemporaryDirectory(prefix="egress-test-") as name, socket.create_server(("127.0.0.1", 0)) as taken:
            root, ca = Path(name), make_ca("bottle")
            proxy = Proxy(root, taken.getsockname()[1], ca, ca)
            proxy.put()
            (root / "ca/egress-ca.pem").unlink()
            with self.assertRaises(AssertionError):
                proxy.start()
            self.assertEqual(70, proxy.stop())
            self.assertEqual("ca/egress-ca.pem: No such file or directory", proxy.events("error")[0]["error"])
            (root / "ca/egress-ca.pem").write_bytes(support.pem_cert(ca[1]))
            with self.assertRaises(AssertionError):
                proxy.start()
            self.assertEqual(70, proxy.stop())


if __name__ == "__main__":
    unittest.main()

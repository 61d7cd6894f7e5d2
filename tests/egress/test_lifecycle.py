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

    def test_spare_tokens(self):
        """A credential that no route names any more is gone from the disk, after a good load only."""
        tokens = self.proxy.etc / "tokens"
        tokens.chmod(0o500)
        self.addCleanup(tokens.chmod, 0o700)
        self.proxy.put("routes: [\n", tokens={"EGRESS_TOKEN_0": TOKEN, "EGRESS_TOKEN_1": b"spare"})
        self.proxy.hangup("routes_rejected")
        self.assertEqual({"EGRESS_TOKEN_0", "EGRESS_TOKEN_1"}, {path.name for path in tokens.iterdir()})
        self.proxy.put()
        self.proxy.hangup()
        self.assertEqual((["EGRESS_TOKEN_0"], 0o500), ([path.name for path in tokens.iterdir()], tokens.stat().st_mode & 0o777))
        response, _ = self.proxy.ask("cred.example.com", path="/v1/x")
        self.assertEqual((200, b"Bearer " + TOKEN), (response.status, self.last_request()[1][b"authorization"]))
        self.proxy.put("routes:\n  - host: open.example.com\n")
        self.proxy.hangup()
        self.assertEqual(([], 0o500), (list(tokens.iterdir()), tokens.stat().st_mode & 0o777))
        # What cannot be removed is said, by its reason alone, and keeps nothing from being in force.
        (tokens / "EGRESS_TOKEN_9").mkdir()
        self.proxy.put()
        self.proxy.hangup()
        self.assertEqual("tokens", self.proxy.wait_for("error", self.line)["where"])
        (tokens / "EGRESS_TOKEN_9").rmdir()

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

    def test_narrowed_stream(self):
        """A narrower rule ends what it no longer allows, a stream that is under way too, and nothing else."""
        self.upstream.gate.clear()
        with self.proxy.tunnel("open.example.com") as cut, self.proxy.tunnel("api.example.com") as kept:
            cut.sendall(b"GET /sse HTTP/1.1\r\nHost: open.example.com\r\n\r\n")
            kept.sendall(b"GET /repos/acme/sse HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
            responses = [respond(sock) for sock in (cut, kept)]
            self.assertEqual([b"data: one\n\n"] * 2, [response.read(11) for response in responses])
            self.proxy.put(support.ROUTES.replace("- host: open.example.com\n", "- host: open.example.com\n    path_allowlist: [/y]\n"))
            self.proxy.hangup()
            with self.assertRaises((support.http.client.IncompleteRead, ConnectionError, ssl.SSLError)):
                responses[0].read()
            self.upstream.gate.set()
            self.assertEqual(b"data: none\n\n", responses[1].read())

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
        """SIGINT during a stream: at once, with 0, nothing on standard error, nothing left in the temporary directory."""
        self.upstream.gate.clear()
        with self.proxy.tunnel("open.example.com") as sock:
            sock.sendall(b"GET /sse HTTP/1.1\r\nHost: open.example.com\r\n\r\n")
            respond(sock).read(11)
            before = time.monotonic()
            self.assertEqual(0, self.proxy.stop())
            self.assertLess(time.monotonic() - before, 2)
        self.assertEqual(b"", self.proxy.stderr)
        self.assertEqual([], list(self.proxy.etc.glob("egress-*")))
        # In this order for the first time; the stream is an activity too, told before its decision or after.
        self.assertEqual(["routes_loaded", "activity", "canary", "decision"], list(dict.fromkeys(event["event"] for event in self.proxy.events())))
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


class CrashMemory(Crash):
    """No memory for a decision."""

    fault = "memory"

    def test_denied(self):
        """403."""
        self.denied("internal", *self.proxy.ask("open.example.com"))
        self.assertEqual((0, 0), self.upstream.mark())
        self.quiet()


class CrashForward(Crash):
    """An exception behind the decision, while the request is written anew."""

    fault = "forward"

    def test_denied(self):
        """403, also for a body that would stream."""
        self.denied("internal", *self.proxy.ask("cred.example.com", path="/v1/x"))
        self.denied("internal", *self.proxy.ask("open.example.com", "POST", "/x", "Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n0\r\n\r\n"))
        self.assertEqual((0, 0), self.upstream.mark())
        self.quiet()


class CrashParser(Crash):
    """An exception in our own parser, outside of every hook."""

    fault = "parser"

    def test_exit(self):
        """The canary is not refused in the right way, so the process ends."""
        self.assertEqual("open", self.proxy.wait_for("canary")["verdict"])
        self.ended(70)
        self.assertEqual((0, 0), self.upstream.mark())


class CrashLayer(Crash):
    """An exception in mitmproxy outside of every hook: it would only be logged, and the connection left as it is."""

    fault = "layer"

    def test_closed(self):
        """The connection ends, the log says so, the proxy lives, nothing goes upstream."""
        for raw in (b"GET /x HTTP/1.1\r\nHost: open.example.com\r\n\r\n", b"POST /x HTTP/1.1\r\nHost: open.example.com\r\nContent-Length: 9\r\n\r\nsome data"):
            with self.proxy.tunnel("open.example.com") as sock:
                sock.sendall(raw)
                self.assertEqual(b"", sock.recv(100))
        self.proxy.wait_for("error", self.line, where="mitmproxy", error="ValueError")
        self.assertIsNone(self.proxy.process.poll())
        self.assertEqual((0, 0), self.upstream.mark())
        self.quiet()


class CrashTask(Crash):
    """An exception in a task that carries a connection."""

    fault = "task"

    @classmethod
    def setUpClass(cls):
        """The canary is answered before the exception, or not at all."""
        try:
            super().setUpClass()
        except AssertionError:
            pass

    def test_closed(self):
        """Nothing goes upstream, the connections end, and the log says why."""
        for _ in range(3):
            try:
                with self.proxy.dial() as sock:
                    sock.sendall(b"CONNECT open.example.com:443 HTTP/1.1\r\nHost: open.example.com:443\r\n\r\n")
                    while sock.recv(100):
                        pass
            except ConnectionError:
                pass
        self.assertEqual((0, 0), self.upstream.mark())
        self.proxy.wait_for("error", where="connection", error="ValueError")
        self.quiet()


class CrashHooks(unittest.TestCase):
    """A hook of ours that raises past its guard, each in turn."""

    HOOKS = ("client_connected", "server_connect", "next_layer", "tls_clienthello", "http_connect_upstream", "requestheaders", "request", "responseheaders")

    def test_exit(self):
        """The process ends with 70, and no answer of the upstream's comes through."""
        for hook in self.HOOKS:
            with self.subTest(hook=hook), tempfile.TemporaryDirectory(prefix="egress-test-") as name:
                root, agent_ca, trust = Path(name), make_ca("bottle"), make_ca("pipelock")
                (root / "up").mkdir()
                (root / "etc").mkdir()
                upstream = support.Upstream(root / "up", trust)
                proxy = Proxy(root / "etc", upstream.port, agent_ca, trust, ["/usr/bin/python3", "-I", "-B", str(TESTS / "crash.py"), str(SIDECAR), f"hook:{hook}"])
                proxy.put()
                try:
                    proxy.start()
                    with proxy.tunnel("open.example.com") as sock:
                        sock.sendall(b"GET /x HTTP/1.1\r\nHost: open.example.com\r\n\r\n")
                        self.assertNotIn(b"200", sock.recv(100))
                except (AssertionError, OSError, support.http.client.HTTPException):
                    pass  # it ends on the canary, or somewhere on the way
                wait_until(lambda: proxy.process.poll() is not None, "the end of the proxy")
                self.assertEqual(70, proxy.stop())
                self.assertTrue(proxy.events("error"))
                self.assertNotIn(b"agent-data", b"".join(proxy.lines) + proxy.stderr)
                self.assertEqual([], [request for request in upstream.requests if hook not in ("responseheaders", "response")])
                upstream.close()


class Hasty(Crash):
    """An upstream that is reached and says nothing."""

    fault = "hasty"

    def test_stuck(self):
        """The agent gets a 502 after the deadline, the connection is given up, the log says so, and the next works."""
        self.upstream.stuck = True
        for method, head in (("GET", ""), ("POST", "Content-Length: 200000\r\n"), ("POST", "Transfer-Encoding: chunked\r\n")):
            with self.subTest(method=method, head=head):
                response, body = self.proxy.ask("open.example.com", method, "/x", head, b"x" * 100000 if "200000" in head else b"")
                self.assertEqual((502, "failed at bottler egress", "upstream"), (response.status, json.loads(body)["error"], json.loads(body)["rule"]))
        self.proxy.wait_for("error", self.line, where="upstream", error="no answer in time")
        self.proxy.wait_for("decision", self.line, verdict="deny", rule="upstream", status=502)
        self.upstream.stuck = False
        self.upstream.gate.set()
        self.assertEqual(200, self.proxy.ask("open.example.com")[0].status)
        self.assertNotIn(b"GET /x", b"".join(self.upstream.raw))


class Revoked(Crash):
    """A reload that takes a host away while its upstream is being connected to."""

    fault = "revoked"

    def test_race(self):
        """The request does not leave, and the proxy lives."""
        for method, head in (("GET", ""), ("POST", "Transfer-Encoding: chunked\r\n")):
            self.proxy.put()
            self.proxy.hangup()
            try:
                self.assertNotEqual(200, self.proxy.ask("open.example.com", method, "/x", head, b"0\r\n\r\n" if head else b"")[0].status)
            except (OSError, support.http.client.HTTPException):
                pass
        self.proxy.hangup()
        self.assertIsNone(self.proxy.process.poll())
        self.assertEqual([], self.upstream.requests)
        self.assertNotIn(b"open.example.com", b"".join(self.upstream.raw))
        self.quiet()


class Leaving(Crash):
    """An agent that goes away while its upstream is being connected to."""

    fault = "leaving"

    def test_race(self):
        """Nothing is unexpected about that, and the next is served."""
        for path in ("/x", "/y"):
            try:
                self.proxy.ask("open.example.com", path=path)
            except (OSError, support.http.client.HTTPException):
                pass
        self.assertIsNone(self.proxy.process.poll())
        self.assertEqual([], self.proxy.events("error"))
        sock, response = self.proxy.connect("evil.example.net:443")
        sock.close()
        self.assertEqual(403, response.status)


class FewFiles(Bench):
    """A process that may open few files."""

    command = ["/bin/sh", "-c", f"ulimit -n 200; exec '{SIDECAR / 'egress'}'"]

    def test_bound(self):
        """There are fewer clients then, so that files are left for the upstream, a reload and the canary."""
        held = [self.proxy.dial() for _ in range(150)]
        try:
            self.proxy.wait_for("decision", self.line, verdict="deny", rule="connections")
            self.proxy.put(generation="c" * 64)
            self.assertEqual({"event": "canary", "verdict": "denied", "generation": "c" * 64}, self.proxy.hangup())
        finally:
            for sock in held:
                sock.close()

        def passes():
            try:
                return self.proxy.ask("open.example.com")[0].status == 200
            except (OSError, support.http.client.HTTPException):
                return False

        wait_until(passes, "an answer after the others have gone")
        self.assertEqual([], self.proxy.events("error"))


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

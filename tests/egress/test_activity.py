# SPDX-License-Identifier: Apache-2.0
"""What the real proxy says is in flight, however that begins and ends."""
import datetime
import random
import socket
import threading
import time
import unittest

import support
from bench import Bench
from support import raw_path, respond, wait_until

GAP = 1.0  # seconds between two lines, at least
CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nshort"


def moment(text):
    """The time that a line names."""
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()


def leave(held):
    """Closes a (socket, response): the latter holds the connection, too."""
    for one in reversed(held):
        one.close()


def request(path, method="GET", host="open.example.com", head=""):
    """A request head."""
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{head}\r\n".encode()


class Activity(Bench):
    """Each test begins and ends idle."""

    routes = support.ROUTES.replace("log: 1\n", "")

    def setUp(self):
        """Idle, and no line is due."""
        self.upstream.gate.clear()
        self.upstream.stuck = False
        super().setUp()
        self.says(0)

    def lines(self):
        """What has been said."""
        return self.proxy.events("activity")

    def says(self, count):
        """The last line says so many, soon."""
        wait_until(lambda: self.lines()[-1]["in_flight"] == count, f"{count} in flight")

    def stream(self):
        """A stream that is under way: (socket, response)."""
        sock = self.proxy.tunnel("open.example.com")
        sock.sendall(request("/sse"))
        response = respond(sock)
        self.assertEqual(b"data: one\n\n", response.read(11))
        return sock, response

    def test_form(self):
        """The first line says 0; a line has a count and the time at which it became idle or busy."""
        first, before = self.lines()[0], time.time()
        self.assertEqual({"event": "activity", "in_flight": 0, "since": first["since"]}, first)
        _, response = held = self.stream()
        self.says(1)
        busy = moment(self.lines()[-1]["since"])
        self.assertTrue(moment(first["since"]) < before - 0.001 <= busy <= time.time())
        self.upstream.gate.set()
        self.assertEqual(b"data: none\n\n", response.read())
        self.says(0)
        self.assertGreater(moment(self.lines()[-1]["since"]), busy)
        self.assertEqual([], [event for event in self.proxy.events("decision") if event["verdict"] == "allow"])
        leave(held)

    def test_counts(self):
        """Several at once, and each end."""
        streams = []
        for count in (1, 2, 3):
            streams.append(self.stream())
            self.says(count)
        since = {line["since"] for line in self.lines()[-3:]}
        self.assertEqual(1, len(since), "it has been busy all the time")
        for count in (2, 1, 0):
            leave(streams.pop())
            self.says(count)

    def test_silence(self):
        """A request whose upstream says nothing is in flight, and ends with its client, whatever the upstream does."""
        self.upstream.stuck = True
        with self.proxy.tunnel("open.example.com") as sock:
            sock.sendall(request("/x"))
            self.says(1)
        self.says(0)

    def test_tunnel(self):
        """A tunnel is in flight until its first answer; kept open after that it is idle."""
        held = self.proxy.connect("open.example.com:443")
        self.assertEqual(200, held[1].status)
        self.says(1)
        leave(held)
        self.says(0)
        with self.proxy.tunnel("open.example.com") as kept:
            self.says(1)
            for path in ("/x", "/y"):
                kept.sendall(request(path))
                respond(kept).read()
                self.says(0)

    def test_upload(self):
        """A body that still comes is in flight, also when its answer has already come, until its end or that of its client."""
        for path, ends in (("/x", True), ("/x", False), ("/early", True), ("/early", False)):
            with self.subTest(path=path, ends=ends), self.proxy.tunnel("open.example.com") as sock:
                sock.sendall(request(path, "POST", head="Transfer-Encoding: chunked\r\n") + b"3\r\nabc\r\n")
                if path == "/early":
                    respond(sock).read()
                self.says(1)
                if ends:
                    sock.sendall(b"0\r\n\r\n")
                    if path == "/x":
                        self.assertEqual(200, respond(sock).status)
                else:
                    sock.close()
                self.says(0)

    def test_failures(self):
        """What fails, is cut or denied is over, with its connection kept or not."""
        cases = (("late.example.com", request("/x", host="late.example.com")),  # pipelock does not let it through
                 ("open.example.com", request(raw_path(CUT))),
                 ("open.example.com", request(raw_path(b"no HTTP\r\n\r\n"))),
                 ("open.example.com", request("/switch")),
                 ("open.example.com", request("/endless")),
                 ("cred.example.com", request("/v1/gzip", host="cred.example.com")),
                 ("api.example.com", request("/denied", host="api.example.com")),
                 ("api.example.com", request("/denied", "POST", "api.example.com", "Content-Length: 100\r\n")),
                 ("open.example.com", request("/x", "POST", head=f"Content-Length: {65 << 20}\r\n")),
                 ("open.example.com", b"GET  /x HTTP/1.1\r\n\r\n"),
                 ("open.example.com", b"GET /x HTTP/1.1\nHost: open.example.com\n\n"),
                 ("open.example.com", request("/x", host="evil.example.net")))
        for host, raw in cases:
            with self.subTest(raw=raw[:60]), self.proxy.tunnel(host) as sock:
                sock.sendall(raw)
                try:
                    respond(sock).read()
                except (OSError, support.http.client.HTTPException):
                    pass
                self.says(0)
        sock, _ = self.proxy.connect("open.example.com:443")
        with sock:
            sock.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
            while sock.recv(4096):
                pass
        self.says(0)

    def test_revoked(self):
        """A reload that cuts a stream off ends it; one that does not, doesn't."""
        held = self.stream()
        self.says(1)
        self.proxy.put(self.routes, generation="b" * 64)
        self.proxy.hangup()
        self.says(1)
        self.proxy.put("routes:\n  - host: api.example.com\n")
        self.proxy.hangup()
        self.says(0)
        leave(held)
        self.proxy.put(self.routes)
        self.proxy.hangup()

    def test_denials_say_nothing(self):
        """The canary, a reload, a denied CONNECT, the introspection and what is no HTTP leave no line."""
        before = len(self.lines())
        self.proxy.put(self.routes)
        self.proxy.hangup()
        for _ in range(50):
            sock, response = self.proxy.connect("evil.example.net:443")
            sock.close()
            self.assertEqual(403, response.status)
        self.proxy.plain(b"GET http://_egress.local/allowlist HTTP/1.1\r\nHost: _egress.local\r\n\r\n")
        with self.proxy.dial() as sock:
            sock.sendall(b"\x16\x03\x01 no HTTP\r\n\r\n")
            sock.recv(100)
        held = self.stream()
        self.says(1)
        self.assertEqual(1, len(self.lines()) - before)
        leave(held)
        self.says(0)

    def test_rate(self):
        """However often it becomes busy and idle, there is a line a second at most, and the last one is true."""
        before, began = len(self.lines()), time.monotonic()
        while time.monotonic() < began + 2.5 * GAP:
            self.assertEqual(200, self.proxy.ask("open.example.com")[0].status)
        self.says(0)
        self.assertLessEqual(len(self.lines()) - before, (time.monotonic() - began) / GAP + 1)
        self.assertGreater(len(self.lines()), before)

    def test_again(self):
        """Who reads the end of the log finds the state there."""
        leave(self.stream())
        self.says(0)
        for _ in range(300):
            self.proxy.connect("evil.example.net:443")[0].close()
        wait_until(lambda: b'"activity"' in b"".join(self.proxy.lines[-290:]), "the state at the end of the log")
        self.says(0)

    def test_random(self):
        """Agents that do anything at any time: never more than there are, never less than what is held, none in the end."""
        workers, before, began = 8, len(self.lines()), time.monotonic()
        held = [self.stream() for _ in range(2)]
        self.says(2)
        mark = len(self.lines())
        threads = [threading.Thread(target=self._agent, args=(random.Random(f"activity {number}"),)) for number in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.says(2)
        said = [line["in_flight"] for line in self.lines()[mark:]]
        self.assertTrue(all(2 <= count <= 2 + workers + self.left_over for count in said), said)
        for one in held:
            leave(one)
        self.says(0)
        self.assertLessEqual(len(self.lines()) - before, (time.monotonic() - began) / GAP + 1)
        self.assertEqual([], self.proxy.events("error"))

    left_over = 8  # clients that have gone, and of which the proxy does not know yet

    def _agent(self, dice):
        """Forty random doings of one agent, one after the other."""
        for _ in range(40):
            try:
                with self.proxy.tunnel("open.example.com") as sock:
                    sock.settimeout(0.05)
                    dice.choice((self._ask, self._drop, self._abort, self._garbage, self._pipeline))(sock, dice)
            except (OSError, support.http.client.HTTPException):
                pass

    @staticmethod
    def _ask(sock, dice):
        """Requests, answered."""
        sock.settimeout(support.DEADLINE)
        for _ in range(dice.randrange(1, 4)):
            sock.sendall(request("/x"))
            respond(sock).read()

    @staticmethod
    def _drop(sock, dice):
        """A request, or a part of one, and nothing of its answer."""
        raw = request(dice.choice(("/x", "/sse", "/big")))
        sock.sendall(raw[:dice.randrange(1, 2 * len(raw))])
        sock.recv(dice.randrange(1, 5000))

    @staticmethod
    def _abort(sock, dice):
        """A body that ends too early, reset or closed."""
        sock.sendall(request(dice.choice(("/x", "/early")), "POST", head="Content-Length: 200000\r\n") + b"x" * dice.randrange(150000))
        if dice.random() < 0.5:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

    @staticmethod
    def _garbage(sock, dice):
        """Bytes."""
        sock.sendall(dice.randbytes(dice.randrange(1, 300)))
        sock.recv(1000)

    @staticmethod
    def _pipeline(sock, dice):
        """Requests in advance."""
        sock.sendall(request("/x") * dice.randrange(2, 6))
        sock.recv(1000)


if __name__ == "__main__":
    unittest.main()

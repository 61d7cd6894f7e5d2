# SPDX-License-Identifier: Apache-2.0
"""SIGTERM: the real proxy takes nothing new, finishes what is under way, and ends."""
import shutil
import signal
import socket
import subprocess
import threading
import time
import unittest

import support
from bench import Bench
from support import respond, wait_until


def request(path, method="GET", head=""):
    """A request head."""
    return f"{method} {path} HTTP/1.1\r\nHost: open.example.com\r\n{head}\r\n".encode()


def size(response):
    """How much of a body comes."""
    return sum(len(part) for part in iter(lambda: response.read(1 << 20), b""))


class Drain(Bench):
    """Each test ends the proxy and the next one starts it again."""

    def setUp(self):
        """A proxy that runs, and an upstream whose streams stand still."""
        self.upstream.gate.clear()
        self.upstream.stuck = False
        if self.proxy.process.poll() is not None:
            self.proxy.stop()
            self.proxy.lines.clear()
            self.proxy.start()
        super().setUp()
        self.addCleanup(self.end)

    def end(self):
        """Whatever a test has left under way."""
        self.upstream.gate.set()
        self.proxy.process.kill()
        self.proxy.process.wait()
        for directory in self.proxy.etc.glob("egress-*"):  # of one that was killed
            shutil.rmtree(directory)

    def drain(self, in_flight):
        """SIGTERM; the proxy has said what it waits for, and listens no more."""
        self.begin(in_flight)
        wait_until(lambda: not self.proxy.listens(), "that it listens no more")
        with self.assertRaises(ConnectionRefusedError):
            self.proxy.dial()

    def begin(self, in_flight):
        """SIGTERM; the proxy has said what it waits for."""
        self.proxy.process.send_signal(signal.SIGTERM)
        self.assertEqual({"event": "draining", "in_flight": in_flight}, self.proxy.wait_for("draining", self.line))

    def ended(self, code=0):
        """It ends soon, with this code, and has said nothing else."""
        self.assertEqual(code, self.proxy.process.wait(support.DEADLINE))
        self.assertEqual(b"", self.proxy.stderr)
        self.assertEqual([], self.proxy.events("error"))

    def stream(self):
        """A stream that is under way: (socket, response)."""
        sock = self.proxy.tunnel("open.example.com")
        sock.sendall(request("/sse"))
        response = respond(sock)
        self.assertEqual(b"data: one\n\n", response.read(11))
        return sock, response

    def kept(self):
        """A connection that has had its answer, and is kept open."""
        sock = self.proxy.tunnel("open.example.com")
        sock.sendall(request("/x"))
        self.assertIn(b'"path": "/x"', respond(sock).read())
        return sock

    def lives(self):
        """It has not ended."""
        self.assertIsNone(self.proxy.process.poll())

    def test_idle(self):
        """With nothing under way it ends soon, a connection that is kept open or not."""
        with self.kept() as sock:
            before = time.monotonic()
            self.drain(0)
            self.assertEqual(b"", sock.recv(1))
            self.ended()
            self.assertLess(time.monotonic() - before, 5)
        self.assertEqual([], list(self.proxy.etc.glob("egress-*")))

    def test_stay(self):
        """Clients that come after all are served for a while, each once."""
        self.begin(0)
        with self.proxy.tunnel("open.example.com") as sock:
            sock.sendall(request("/x"))
            response = respond(sock)
            self.assertEqual((200, "close"), (response.status, response.headers["Connection"]))
            response.read()
            self.assertEqual(b"", sock.recv(1))
        self.assertTrue(self.proxy.listens())
        self.ended()

    def test_request(self):
        """A request whose body still comes, and whose answer is not there yet, is answered; no other follows on its connection."""
        with self.proxy.tunnel("open.example.com") as sock:
            sock.sendall(request("/x", "POST", "Content-Length: 100000\r\n") + b"a" * 50000)
            self.proxy.wait_for("activity", self.line, in_flight=1)
            self.drain(1)
            sock.sendall(b"a" * 50000)
            response = respond(sock)
            self.assertEqual((200, "close"), (response.status, response.headers["Connection"]))
            self.assertIn(b'"bytes": 100000', response.read())
            self.assertEqual(b"", sock.recv(1))
        self.ended()

    def test_stream(self):
        """A stream flows until its own end, while an idle connection is closed."""
        with self.kept() as idle:
            sock, response = self.stream()
            self.drain(1)
            self.assertEqual(b"", idle.recv(1))
            self.lives()
            self.upstream.gate.set()
            self.assertEqual(b"data: none\n\n", response.read())
            self.assertEqual(b"", sock.recv(1))
            sock.close()
        self.ended()

    def test_much(self):
        """An answer that is read slowly is there as a whole."""
        with self.proxy.tunnel("open.example.com") as sock:
            sock.sendall(request("/big"))
            response = respond(sock)
            self.drain(1)
            self.assertEqual(100 << 20, size(response))
        self.ended()

    def test_unread(self):
        """The last bytes of an answer are not lost with the process: it ends when the client has taken them."""
        with self.proxy.tunnel("open.example.com") as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            sock.sendall(request("/much"))
            response = respond(sock)
            self.proxy.wait_for("activity", self.line, in_flight=0)
            self.drain(0)
            with self.assertRaises(subprocess.TimeoutExpired):
                self.proxy.process.wait(0.5)
            self.assertEqual(support.MUCH, size(response))
        self.ended()

    def test_fresh(self):
        """A connection that was taken before and has not said anything yet is served; one that says nothing is closed soon."""
        with self.proxy.dial() as silent, self.proxy.dial() as sock:
            wait_until(lambda: self.proxy.ask("open.example.com")[0].status == 200, "that both were taken")
            self.drain(0)
            sock.sendall(b"CONNECT open.example.com:443 HTTP/1.1\r\nHost: open.example.com:443\r\n\r\n")
            self.assertEqual(200, respond(sock, "CONNECT").status)
            self.assertEqual(b"", silent.recv(1))
            self.lives()
        self.ended()

    def test_policy(self):
        """What is denied is denied, and a reload cuts what it takes away."""
        sock, response = self.stream()
        with self.proxy.tunnel("api.example.com") as other:
            self.drain(2)
            other.sendall(b"GET /elsewhere HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
            answer = respond(other)
            self.denied("path", answer, answer.read())
            self.assertEqual(b"", other.recv(1))
        self.proxy.put("routes: []\n", "b" * 64)
        self.proxy.hangup("routes_loaded")
        with self.assertRaises((support.http.client.IncompleteRead, OSError)):
            response.read()
        sock.close()
        self.ended()
        self.proxy.put()

    def test_twice(self):
        """An upstream that never answers is waited for; a second SIGTERM ends that, with nothing left on the disk."""
        self.upstream.stuck = True
        with self.proxy.tunnel("open.example.com") as sock:
            sock.sendall(request("/x"))
            self.proxy.wait_for("activity", self.line, in_flight=1)
            self.drain(1)
            self.lives()
            self.proxy.process.send_signal(signal.SIGTERM)
            self.ended()
        self.assertEqual([], list(self.proxy.etc.glob("egress-*")))

    def test_load(self):
        """Whoever was taken is answered, whenever the signal comes."""
        lost, answered = [], []

        def visit():
            while True:
                try:
                    sock = self.proxy.dial()
                except ConnectionRefusedError:
                    return
                try:
                    with sock:
                        sock.sendall(b"GET http://_egress.local/allowlist HTTP/1.1\r\nHost: _egress.local\r\n\r\n")
                        answered.append(respond(sock).status)
                except (OSError, support.http.client.HTTPException) as error:
                    lost.append(error)

        threads = [threading.Thread(target=visit) for _ in range(4)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(answered) > 20, "some answers")
        self.proxy.process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join()
        self.assertEqual(([], {200}), (lost, set(answered)))
        self.ended()


if __name__ == "__main__":
    unittest.main()

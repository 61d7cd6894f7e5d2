# SPDX-License-Identifier: Apache-2.0
"""The base of the tests with a real proxy: launcher, mitmproxy, addon, between raw bytes and a recording upstream."""
import json
import tempfile
import unittest
from pathlib import Path

import support
from support import Proxy, Upstream, make_ca


class Bench(unittest.TestCase):
    """A proxy and an upstream for all tests of a class."""

    command = None
    routes = support.ROUTES
    tokens = None

    @classmethod
    def setUpClass(cls):
        """Makes the CAs, starts both."""
        cls.directory = tempfile.TemporaryDirectory(prefix="egress-test-")
        root = Path(cls.directory.name)
        (root / "up").mkdir()
        (root / "etc").mkdir()
        agent_ca, trust = make_ca("bottle"), make_ca("pipelock")
        cls.upstream = Upstream(root / "up", trust)
        cls.proxy = Proxy(root / "etc", cls.upstream.port, agent_ca, trust, cls.command)
        cls.addClassCleanup(cls._stop)
        cls.proxy.put(cls.routes, tokens=cls.tokens)
        cls.proxy.start()

    @classmethod
    def _stop(cls):
        if cls.proxy.process:
            cls.code = cls.proxy.stop()
        cls.upstream.close()
        cls.directory.cleanup()

    def setUp(self):
        """Where the log and the upstream's record stand."""
        self.before = self.upstream.mark()
        self.line = len(self.proxy.lines)

    def nothing_upstream(self):
        """Not even a connection has arrived since the test began. Proven by an allowed request that does arrive."""
        accepted, received = self.before
        self.assertEqual((accepted, received), self.upstream.mark())
        self.assertEqual(200, self.proxy.ask("open.example.com", path="/positive-control")[0].status)
        self.assertEqual(accepted + 1, self.upstream.accepted)
        fresh = b"".join(self.upstream.raw[received:])
        self.assertEqual(1, fresh.count(b"CONNECT "))
        self.assertIn(b"GET /positive-control HTTP/1.1\r\n", fresh)

    def denied(self, rule, response, body):
        """A 403 with our JSON."""
        self.assertEqual((403, rule), (response.status, response.headers["X-Bottler-Denied"]), body)
        shown = json.loads(body)
        self.assertEqual(("blocked by bottler egress", rule), (shown["error"], shown["rule"]))
        self.assertTrue(shown["reason"])
        return shown

    def last_request(self):
        """(host, {field: value}, raw lines, body) of the latest request that arrived."""
        host, lines, body = self.upstream.requests[-1]
        return host, {line.partition(b":")[0].lower(): line.partition(b":")[2].strip() for line in lines[1:]}, lines, body

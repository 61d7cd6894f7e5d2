# SPDX-License-Identifier: Apache-2.0
"""The attempts on the proxy, against the real one, and against one that refuses nothing, says nothing, or is not there."""
import re
import socket
import tempfile
import unittest
from pathlib import Path

import common
import handshake
import inside
import proxy
from bench import Bench
from careless import Careless

# What only the second proxy refuses: there is none behind the real one here.
SECOND = "P17."
# What the TLS library of any server refuses by itself.
LIBRARY = re.compile(r"P3\.sni\.(empty|empty-list|nul|nul-other|long|two|two-reversed|twice|twice-reversed|truncated|type)|P2\.raw\.tls-.*|P2\.early\..*")
# The rules that may stop an attempt; an id that begins with several of these has the longest one's.
RULES = {
    "N": {"host", "head", "scheme", "target-form"}, "P1.": {"port", "host", "head"}, "P2.raw": {"not-tls"}, "P2.early": {"not-tls"},
    "P2.refused": {"host"}, "P2.request": {"head", "host", "not-http"}, "P2.behind": {"head", "not-http"}, "P2.inside": {"head", "not-http"},
    "P3.": {"sni"}, "P4.": {"head", "host-header", "path", "path-syntax", "scheme", "target-form", "host"}, "P4.inside.path": {"path-syntax"},
    "P4.inside.host": {"host-header", "head"}, "P4.request": {"host-header", "head", "host"}, "P5.": {"scheme", "target-form", "head", "method"},
    "P5.inside": {"target-form", "head"}, "P7.": {"target-form", "scheme", "head", "method"}, "P9.": {"method", "head", "not-http"},
    "P9.inside.override": {"method-override"}, "P12.": {"query-credential"}, "P13.inside.path": {"path"}, "P13.inside.git": {"git-push"},
    "P14.inside.websocket": {"upgrade", "path"}, "P14.": {"upgrade", "path"}, "P15.": {"head", "not-http", "host-header"}, "P23.": {"head", "host"},
    "P25.": {"scheme", "head"},
}


def every(world):
    """All attempts of the class."""
    return proxy.attempts(world) + handshake.attempts(world) + inside.attempts(world)


def expected(name):
    """The rules that may stop an attempt."""
    fits = [prefix for prefix in RULES if name.startswith(prefix)]
    return RULES[max(fits, key=len)]


class Refused(Bench):
    """The real proxy refuses, and its upstream hears nothing of it."""

    maxDiff = None

    def test_everything(self):
        """Each attempt is refused, by a rule that is about it, and nothing but allowed requests goes up."""
        world = common.world_at(self.proxy.port)
        self.addCleanup(world.close)
        self.assertEqual([], [control for control in world.controls.values() if not control.ok])
        self.assertEqual("open.example.com", world.request.host)
        attempts = [attempt for attempt in every(world) if not attempt.id.startswith(SECOND)]
        self.assertGreater(len(attempts), 400)
        self.assertEqual(len(attempts), len({attempt.id for attempt in attempts}))
        before = len(self.upstream.requests)
        wrong = []
        for attempt, outcome in common.outcomes(world, attempts):
            rule = re.match(r"(?:agreed on \S+; )?[0-9]{3} ([a-z-]+):", outcome.evidence)
            if outcome.verdict != "denied" or (rule and rule.group(1) not in expected(attempt.id)):
                wrong.append((attempt.id, outcome))
        self.assertEqual([], wrong)
        sent = self.upstream.requests[before:]
        # The allowed requests in front of pipelined ones, and no others.
        self.assertEqual(5, len(sent), sent)
        for host, lines, body in sent:
            self.assertRegex(lines[0], rb"^(HEAD|GET) /(bottler-probe-%s|repos/acme/bottler-probe-%s) HTTP/1\.1$" % ((common.NONCE.encode(),) * 2))
            self.assertEqual((True, b""), (host in ("open.example.com", "api.example.com", "cred.example.com"), body))
        self.assertNotIn(b"canary", b"".join(self.upstream.raw))

    def test_nothing_allowed(self):
        """A table without routes: what needs an allowed host is skipped, the rest is refused."""
        self.proxy.put("log: 1\nroutes: []\n", generation="b" * 64)
        self.addCleanup(self._restore)
        self.proxy.hangup()
        world = common.world_at(self.proxy.port)
        self.addCleanup(world.close)
        self.assertTrue(world.controls["C.chain"].ok, world.controls["C.chain"])
        found = common.outcomes(world, every(world))
        self.assertEqual([], [(attempt.id, outcome) for attempt, outcome in found if outcome.verdict not in ("denied", "skipped")])
        skipped = {attempt.id for attempt, outcome in found if outcome.verdict == "skipped"}
        self.assertGreater(len(found) - len(skipped), 200)
        self.assertEqual(set(), {name for name in skipped if name.startswith(("N7.", "N10.", "P7.", "P25."))})

    def _restore(self):
        self.proxy.put()
        self.proxy.hangup()

    def test_upstream_away(self):
        """Behind the proxy there is nobody: what needs the chain is an error, never refused."""
        nobody = socket.socket()  # bound, so that nobody else gets the port, and never listening
        self.addCleanup(nobody.close)
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        real, self.proxy._upstream = self.proxy._upstream, port
        self.addCleanup(self._again, real)
        self._again(port)
        world = common.world_at(self.proxy.port)
        self.addCleanup(world.close)
        self.assertFalse(world.controls["C.chain"].ok)
        attempts = [attempt for attempt in every(world) if attempt.control == "C.chain"]
        self.assertGreater(len(attempts), 100)
        self.assertEqual({"error"}, {outcome.verdict for attempt, outcome in common.outcomes(world, attempts)})

    def _again(self, port):
        self.proxy.stop()
        self.proxy.lines.clear()
        self.proxy._upstream = port
        self.proxy.start()


class NotRefused(unittest.TestCase):
    """Where nothing is refused, nothing is called refused."""

    maxDiff = None

    def setUp(self):
        """A place for certificates."""
        directory = tempfile.TemporaryDirectory(prefix="probe-test-")
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)

    def _world(self, **options):
        self.server = Careless(self.directory, **options)
        self.addCleanup(self.server.close)
        world = common.world_at(self.server.port)
        self.addCleanup(world.close)
        return world

    def test_careless(self):
        """A proxy without rules: every attempt gets out."""
        world = self._world()
        self.assertEqual([], [control for control in world.controls.values() if not control.ok])
        found = common.outcomes(world, every(world))
        wrong = [(attempt.id, outcome) for attempt, outcome in found if outcome.verdict != "open" and not LIBRARY.fullmatch(attempt.id)]
        self.assertEqual([], wrong)

    def test_mute(self):
        """A proxy that takes connections and says nothing: no control works, no attempt is called refused."""
        import talk
        wait, talk.WAIT = talk.WAIT, 0.3
        self.addCleanup(setattr, talk, "WAIT", wait)
        world = self._world(mute=True)
        self._all_errors(world)

    def test_deaf(self):
        """A proxy that closes every connection."""
        self._all_errors(self._world(deaf=True))

    def test_dead(self):
        """Nobody listens."""
        world = self._world()
        self.server.close()
        self.server = Careless(self.directory, deaf=True)
        self.server.close()
        dead = common.world_at(self.server.port)
        self.addCleanup(dead.close)
        self._all_errors(dead)
        world.close()

    def _all_errors(self, world):
        self.assertEqual([], [control for control in world.controls.values() if control.ok])
        found = common.outcomes(world, every(world)[::7])
        self.assertGreater(len(found), 70)
        self.assertEqual([], [(attempt.id, outcome) for attempt, outcome in found if outcome.verdict not in ("error", "skipped")])


if __name__ == "__main__":
    unittest.main()

# SPDX-License-Identifier: Apache-2.0
"""The decision against an oracle that shares no code with it, over request heads twisted rule by rule.

BOTTLER_FUZZ_SEED and BOTTLER_FUZZ_ROUNDS make longer runs. A head on which they disagree is added to corpus/found.json;
what is in corpus/ is tried first, and through the real proxy as well.
"""
import ast
import collections
import http.client
import json
import os
import random
import ssl
import unittest
from pathlib import Path

import heads
import oracle
import support
import head
import policy
from bench import Bench
from routes import parse_table
from support import respond

CORPUS = Path(__file__).resolve().parent / "corpus"
RULES = tuple(heads.AIMS)


def table():
    """The oracle's hosts as the proxy reads them."""
    routes = []
    for host, (entries, credentialed) in oracle.HOSTS.items():
        route = {"host": host}
        if entries:
            route["matches"] = [_match(entry) for entry in entries]
        if credentialed:
            route.update(auth_scheme="Bearer", token_env="EGRESS_TOKEN_0")
        routes.append(route)
    return json.dumps({"log": 1, "routes": routes})


def _match(entry):
    """One entry of the oracle's as an entry of `matches`."""
    paths, methods, headers = entry
    parts = {"paths": [{"type": kind, "value": value} for kind, value in paths], "methods": methods, "headers": [{"name": name, "value": value} for name, value in headers]}
    return {name: value for name, value in parts.items() if value}


TABLE = parse_table(table().encode())


def decided(case):
    """The proxy's decision: the rule that denies, or None."""
    try:
        parsed = head.parse_head(case["lines"])
    except head.HeadError:
        return "head"
    if case["kind"] == "connect":
        decision = policy.decide_connect(parsed, TABLE)
    elif case["kind"] == "outside":
        decision = policy.decide_outside(parsed, TABLE)
    else:
        decision = policy.decide_inside(parsed, policy.Tunnel(case["host"], tls=case["tls"], hello=True, sni=case["sni"]), TABLE)
    policy.body_of(decision)  # must not fail either
    return None if decision.allow else decision.rule


def agree(rule, broken):
    """Whether a decision is one that the oracle allows for."""
    return rule in broken if broken else rule is None


def matters(aim, case):
    """Whether the rule that a twist aims at is one of that host's."""
    entries, credentialed = oracle.HOSTS.get(case["host"], ([], False))
    if aim in ("path", "path-syntax", "path-override"):
        return any(paths for paths, _, _ in entries)
    if aim == "method-override":
        return any(methods for _, methods, _ in entries)
    if aim == "header":
        return any(headers for _, _, headers in entries) and b" /two" in case["lines"][0]
    return credentialed if aim == "query-credential" else True


def saved(case, rule):
    """A case as it stands in a file of the corpus."""
    return {**case, "lines": [line.decode("latin-1") for line in case["lines"]], "rule": rule}


def corpus():
    """(file and number, case, the rule that it is denied by) of every saved case."""
    for path in sorted(CORPUS.glob("*.json")):
        for number, entry in enumerate(json.loads(path.read_text())):
            yield f"{path.stem}[{number}]", {**entry, "lines": [line.encode("latin-1") for line in entry["lines"]]}, entry["rule"]


class Fuzz(unittest.TestCase):
    """No crash, no disagreement."""

    def test_independent(self):
        """The oracle imports nothing of the proxy's: nothing at all, in fact; the generator imports the oracle only."""
        for name, allowed in (("oracle.py", set()), ("heads.py", {"oracle"})):
            tree = ast.parse((Path(__file__).parent / name).read_text())
            imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
            imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
            self.assertEqual(allowed, imported)
            self.assertNotIn("__import__", ast.dump(tree))

    def test_corpus(self):
        """Heads that must stay decided as they are, every rule among them, with both answers."""
        seen = collections.Counter()
        for name, case, rule in corpus():
            with self.subTest(case=name):
                self.assertEqual(rule, decided(case))
                self.assertTrue(agree(rule, oracle.judge(case)))
                seen[rule] += 1
        self.assertEqual(set(RULES) | {None}, set(seen))

    def test_random(self):
        """Heads from a seed; every rule is broken often, and often kept by a head that was twisted at it."""
        chance = random.Random(os.environ.get("BOTTLER_FUZZ_SEED", "bottler"))
        rounds = int(os.environ.get("BOTTLER_FUZZ_ROUNDS", "30000"))
        kept, broke = collections.Counter(), collections.Counter()
        for _ in range(rounds):
            case, twists = heads.make(chance)
            broken, rule = oracle.judge(case), decided(case)
            if not agree(rule, broken):
                self.disagreed(case, rule, broken)
            broke[rule] += 1
            if rule is None:
                kept.update({aim for aim, _ in twists if matters(aim, case)})
        if "BOTTLER_FUZZ_ROUNDS" in os.environ:
            print(*(f"\n{rule:18} denied {broke[rule]:8}  allowed {kept[rule]:8}" for rule in RULES), f"\nallowed in all {broke[None]} of {rounds}")
        for rule in RULES:
            self.assertGreater(min(kept[rule], broke[rule]), rounds // 2000, rule)
        self.assertEqual(set(RULES) | {None}, set(broke))

    def disagreed(self, case, rule, broken):
        """Keeps the case and fails."""
        path = CORPUS / "found.json"
        entries = json.loads(path.read_text()) if path.exists() else []
        entries.append(saved(case, sorted(broken)[0] if broken else None))
        path.write_text("[\n" + ",\n".join(map(json.dumps, entries)) + "\n]\n")
        self.fail(f"the proxy says {rule}, the oracle {broken or 'allowed'}: {case}")


class Live(Bench):
    """The corpus through the real proxy: what the oracle allows arrives as it was sent, nothing else arrives."""

    routes = table()

    def test_corpus(self):
        """Every case that a client could send."""
        for name, case, rule in corpus():
            raw = b"\r\n".join(case["lines"]) + b"\r\n\r\n"
            if not case["lines"][0] or any(b"\n" in line or line == b"" or line == b"\r" for line in case["lines"]) or case["host"] not in oracle.HOSTS:
                continue  # would be other lines on the wire
            with self.subTest(case=name):
                before = len(self.upstream.requests)
                status = self.inside(case, raw) if case["kind"] == "inside" else self.outside(raw)
                arrived = self.upstream.requests[before:]
                if rule is None and case["kind"] == "inside" and case["host"] != "late.example.com":
                    self.assertEqual([case["lines"][0]], [lines[0] for _, lines, _ in arrived], status)
                    self.assertEqual([case["host"]], [host for host, _, _ in arrived])
                else:
                    self.assertEqual([], arrived)
                    self.assertTrue(rule is None or status is None or 400 <= status < 500, status)
        self.assertEqual([], self.proxy.events("error"))

    def inside(self, case, raw):
        """The status of a request in a tunnel; None when there was no answer."""
        if not case["tls"]:
            sock, _ = self.proxy.connect(f"{case['host']}:443")
        else:
            try:
                sock = self.proxy.tunnel(case["host"], None if not case["sni"] else case["sni"])
            except (ssl.SSLError, ValueError):
                return None
        lower = raw.lower()
        if b"\r\ntransfer-encoding: chunked" in lower:
            raw += b"0\r\n\r\n"
        elif b"\r\ncontent-length: 3\r\n" in lower:
            raw += b"abc"
        return self.status(sock, raw, case["lines"][0])

    def outside(self, raw):
        """The status of a request to the proxy port."""
        return self.status(self.proxy.dial(), raw, raw)

    @staticmethod
    def status(sock, raw, line):
        """Sends and reads one answer."""
        method = line.split(b" ")[0].decode("latin-1")
        with sock:
            try:
                sock.sendall(raw)
                response = respond(sock, method)
                while response.status == 100:
                    response = respond(sock, method)
                if (method, response.status) != ("CONNECT", 200):
                    response.read()
                return response.status
            except (OSError, http.client.HTTPException):
                return None


if __name__ == "__main__":
    unittest.main()

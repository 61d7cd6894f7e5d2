# SPDX-License-Identifier: Apache-2.0
"""The decision against an oracle that shares no code with it, over request heads made from hostile pieces.

BOTTLER_FUZZ_SEED and BOTTLER_FUZZ_ROUNDS make longer runs; the corpus holds what past runs have taught.
"""
import os
import posixpath
import random
import re
import unittest
import urllib.parse

import support
import head as heads
import policy
from routes import parse_table

assert support.SIDECAR

HOST = "api.example.com"
METHODS = ("GET", "POST")
PREFIXES = ("/repos/acme/", "/v1", "/a/b")
TABLE = parse_table(f"routes:\n  - host: {HOST}\n    methods: [GET, POST]\n    path_allowlist: [{', '.join(PREFIXES)}]\n".encode())

PIECES = ["/", "/", "/", "repos", "acme", "v1", "a", "b", "evil", ".", "..", "...", "%2e", "%2E%2e", "%2f", "%5C", "\\", "%00", "%25", "%252e", ";", ";x=1", "..;",
          "?", "#", "//", " ", "\t", "\x00", "\x7f", "\xe9", "%c3%a9", "%c0%ae", "%EF%BC%8F", "%", "%zz", "x y", "@", ":", "*", "~", "+", "http://evil", "%0d%0a", "\r", "%7e", "%41"]
HOSTS = [HOST, HOST, HOST, HOST.upper(), HOST + ":443", HOST + ":80", HOST + ".", "evil.example.net", "", "x@" + HOST, HOST + "\t", HOST + " x", "[::1]", HOST + ", evil", HOST + "\x00"]
VERBS = ["GET", "GET", "POST", "get", "DELETE", "TRACE", "CONNECT", "G T", "", "PATCH", "GET\t", "POSTX"]
VERSIONS = ["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "http/1.1", "HTTP/1.1 ", ""]
EXTRA = ["Accept: x", "Accept: x", "X-Y: z", "Host: evil.example.net", "Host : x", " folded", "Content-Length: 3", "Content-Length: 4", "Transfer-Encoding: chunked",
         "Transfer-Encoding: gzip", "X: a\rb", "X\x00: y", "nocolon", "X: \xff"]

CORPUS = [
    ["GET /repos/acme/x HTTP/1.1", "Host: api.example.com"], ["GET /repos/acme HTTP/1.1", "Host: api.example.com"], ["GET /v1 HTTP/1.1", "Host: api.example.com"],
    ["GET /v1/../repos/other HTTP/1.1", "Host: api.example.com"], ["GET /v1?/../x HTTP/1.1", "Host: api.example.com"], ["GET /v1%2f..%2fx HTTP/1.1", "Host: api.example.com"],
    ["GET /v1/..;/x HTTP/1.1", "Host: api.example.com"], ["GET /v1/... HTTP/1.1", "Host: api.example.com"], ["GET /v1x HTTP/1.1", "Host: api.example.com"],
    ["GET /v1// HTTP/1.1", "Host: api.example.com"], ["GET /v1/%C3%A9 HTTP/1.1", "Host: API.example.com:443"], ["GET http://api.example.com/v1 HTTP/1.1", "Host: api.example.com"],
    ["POST /a/b HTTP/1.1", "Host: api.example.com", "Content-Length: 0", "Transfer-Encoding: chunked"], ["POST /a/b/ HTTP/1.0", "Host: api.example.com", "Content-Length: 3"],
]


def oracle(raw):
    """Whether a head (text lines) is allowed by TABLE, by an independent reading of the rules."""
    first = raw[0].split(" ")
    if len(first) != 3 or first[2] not in ("HTTP/1.1", "HTTP/1.0") or first[0] not in METHODS:
        return False
    fields = {}
    for line in raw[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or not all(char.isascii() and (char.isalnum() or char == "-") for char in name):
            return False
        if any(ord(char) < 32 and char != "\t" or ord(char) == 127 for char in value):
            return False
        fields.setdefault(name.lower(), []).append(value.strip(" \t").lower())
    if fields.get("host") not in ([HOST], [HOST + ":443"]):
        return False
    sizes, codings = fields.get("content-length", []), fields.get("transfer-encoding", [])
    if len(sizes) + len(codings) > 1 or codings not in ([], ["chunked"]) or (codings and first[2] == "HTTP/1.0"):
        return False
    return path_allowed(first[1])


def path_allowed(target):
    """Whether the path is plain, and below one of the prefixes."""
    if not target.startswith("/") or "#" in target or any(not 33 <= ord(char) <= 126 for char in target):
        return False
    path = target.split("?")[0]
    if re.search(r"%(?![0-9a-fA-F]{2})", path) or any(char in path for char in '"<>\\^`{|}[]'):
        return False
    raw = urllib.parse.unquote_to_bytes(path)
    if raw.count(b"/") != path.count("/") or b"\\" in raw or b"%" in raw or raw.count(b".") != path.count(".") or any(byte < 32 or byte == 127 for byte in raw):
        return False
    try:
        plain = raw.decode()
    except UnicodeDecodeError:
        return False
    if any(char in plain for char in "\uff0f\uff0e\uff3c\u2026\u2025\u2024\u2215"):
        return False
    bare = re.sub(r"(?<=[^/]);[^/]*", "", path)
    if "/;" in path or posixpath.normpath(bare) != (bare.rstrip("/") or "/") or path.startswith("//") or path.endswith("//"):
        return False
    parts = path.split("/")
    for prefix in PREFIXES:
        wanted = prefix.split("/")
        if prefix.endswith("/") and parts[:len(wanted) - 1] == wanted[:-1] and len(parts) >= len(wanted):
            return True
        if not prefix.endswith("/") and parts[:len(wanted)] == wanted:
            return True
    return False


def decided(raw):
    """Whether the addon's decision allows a head."""
    try:
        parsed = heads.parse_head([line.encode("latin-1") for line in raw])
    except heads.HeadError:
        return False
    return policy.decide_inside(parsed, policy.Tunnel(HOST, tls=True, hello=True, sni=HOST), TABLE).allow


def head_of(chance):
    """A head made from pieces; half of them begin like an allowed one."""
    path = chance.choice(["", "/repos/acme/", "/v1", "/a/b", "/repos/acme"]) + "".join(chance.choice(PIECES) for _ in range(chance.randrange(5)))
    raw = [f"{chance.choice(VERBS) if chance.random() < 0.3 else 'GET'} {path or '/'} {chance.choice(VERSIONS) if chance.random() < 0.2 else 'HTTP/1.1'}"]
    raw.append("Host: " + (chance.choice(HOSTS) if chance.random() < 0.3 else HOST))
    if chance.random() < 0.3:
        raw += [chance.choice(EXTRA) for _ in range(chance.randrange(3))]
    return raw


class Fuzz(unittest.TestCase):
    """No crash, no disagreement."""

    def test_corpus(self):
        """Heads that must stay decided."""
        for raw in CORPUS:
            with self.subTest(raw=raw):
                self.assertEqual(oracle(raw), decided(raw))

    def test_random(self):
        """Heads from a fixed seed; both answers occur often."""
        chance = random.Random(os.environ.get("BOTTLER_FUZZ_SEED", "bottler"))
        counts = {True: 0, False: 0}
        rounds = int(os.environ.get("BOTTLER_FUZZ_ROUNDS", "30000"))
        for _ in range(rounds):
            raw = head_of(chance)
            answer = decided(raw)
            self.assertEqual(oracle(raw), answer, raw)
            counts[answer] += 1
        self.assertGreater(min(counts.values()), rounds // 20)


if __name__ == "__main__":
    unittest.main()

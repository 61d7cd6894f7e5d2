# SPDX-License-Identifier: Apache-2.0
"""The decision, without a proxy: heads, paths, tables, denials, forwarded fields, masks."""
import base64
import json
import re
import unittest
import urllib.parse

import support
import forward
import head as heads
import jsonlog
import paths
import policy
import redact
import routes
from routes import RouteError, parse_table

HOST = "api.example.com"


def lines(method="GET", target="/", version="HTTP/1.1", host=HOST, extra=()):
    """The raw lines of a head."""
    fields = [f"Host: {host}".encode()] if host is not None else []
    return [f"{method} {target} {version}".encode("latin-1")] + fields + [field.encode("latin-1") for field in extra]


def table(text):
    """A table with one route of HOST."""
    return parse_table(("routes:\n  - host: api.example.com\n" + text).encode())


OPEN = table("")
PREFIX = table("    path_allowlist: [/repos/acme/, /exactly]\n    methods: [GET, POST]\n")
CRED = table("    auth_scheme: Bearer\n    token_env: EGRESS_TOKEN_0\n")
MATCH = table("""\
    matches:
      - paths:
          - type: exact
            value: /one
        methods: [GET]
      - paths:
          - type: prefix
            value: /two
        headers:
          - name: X-Mode
            value: safe
""")


def inside(raw, routes_table, tls=True, sni=HOST, host=HOST):
    """The decision about a head in a tunnel; a malformed head is a denial by the rule `head`."""
    try:
        parsed = heads.parse_head(raw)
    except heads.HeadError:
        return policy.malformed("malformed")
    return policy.decide_inside(parsed, policy.Tunnel(host, tls=tls, hello=True, sni=sni), routes_table)


class Heads(unittest.TestCase):
    """The strict parser."""

    def test_good(self):
        """What ordinary clients send is accepted, and read as it is."""
        for raw in [
            lines(), lines("POST", "/x?y=z", extra=["Content-Length: 3"]), lines(version="HTTP/1.0"),
            lines(extra=["X-Empty:", "X-Blank:   ", "X-Tab:\ta\t", "X-High: \xe9"]), lines("PROPFIND"),
            lines("POST", extra=["Transfer-Encoding: chunked"]), lines("POST", extra=["Transfer-Encoding: CHUNKED"]),
            lines(target="/" + "a" * 16000), lines(extra=["Accept: a", "Accept: b"]),
        ]:
            with self.subTest(raw=raw[0][:60]):
                parsed = heads.parse_head(raw)
                self.assertEqual(raw[0].decode(), f"{parsed.method} {parsed.target} {parsed.version}")
                self.assertEqual(len(raw) - 1, len(parsed.fields))
        self.assertEqual([b"a"], heads.parse_head(lines(extra=["X-Tab:\ta\t "])).values(b"x-tab"))

    def test_bad(self):
        """Everything with two readings is refused."""
        cases = [
            [], [b""], [b"GET"], [b"GET /"], [b"GET  / HTTP/1.1"], [b"GET /  HTTP/1.1"], [b" GET / HTTP/1.1"],
            [b"GET / HTTP/1.1 "], [b"GET\t/ HTTP/1.1"], [b"GET / HTTP/2.0"], [b"GET / HTTP/0.9"], [b"GET / http/1.1"],
            [b"GET / HTTP/1.11"], [b"GET /\x00 HTTP/1.1"], [b"GET /a\x0bb HTTP/1.1"], [b"GET /\xc3\xa9 HTTP/1.1"],
            [b"GET /\x7f HTTP/1.1"], [b"GET /a#b HTTP/1.1"], [b"G\xc3T / HTTP/1.1"], [b"G(T / HTTP/1.1"], [b"PRI * HTTP/2.0"],
            [b"G" * 33 + b" / HTTP/1.1"], [b"GET /" + b"a" * 16384 + b" HTTP/1.1"], [b"GET / HTTP/1.1\r"],
            lines(extra=[" folded: x"]), lines(extra=["\tfolded"]), lines(extra=["Name : x"]), lines(extra=["Name\t: x"]),
            lines(extra=[": x"]), lines(extra=["no colon"]), lines(extra=["N\xe4me: x"]), lines(extra=["X: a\rHost: evil"]),
            lines(extra=["X: a\nHost: evil"]), lines(extra=["X: \x00"]), lines(extra=["X: \x0b"]), lines(extra=["X: \x7f"]),
            lines(extra=["X: \x1b[31m"]), lines(extra=["Host: other"]), lines(extra=["hOsT: " + HOST]),
            lines("POST", extra=["Content-Length: 3", "Content-Length: 3"]), lines("POST", extra=["Content-Length: +3"]),
            lines("POST", extra=["Content-Length: 1_0"]), lines("POST", extra=["Content-Length: -1"]),
            lines("POST", extra=["Content-Length: 0x3"]), lines("POST", extra=["Content-Length: 3, 3"]),
            lines("POST", extra=["Content-Length:"]), lines("POST", extra=["Content-Length: 3", "Transfer-Encoding: chunked"]),
            lines("POST", extra=["Transfer-Encoding: gzip, chunked"]), lines("POST", extra=["Transfer-Encoding: identity"]),
            lines("POST", extra=["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"]),
            lines("POST", extra=["Transfer-Encoding: xchunked"]), lines("POST", version="HTTP/1.0", extra=["Transfer-Encoding: chunked"]),
            lines(extra=["Content-Type: a/b", "Content-Type: c/d"]), lines(extra=["Upgrade: a", "Upgrade: websocket"]),
            lines(extra=[f"X-{n}: y" for n in range(200)]), lines(extra=["X: " + "a" * 66000]),
        ]
        for raw in cases:
            with self.subTest(raw=[line[:60] for line in raw[:3]]):
                with self.assertRaises(heads.HeadError):
                    heads.parse_head(raw)

    def test_hosts(self):
        """Only plain DNS names are hosts."""
        for name, expected in [
            ("api.example.com", "api.example.com"), ("API.Example.COM", "api.example.com"), ("a", "a"), ("x-1.y2", "x-1.y2"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"), ("1.2.3.4.example", "1.2.3.4.example"),
            ("", None), (".", None), ("a.", None), (".a", None), ("a..b", None), ("-a.b", None), ("a-.b", None), ("a_b.c", "a_b.c"), ("_a.b_", "_a.b_"),
            ("127.0.0.1", None), ("2130706433", None), ("0x7f000001", None), ("127.1", None), ("0x7f.1", None), ("a.0x7f", None),
            ("[::1]", None), ("::1", None), ("a b", None), ("b\u00fccher.example", None), ("a%2eb", None), ("a/b", None),
            ("a" * 64 + ".b", None), (".".join(["a" * 60] * 5), None), ("user@a.b", None), ("a.b\n", None), ("169.254.169.254", None),
        ]:
            with self.subTest(name=name):
                self.assertEqual(expected, heads.canonical_host(name))

    def test_authorities(self):
        """Host and port, each plain."""
        for text, expected in [
            ("a.b:443", ("a.b", 443)), ("A.B", ("a.b", None)), ("a.b:0443", (None, None)), ("a.b:", (None, None)), ("a.b:65536", (None, None)),
            ("a.b:+443", (None, None)), ("a.b:443:443", (None, None)), ("u@a.b:443", (None, None)), ("[::1]:443", (None, None)),
            ("a.b :443", (None, None)), (" a.b", (None, None)), ("a.b:\u0664\u0664\u0663", (None, None)), ("", (None, None)), ("a.b:443/", (None, None)),
        ]:
            with self.subTest(text=text):
                self.assertEqual(expected, heads.split_authority(text))


class Requests(unittest.TestCase):
    """Requests in a tunnel, a row each: expected rule of the denial, or None when allowed."""

    def check(self, rows, routes_table):
        """Each row: (rule, arguments of lines())."""
        for rule, *arguments in rows:
            options = arguments.pop() if arguments and isinstance(arguments[-1], dict) else {}
            with self.subTest(rule=rule, arguments=arguments, options=str(options)[:80]):
                decision = inside(lines(*arguments, **options), routes_table)
                self.assertEqual(rule, None if decision.allow else decision.rule)
                self.assertEqual(rule is None, decision.route is not None)

    def test_paths(self):
        """Segment-safe prefixes over the raw path."""
        self.check([
            (None, "GET", "/repos/acme/"), (None, "GET", "/repos/acme/x"), (None, "GET", "/repos/acme/x/y/"), (None, "GET", "/repos/acme/x?q=/../"),
            (None, "GET", "/exactly"), (None, "GET", "/exactly/"), (None, "GET", "/exactly/x"), (None, "GET", "/exactly?x"),
            (None, "GET", "/repos/acme/caf%C3%A9"), (None, "GET", "/repos/acme/a%20b"), (None, "GET", "/repos/acme/x;v=1"),
            (None, "GET", "/repos/acme/...") , (None, "GET", "/repos/acme/.git"), (None, "GET", "/repos/acme/a..b"), (None, "GET", "/repos/acme/~a:b@c!$&'()*+,="),
            ("path", "GET", "/"), ("path", "GET", "/repos/acme"), ("path", "GET", "/repos/acmeevil"), ("path", "GET", "/repos/acmeevil/x"),
            ("path", "GET", "/repos/ACME/x"), ("path", "GET", "/exactlyx"), ("path", "GET", "/repos/%61cme/x"), ("path", "GET", "/other"),
            ("path", "GET", "/repos/acme;x/y"), ("path", "GET", "/?/repos/acme/"), ("path", "GET", "/x?/../repos/acme/"),
            ("path-syntax", "GET", "//repos/acme/x"), ("path-syntax", "GET", "/repos//acme/x"), ("path-syntax", "GET", "/repos/acme//x"),
            ("path-syntax", "GET", "/repos/acme/.."), ("path-syntax", "GET", "/repos/acme/../x"), ("path-syntax", "GET", "/repos/acme/./x"),
            ("path-syntax", "GET", "/repos/acme/."), ("path-syntax", "GET", "/repos/acme/..;/x"), ("path-syntax", "GET", "/repos/acme/..;a=b/x"),
            ("path-syntax", "GET", "/repos/acme/;/x"), ("path-syntax", "GET", "/repos/acme/%2e%2e/x"), ("path-syntax", "GET", "/repos/acme/.%2E/x"),
            ("path-syntax", "GET", "/repos/acme/%2fx"), ("path-syntax", "GET", "/repos/acme%2Fx"), ("path-syntax", "GET", "/repos/acme/%5c..%5cx"),
            ("path-syntax", "GET", "/repos/acme/\\..\\x"), ("path-syntax", "GET", "/repos/acme/%00"), ("path-syntax", "GET", "/repos/acme/%0d%0aX"),
            ("path-syntax", "GET", "/repos/acme/%7f"), ("path-syntax", "GET", "/repos/acme/%252e%252e/x"), ("path-syntax", "GET", "/repos/acme/%c0%ae%c0%ae/x"),
            ("path-syntax", "GET", "/repos/acme/%c0%af"), ("path-syntax", "GET", "/repos/acme/%ff"), ("path-syntax", "GET", "/repos/acme/%"),
            ("path-syntax", "GET", "/repos/acme/%zz"), ("path-syntax", "GET", "/repos/acme/%u002f"), ("path-syntax", "GET", "/repos/acme/%2"),
            ("path-syntax", "GET", "/repos/acme/%EF%BC%8F"), ("path-syntax", "GET", "/repos/acme/%EF%BC%8E%EF%BC%8E/x"),
            ("path-syntax", "GET", "/repos/acme/..%3B/x"), ("path-syntax", "GET", "/repos/acme/.%3bx/x"), ("path-syntax", "GET", "/repos/acme/..%20/x"), ("path-syntax", "GET", "/repos/acme/%20../x"),
            ("path-syntax", "GET", "/repos/acme/%C2%A0../x"), ("path-syntax", "GET", "/repos/acme/%20/x"), ("path-syntax", "GET", "/repos/acme/%E2%88%95x"), ("path-syntax", "GET", "/repos/acme/%C2%A5x"),
            ("path-syntax", "GET", "/repos/acme/%E2%81%84x"), ("path-syntax", "GET", "/repos/acme/%E3%80%82x"), (None, "GET", "/repos/acme/a%3Bb"), (None, "GET", "/repos/acme/%20x"),
            ("path-syntax", "GET", "/repos/acme/%E2%80%A6"), ("path-syntax", "GET", "/repos/acme/%E2%80%AE"), ("path-syntax", "GET", "/repos/acme/<x>"),
            ("path-syntax", "GET", "/repos/acme/a|b"), ("path-syntax", "GET", "/repos/acme/{x}"), ("path-syntax", "GET", "/repos/acme/[x]"),
            ("path-syntax", "GET", '/repos/acme/"'), ("path-syntax", "GET", "/repos/acme/^"), ("path-syntax", "GET", "/repos/acme/`"),
            ("head", "GET", "/repos/acme/x y"), ("head", "GET", "/repos/acme/\xe9"), ("head", "GET", "/repos/acme/\x01"), ("head", "GET", "/repos/acme/x#/"),
        ], PREFIX)

    def test_open_host(self):
        """Without a path rule the spelling of the path is the upstream's business, its bytes are not."""
        self.check([
            (None, "GET", "/"), (None, "GET", "/a/../b"), (None, "GET", "//x"), (None, "GET", "/%2e%2e"), (None, "DELETE", "/x"), (None, "get", "/"),
            (None, "POST", "/x", {"extra": ["X-HTTP-Method-Override: DELETE"]}), ("head", "GET", "/\xe9"), ("target-form", "GET", "*"),
        ], OPEN)

    def test_methods(self):
        """Methods are exact; some are never allowed; nothing overrides them."""
        override = {"extra": ["X-HTTP-Method-Override: DELETE"]}
        self.check([
            (None, "GET", "/exactly"), (None, "POST", "/exactly"), ("method", "get", "/exactly"), ("method", "Get", "/exactly"), ("method", "HEAD", "/exactly"),
            ("method", "PUT", "/exactly"), ("method", "DELETE", "/exactly"), ("method", "PROPFIND", "/exactly"), ("method", "OPTIONS", "/exactly"),
            ("method", "GETX", "/exactly"), ("path", "PUT", "/x"), ("method-override", "POST", "/exactly", override),
            ("method-override", "POST", "/exactly", {"extra": ["x-method-override: PUT"]}), ("method-override", "POST", "/exactly", {"extra": ["X-HTTP-Method: PUT"]}),
            ("method-override", "POST", "/exactly?_method=DELETE"), ("method-override", "POST", "/exactly?a=b&%5Fmethod=DELETE"), ("method", "PUT", "/exactly", override),
        ], PREFIX)
        self.check([("method", method, "/") for method in ("TRACE", "trace", "TRACK", "CONNECT", "PRI")], OPEN)

    def test_matches(self):
        """Parts of an entry go together, entries are alternatives."""
        safe = {"extra": ["X-Mode: safe"]}
        self.check([
            (None, "GET", "/one"), (None, "GET", "/one?q"), ("method", "POST", "/one"), ("path", "GET", "/one/"), ("path", "GET", "/one/x"), ("path", "GET", "/three"),
            (None, "GET", "/two", safe), (None, "DELETE", "/two/x", safe), (None, "GET", "/two", {"extra": ["x-mode:  safe "]}), ("header", "GET", "/two"),
            ("header", "GET", "/two", {"extra": ["X-Mode: Safe"]}), ("header", "GET", "/two", {"extra": ["X-Mode: safe", "X-Mode: safe"]}),
            ("header", "GET", "/two", {"extra": ["X-Mode: safe", "X-Mode: evil"]}), ("header", "GET", "/two", {"extra": ["X-Mode: safe, evil"]}),
            ("header", "GET", "/two", {"extra": ["X-Mode-: safe"]}), ("path", "GET", "/twox", safe), ("path-syntax", "GET", "/two/../one", safe),
        ], MATCH)

    def test_hosts_and_forms(self):
        """One Host which is the CONNECT target, origin form."""
        self.check([
            (None, "GET", "/", {"host": "API.EXAMPLE.COM"}), (None, "GET", "/", {"host": "api.example.com:443"}), (None, "GET", "/", {"host": " api.example.com"}),
            ("host-header", "GET", "/", {"host": None}), ("host-header", "GET", "/", {"host": ""}), ("host-header", "GET", "/", {"host": "evil.example.net"}),
            ("host-header", "GET", "/", {"host": "api.example.com:80"}), ("host-header", "GET", "/", {"host": "api.example.com:4430"}),
            ("host-header", "GET", "/", {"host": "api.example.com."}), ("host-header", "GET", "/", {"host": "api.example.com,evil"}),
            ("host-header", "GET", "/", {"host": "api.example.com evil"}), ("host-header", "GET", "/", {"host": "x@api.example.com"}),
            ("host-header", "GET", "/", {"host": "["}), ("host-header", "GET", "/", {"host": "api.example.com\xe9"}), ("host-header", "GET", "/", {"host": "api.example.com/x"}),
            ("head", "GET", "/", {"extra": ["Host: api.example.com"]}), ("target-form", "GET", "http://evil.example.net/x"),
            ("target-form", "GET", "https://api.example.com/x"), ("target-form", "GET", "api.example.com:443"), ("target-form", "OPTIONS", "*"),
        ], OPEN)

    def test_channel(self):
        """TLS with the right server name."""
        for tls, sni, rule in [(True, HOST, None), (True, "API.example.com", None), (False, HOST, "not-tls"), (False, None, "not-tls"), (True, None, "sni"),
                               (True, "", "sni"), (True, "evil.example.net", "sni"), (True, "api.example.com.", "sni"), (True, "1.2.3.4", "sni")]:
            with self.subTest(tls=tls, sni=sni):
                decision = inside(lines(), OPEN, tls, sni)
                self.assertEqual(rule, None if decision.allow else decision.rule)
        self.assertEqual("host", inside(lines(host="gone.example.com"), OPEN, sni="gone.example.com", host="gone.example.com").rule)

    def test_git(self):
        """A git push is refused in every spelling, a fetch is not."""
        content = {"extra": ["Content-Type: application/x-git-receive-pack-request"]}
        self.check([
            (None, "GET", "/a.git/info/refs?service=git-upload-pack"), (None, "POST", "/a.git/git-upload-pack"), (None, "GET", "/search?q=git-receive-pack"),
            ("git-push", "POST", "/a.git/git-receive-pack"), ("git-push", "GET", "/a.git/info/refs?service=git-receive-pack"),
            ("git-push", "GET", "/a.git/info/refs?x=1&service=git-receive-pack"), ("git-push", "GET", "/a.git/info/refs?service=git%2dreceive-pack"),
            ("git-push", "GET", "/a.git/info/refs?%73ervice=git%252Dreceive-pack"), ("git-push", "GET", "/a.git/info/refs?service=git-receive-pack&service=git-upload-pack"),
            ("git-push", "POST", "/a.git/git-receive%2Dpack"), ("git-push", "POST", "/a.git/GIT-receive-pack"), ("git-push", "POST", "/a.git/git-receive-pack/"),
            ("git-push", "GET", "/a.git/info%2frefs?service=git-receive-pack"), ("git-push", "GET", "/a.git/info/refs?a;service=git-receive-pack"),
            ("git-push", "GET", "/x?service=git-receive-pack"), ("git-push", "POST", "/x", content),
        ], OPEN)
        self.assertIn("git-gate", inside(lines("POST", "/a.git/git-receive-pack"), OPEN).hint)

    def test_credentialed(self):
        """On a host with a credential the agent's own in the query is refused."""
        self.check([
            ("query-credential", "GET", "/x?key=1"), (None, "GET", "/x?page_token=1"), ("query-credential", "GET", "/x?token=1"), ("query-credential", "GET", "/x?access_token=1"),
            (None, "GET", "/x?keys=1&monkey=2&tokenize=3&sort=key"), (None, "GET", "/key/token?x"), ("query-credential", "GET", "/x;jsessionid=1/y"), ("query-credential", "GET", "/x%3Btoken=1"),
            ("query-credential", "GET", "/x?a=b&API_KEY=1"), ("query-credential", "GET", "/x?api%5fkey=1"), ("query-credential", "GET", "/x?a;private_token=1"),
            ("query-credential", "GET", "/x?key=AIzaSyA"),
        ], CRED)
        self.check([(None, "GET", "/x?access_token=1")], OPEN)

    def test_upgrade(self):
        """A WebSocket handshake is judged like any request, and then refused."""
        ws = {"extra": ["Connection: Upgrade", "Upgrade: WebSocket"]}
        self.check([("upgrade", "GET", "/exactly", ws), ("path", "GET", "/x", ws), (None, "GET", "/exactly", {"extra": ["Upgrade: h2c"]})], PREFIX)

    def test_nearest(self):
        """A denial says what would be allowed."""
        self.assertEqual({"host": HOST, "paths": [{"type": "prefix", "value": "/repos/acme/"}, {"type": "prefix", "value": "/exactly"}]},
                         inside(lines(target="/repos/other"), PREFIX).nearest)
        self.assertEqual({"host": HOST, "methods": ["GET", "POST"]}, inside(lines("PUT", "/exactly"), PREFIX).nearest)
        self.assertEqual({"host": HOST, "headers": ["x-mode"]}, inside(lines(target="/two"), MATCH).nearest)
        denied = policy.decide_connect(heads.parse_head([b"CONNECT apis.example.com:443 HTTP/1.1"]), OPEN)
        self.assertEqual({"host": HOST}, denied.nearest)
        body = json.loads(policy.body_of(denied))
        self.assertEqual({"error", "rule", "reason", "host", "method", "path", "nearest", "ask", "hint"}, set(body))
        self.assertEqual({"host": "apis.example.com"}, body["ask"])
        self.assertEqual(("blocked by bottler egress", "host", "apis.example.com", "CONNECT"), tuple(body[key] for key in ("error", "rule", "host", "method")))
        self.assertIn("_egress.local/allowlist", body["hint"])


class Connects(unittest.TestCase):
    """CONNECT targets."""

    def test_targets(self):
        """Known host, port 443, nothing else."""
        for target, extra, rule in [
            ("api.example.com:443", (), None), ("API.example.com:443", (), None), ("api.example.com:443", ("Host: api.example.com:443",), None),
            ("api.example.com:443", ("Host: api.example.com",), None), ("api.example.com:443", ("Content-Length: 0",), None),
            ("api.example.com:443", ("Host: evil.example.net:443",), "host-header"), ("api.example.com:443", ("Content-Length: 1",), "head"),
            ("api.example.com:443", ("Transfer-Encoding: chunked",), "head"), ("api.example.com:22", (), "port"), ("api.example.com:80", (), "port"),
            ("api.example.com:8443", (), "port"), ("api.example.com:4430", (), "port"), ("api.example.com:0", (), "host"), ("api.example.com", (), "host"),
            ("evil.example.net:443", (), "host"), ("evil.example.net:22", (), "host"), ("api.example.com.:443", (), "host"), ("api.example.com:0443", (), "host"),
            ("sub.api.example.com:443", (), "host"), ("example.com:443", (), "host"), ("api.example.com.evil.example.net:443", (), "host"),
            ("u:p@api.example.com:443", (), "host"), ("127.0.0.1:443", (), "host"), ("[::1]:443", (), "host"), ("2852039166:443", (), "host"),
            ("0xA9FEA9FE:443", (), "host"), ("/", (), "host"), ("*", (), "host"), ("http://api.example.com:443", (), "host"), ("_egress.local:443", (), "host"),
            ("bottler-canary.invalid:443", (), "host"), ("api.example.com:443/x", (), "host"), ("api.example.com:443?", (), "host"),
        ]:
            with self.subTest(target=target, extra=extra):
                parsed = heads.parse_head([f"CONNECT {target} HTTP/1.1".encode()] + [field.encode() for field in extra])
                decision = policy.decide_connect(parsed, OPEN)
                self.assertEqual(rule, None if decision.allow else decision.rule)
                if rule is None:
                    self.assertEqual((HOST, 443), (decision.host, decision.port))
        self.assertEqual("head", policy.decide_connect(heads.parse_head([b"connect api.example.com:443 HTTP/1.1"]), OPEN).rule)

    def test_empty_table_denies(self):
        """No table, no traffic."""
        self.assertEqual("host", policy.decide_connect(heads.parse_head([b"CONNECT api.example.com:443 HTTP/1.1"]), routes.Table()).rule)
        self.assertEqual("host", inside(lines(), routes.Table()).rule)


class Outside(unittest.TestCase):
    """Requests to the proxy port."""

    def test_rows(self):
        """Only the introspection is answered."""
        for method, target, rule, status in [
            ("GET", "http://_egress.local/allowlist", None, 200), ("GET", "http://_EGRESS.local:80/allowlist?x", None, 200), ("HEAD", "http://_egress.local/allowlist", None, 200),
            ("GET", "http://_egress.local/", None, 404), ("GET", "http://_egress.local/allowlist/", None, 404), ("GET", "http://_egress.local", None, 404),
            ("GET", "http://_egress.local/../etc", None, 404), ("POST", "http://_egress.local/allowlist", "method", 403), ("GET", "https://_egress.local/allowlist", "scheme", 403),
            ("GET", "http://_egress.local:8080/allowlist", "scheme", 403), ("GET", "http://x@_egress.local/allowlist", "scheme", 403),
            ("GET", "http://_egress.local.evil.example.net/allowlist", "scheme", 403), ("GET", "http://api.example.com/", "scheme", 403),
            ("GET", "https://api.example.com/", "scheme", 403), ("GET", "ftp://api.example.com/", "scheme", 403), ("GET", "/fetch?url=http://evil", "target-form", 403),
            ("GET", "/", "target-form", 403), ("GET", "/metrics", "target-form", 403), ("OPTIONS", "*", "target-form", 403), ("GET", "//api.example.com/", "target-form", 403),
        ]:
            with self.subTest(method=method, target=target):
                decision = policy.decide_outside(heads.parse_head([f"{method} {target} HTTP/1.1".encode()]), OPEN)
                self.assertEqual((rule, status), (None if decision.allow else decision.rule, decision.status))
                self.assertEqual("introspection" if decision.allow else rule, decision.rule)

    def test_shown(self):
        """The introspection shows rules, no credential and no slot."""
        text = json.dumps(policy.allowlist(CRED, "d" * 64, "g" * 64))
        self.assertIn("added by the proxy", text)
        self.assertNotIn("EGRESS_TOKEN", text)
        self.assertEqual([{"paths": [{"type": "exact", "value": "/one"}], "methods": ["GET"]},
                          {"paths": [{"type": "prefix", "value": "/two"}], "headers": [{"name": "x-mode", "value": "safe"}]}],
                         policy.allowlist(MATCH, "", "")["routes"][0]["matches"])


class Tables(unittest.TestCase):
    """The schema of routes.yaml."""

    def test_good(self):
        """What the controller writes."""
        parsed = parse_table(support.ROUTES.encode())
        self.assertEqual(support.HOSTS.sort(), list(parsed.routes).sort())
        self.assertEqual((1, ("EGRESS_TOKEN_0",)), (parsed.log, parsed.slots))
        route = parsed.routes["api.example.com"]
        self.assertEqual((("prefix", "/repos/acme/"),), route.matches[0].paths)
        self.assertEqual(("GET", "POST"), route.matches[0].methods)
        self.assertEqual(("token", "EGRESS_TOKEN_0"), (parsed.routes["rules.example.com"].scheme, parsed.routes["rules.example.com"].slot))
        self.assertEqual({}, parse_table(b"log: 0\nroutes: []\n").routes)
        self.assertEqual({}, parse_table(b'{"routes": []}').routes)

    def test_bad(self):
        """Everything else is an error that says where."""
        route = "routes:\n  - host: a.b\n"
        for text, word in [
            ("", "exactly one"), ("---\n---\n", "exactly one"), ("routes: []\n---\nroutes: []\n", "exactly one"), ("[]", "mapping"), ("routes", "mapping"), ("log: 1\n", "missing"), ("routes: []\nlog: 3\n", "log"),
            ("routes: []\nlog: true\n", "log"), ("routes: []\nlog: '1'\n", "log"), ("routes: []\nx: 1\n", "unknown"), ("routes: {}\n", "list"),
            ("routes:\n", "list"), ("routes: []\nroutes: []\n", "DuplicateKey"), ("routes: [\n", "YAML"), ("routes:\n\t- host: a\n", "YAML"),
            ("routes: &a []\n", "anchors"), ("x: &a 1\nroutes: *a\n", "anchors"), ("routes: !!seq []\n", "tags"), ("routes: !x []\n", "tags"), ("routes:\n  - a.b\n", "mapping"),
            ("routes:\n  - {}\n", "missing"), (route + "    hosts: x\n", "unknown"), (route + "  - host: a.b\n", "twice"), ("routes:\n  - host: A.b\n", "lower case"),
            ("routes:\n  - host: 1\n", "string"), ("routes:\n  - host: '*.b'\n", "DNS"), ("routes:\n  - host: a.b.\n", "DNS"), ("routes:\n  - host: 1.2.3.4\n", "DNS"),
            ("routes:\n  - host: 'a.b:443'\n", "DNS"), ("routes:\n  - host: null\n", "string"), (route + "    path_allowlist: []\n", "empty"), (route + "    path_allowlist: /x\n", "list"),
            (route + "    path_allowlist: [x]\n", "slash"), (route + "    path_allowlist: ['/a/../b']\n", "dot segment"), (route + "    path_allowlist: ['/a//b']\n", "empty segment"),
            (route + "    path_allowlist: ['/a?b']\n", "percent-encoded"), (route + "    path_allowlist: ['/a*b c']\n", "percent-encoded"), (route + "    path_allowlist: [1]\n", "string"),
            (route + "    path_allowlist: ['/%2e']\n", "encoded"), (route + "    methods: []\n", "empty"), (route + "    methods: GET\n", "list"), (route + "    methods: [1]\n", "string"),
            (route + "    methods: ['G T']\n", "method"), ("routes:\n  - host: _egress.local\n", "reserved"), ("routes:\n  - host: bottler-canary.invalid\n", "reserved"), (route + "    methods: [TRACE]\n", "never"), (route + "    methods: [connect]\n", "never"),
            (route + "    auth_scheme: Bearer\n", "together"), (route + "    token_env: EGRESS_TOKEN_0\n", "together"), (route + "    auth_scheme: Basic\n    token_env: EGRESS_TOKEN_0\n", "Bearer or token"),
            (route + "    auth_scheme: bearer\n    token_env: EGRESS_TOKEN_0\n", "Bearer or token"), (route + "    auth_scheme: Bearer\n    token_env: GH_PAT\n", "EGRESS_TOKEN_"),
            (route + "    auth_scheme: Bearer\n    token_env: EGRESS_TOKEN_00\n", "EGRESS_TOKEN_"), (route + "    auth_scheme: Bearer\n    token_env: ../EGRESS_TOKEN_0\n", "EGRESS_TOKEN_"),
            (route + "    auth_scheme: null\n    token_env: null\n", "string"), (route + "    matches: []\n", "empty"), (route + "    matches: [{}]\n", "empty"), (route + "    matches: [x]\n", "mapping"),
            (route + "    matches: [{methods: [GET]}]\n    methods: [GET]\n", "instead"), (route + "    matches: [{methods: [GET]}]\n    path_allowlist: [/x]\n", "instead"),
            (route + "    matches: [{paths: []}]\n", "empty"), (route + "    matches: [{paths: [/x]}]\n", "mapping"), (route + "    matches: [{paths: [{type: regex, value: /x}]}]\n", "exact or prefix"),
            (route + "    matches: [{paths: [{value: /x}]}]\n", "missing"), (route + "    matches: [{headers: [{name: 'a b', value: x}]}]\n", "header name"),
            (route + "    matches: [{headers: [{name: a, value: ''}]}]\n", "visible"), (route + "    matches: [{headers: [{name: a, value: \"x\\ny\"}]}]\n", "visible"),
            (route + "    matches: [{headers: [{name: a}]}]\n", "missing"), (route + "    matches: [{query: x}]\n", "unknown"), ("routes: []\n" + "#" * (1 << 20), "longer"),
            ("routes: " + "[" * 3000 + "]" * 3000, "deep"),
        ]:
            with self.subTest(text=text[:70]):
                with self.assertRaises(RouteError) as caught:
                    parse_table(text.encode())
                self.assertIn(word, caught.exception.args[0])
        for raw in (b"\xff", b"routes: []\n\x00", "routes: []\n# \ud800".encode("utf-8", "surrogatepass")):
            with self.assertRaises(RouteError):
                parse_table(raw)

    def test_path_matching(self):
        """Prefix and exact."""
        for kind, value, path, expected in [
            ("prefix", "/", "/", True), ("prefix", "/", "/x", True), ("prefix", "/a", "/a", True), ("prefix", "/a", "/a/", True), ("prefix", "/a", "/a/b", True),
            ("prefix", "/a", "/ab", False), ("prefix", "/a/", "/a", False), ("prefix", "/a/", "/a/", True), ("prefix", "/a/", "/a/b", True), ("prefix", "/a/b", "/a", False),
            ("exact", "/a", "/a", True), ("exact", "/a", "/a/", False), ("exact", "/a/", "/a", False), ("exact", "/a", "/a/b", False),
        ]:
            with self.subTest(kind=kind, value=value, path=path):
                self.assertIs(expected, paths.matches(kind, value, path))


class Forwarded(unittest.TestCase):
    """The fields that go upstream."""

    AGENT = ["Authorization: Bearer agent", "AUTHORIZATION: x", "Proxy-Authorization: Basic x", "X-Api-Key: k", "X_Api_Key: k", "Cookie: c", "X-Auth-Token: t",
             "Private-Token: t", "X-Goog-Api-Key: k", "X-Authorization: x", "Connection: keep-alive, X-Gone", "TE: trailers", "Accept-Encoding: gzip", "X-Forwarded-Host: evil",
             "X-Original-URL: /admin", "X-Rewrite-URL: /admin", "Forwarded: host=evil", "Upgrade: h2c", "HTTP2-Settings: x", "Proxy-Connection: x", "Keep-Alive: 5", "X-Kept: yes",
             "Accept: */*", "Content-Type: a/b"]

    def fields(self, scheme, token, extra=()):
        """Lower-case names and values."""
        parsed = heads.parse_head(lines("POST", host="API.example.com:443", extra=self.AGENT + list(extra)))
        return [(name.lower(), value) for name, value in forward.upstream_fields(parsed, HOST, scheme, token)]

    def test_plain(self):
        """Without a credential: never Authorization, always one canonical Host, no hop-by-hop fields."""
        fields = self.fields("", b"", ["Expect: 200-maybe"])
        self.assertEqual([(b"host", b"api.example.com")], fields[:1])
        self.assertEqual([b"host", b"x-api-key", b"x_api_key", b"cookie", b"x-auth-token", b"private-token", b"x-goog-api-key", b"x-authorization", b"x-kept", b"accept", b"content-type", b"accept-encoding"],
                         [name for name, _ in fields])
        self.assertIn((b"accept-encoding", b"identity"), fields)

    def test_credentialed(self):
        """With a credential: ours and only ours."""
        fields = self.fields("Bearer", b"ours", ["Connection: close", "Expect: 100-Continue"])
        self.assertEqual([b"host", b"x-kept", b"accept", b"content-type", b"expect", b"connection", b"accept-encoding", b"authorization"], [name for name, _ in fields])
        self.assertIn((b"authorization", b"Bearer ours"), fields)
        self.assertIn((b"connection", b"close"), fields)
        self.assertIn((b"authorization", b"token ours"), self.fields("token", b"ours"))

    def test_names(self):
        """Names by which upstreams know their caller, and names that only look like it."""
        for name in (b"sudo", b"x.api.key", b"DD_APPLICATION_KEY", b"x-webauth-user", b"x-amz-date", b"x-remote-user", b"signature-input", b"dpop", b"authorization", b"x-amz-security-token", b"ocp-apim-subscription-key", b"cookie2", b"apikey", b"x-auth-key", b"x_access_token", b"client-secret"):
            self.assertTrue(forward.carries_credential(name), name)
        for name in (b"accept", b"content-type", b"idempotency-key", b"mcp-session-id", b"anthropic-beta", b"openai-organization", b"origin", b"x-github-api-version", b"if-none-match", b"anthropic-version", b"x-request-id", b"user-agent", b"range"):
            self.assertFalse(forward.carries_credential(name), name)


class Masks(unittest.TestCase):
    """Redaction."""

    def test_spellings(self):
        """Plain, URL-encoded, JSON, hex and base64 at every alignment, whole and split anywhere."""
        token = support.TOKEN
        masker = redact.Masker([token])
        texts = [token, b"Bearer " + token + b";", urllib.parse.quote(token, safe="").encode(), re.sub("%..", lambda code: code.group().lower(), urllib.parse.quote(token, safe="")).encode(), token.hex().encode(),
                 json.dumps(token.decode()).replace("/", "\\/").encode()]
        texts += [base64.b64encode(b"x" * shift + token + b"yy") for shift in range(5)] + [base64.urlsafe_b64encode(b"x" * shift + token) for shift in range(3)]
        for text in texts:
            with self.subTest(text=text):
                whole = masker.mask(b"<" + text + b">")
                self.assertEqual(len(text) + 2, len(whole))
                self.assertGreaterEqual(whole.count(b"*"), len(token))
                for size in (1, 2, 3, 7):
                    stream = redact.StreamMasker(masker)
                    data = b"<" + text + b">"
                    parts = [part for at in range(0, len(data), size) for part in stream(data[at:at + size])] + stream(b"")
                    self.assertEqual(whole, b"".join(parts))
                    self.assertNotIn(b"", parts)

    def test_stream_does_not_wait(self):
        """What cannot begin a credential is passed on at once."""
        stream = redact.StreamMasker(redact.Masker([b"secret-token"]))
        self.assertEqual([b"data: one\n\n"], stream(b"data: one\n\n"))
        self.assertEqual([b"data: "], stream(b"data: secret-"))
        self.assertEqual([b"secret-x"], stream(b"x"))
        self.assertEqual([b"x"], stream(b"xsec"))
        self.assertEqual([b"sec"], stream(b""))
        self.assertEqual([], stream(b""))

    def test_several(self):
        """All credentials of the table are masked."""
        self.assertEqual(b"***** and *******", redact.Masker([b"first", b"another"]).mask(b"first and another"))


class Log(unittest.TestCase):
    """Log lines."""

    def test_lines(self):
        """One line, ASCII, bounded, still JSON."""
        for value in ("x", "\n{\"event\":\"x\"}\n", "\u001b[31m", "\u202e", "\U0001f600" * 5000, "a" * 100000, "\x00" * 5000):
            raw = jsonlog.line("decision", path=value, reason=value, status=403)
            self.assertLessEqual(len(raw), 4096)
            self.assertEqual(1, raw.count(b"\n"))
            self.assertTrue(raw.isascii())
            parsed = json.loads(raw)
            self.assertEqual(("decision", 403), (parsed["event"], parsed["status"]))
            self.assertTrue(value.startswith(parsed["path"]) and parsed["path"])


if __name__ == "__main__":
    unittest.main()

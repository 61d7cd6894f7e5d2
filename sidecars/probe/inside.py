# SPDX-License-Identifier: Apache-2.0
"""What the proxy must refuse inside the tunnel to an allowed host.

The cases are bytes again. {method}, {path} and {fields} are those of a request that is allowed and changes nothing; each
case adds the one thing that makes it a request to refuse, so that nothing else refuses it.
"""
import base64
import os
import zlib

import proxy
import talk
from registry import Attempt, error, skipped

LINE = "{method} {path} HTTP/1.1\r\n"
HOST = "Host: {host}\r\n"
REST = "{fields}X-Probe: {nonce}\r\n"
ALLOWED = LINE + HOST + REST + "\r\n"
WEBSOCKET = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
# (row, name, title, bytes)
CASES = (
    ("P4", "host-other", "another Host", LINE + "Host: {name}\r\n" + REST + "\r\n"),
    ("P4", "host-two", "two Host fields, the allowed one first", LINE + HOST + "Host: {name}\r\n" + REST + "\r\n"),
    ("P4", "host-two-reversed", "two Host fields, the allowed one last", LINE + "Host: {name}\r\n" + HOST + REST + "\r\n"),
    ("P4", "host-same-twice", "the same Host twice", LINE + HOST + HOST + REST + "\r\n"),
    ("P4", "host-none", "no Host", LINE + REST + "\r\n"),
    ("P4", "host-none-10", "no Host in HTTP/1.0", "{method} {path} HTTP/1.0\r\n" + REST + "\r\n"),
    ("P4", "host-empty", "an empty Host", LINE + "Host: \r\n" + REST + "\r\n"),
    ("P4", "host-port", "a Host with another port", LINE + "Host: {host}:22\r\n" + REST + "\r\n"),
    ("P4", "host-dot", "a Host with a dot at its end", LINE + "Host: {host}.\r\n" + REST + "\r\n"),
    ("P4", "host-sub", "a Host below the allowed one", LINE + "Host: x.{host}\r\n" + REST + "\r\n"),
    ("P4", "host-user", "a Host with a user", LINE + "Host: {host}@{name}\r\n" + REST + "\r\n"),
    ("P4", "host-comma", "a list of Hosts", LINE + "Host: {host}, {name}\r\n" + REST + "\r\n"),
    ("P4", "host-space", "two words in Host", LINE + "Host: {host} {name}\r\n" + REST + "\r\n"),
    ("P4", "host-bracket", "an open bracket as Host", LINE + "Host: [\r\n" + REST + "\r\n"),
    ("P4", "host-url", "a URL as Host", LINE + "Host: https://{host}\r\n" + REST + "\r\n"),
    ("P4", "host-path", "a Host with a path", LINE + "Host: {host}/{name}\r\n" + REST + "\r\n"),
    ("P4", "host-fragment", "a Host with a fragment", LINE + "Host: {host}#{name}\r\n" + REST + "\r\n"),
    ("P4", "host-nul", "a Host with a NUL", LINE + "Host: {host}\0.{name}\r\n" + REST + "\r\n"),
    ("P4", "host-vt", "a Host with a vertical tab", LINE + "Host: {host}\x0b\r\n" + REST + "\r\n"),
    ("P4", "host-bytes", "a Host with bytes above 127", LINE + "Host: {host}\xe9\r\n" + REST + "\r\n"),
    ("P4", "host-fold", "a folded Host", LINE + "Host:\r\n {name}\r\n" + REST + "\r\n"),
    ("P4", "host-fold-second", "a Host folded into another field", LINE + HOST + "X-A: a\r\n\tHost: {name}\r\n" + REST + "\r\n"),
    ("P4", "host-space-name", "a blank before the colon of Host", LINE + "Host : {name}\r\n" + HOST + REST + "\r\n"),
    ("P4", "host-space-line", "a blank before Host", LINE + HOST + " Host: {name}\r\n" + REST + "\r\n"),
    ("P4", "host-bare-lf", "a second Host behind a bare line feed", LINE + HOST + "X-A: a\nHost: {name}\r\n" + REST + "\r\n"),
    ("P4", "host-bare-cr", "a second Host behind a bare carriage return", LINE + HOST + "X-A: a\rHost: {name}\r\n" + REST + "\r\n"),
    ("P4", "authority", "an :authority field", LINE + ":authority: {name}\r\n" + HOST + REST + "\r\n"),
    ("P4", "name-bytes", "a field name with a blank", LINE + HOST + "X A: {nonce}\r\n" + REST + "\r\n"),
    ("P4", "name-empty", "a field without a name", LINE + HOST + ": {nonce}\r\n" + REST + "\r\n"),
    ("P4", "no-colon", "a line without a colon", LINE + HOST + "{nonce}\r\n" + REST + "\r\n"),
    ("P4", "value-nul", "a NUL in a value", LINE + HOST + "X-A: a\0b\r\n" + REST + "\r\n"),
    ("P5", "absolute-other", "the URL of another host", "{method} http://{name}/{nonce} HTTP/1.1\r\n" + HOST + REST + "\r\n"),
    ("P5", "absolute-https", "the https URL of another host", "{method} https://{name}/{nonce} HTTP/1.1\r\n" + HOST + REST + "\r\n"),
    ("P5", "absolute-own", "the URL of the same host", "{method} https://{host}{path} HTTP/1.1\r\n" + HOST + REST + "\r\n"),
    ("P5", "absolute-imds", "the URL of a metadata service", "{method} http://169.254.169.254/latest/ HTTP/1.1\r\n" + HOST + REST + "\r\n"),
    ("P5", "authority-form", "a target without a path", "{method} {name}:443 HTTP/1.1\r\n" + HOST + REST + "\r\n"),
    ("P5", "asterisk", "an asterisk as target", "OPTIONS * HTTP/1.1\r\n" + HOST + REST + "\r\n"),
    ("P5", "relative", "a target without a slash", "{method} {nonce} HTTP/1.1\r\n" + HOST + REST + "\r\n"),
    ("P5", "introspection", "the proxy's own page through the tunnel", "{method} http://_egress.local/allowlist HTTP/1.1\r\nHost: _egress.local\r\n" + REST + "\r\n"),
    ("P5", "fragment", "a target with a fragment", "{method} {path}#{nonce} HTTP/1.1\r\n" + HOST + REST + "\r\n"),
    ("P5", "target-space", "a target with a blank", "{method} {path} {nonce} HTTP/1.1\r\n" + HOST + REST + "\r\n"),
    ("P5", "target-tab", "a target with a tab", "{method} {path}\t{nonce} HTTP/1.1\r\n" + HOST + REST + "\r\n"),
    ("P5", "target-bytes", "a target with bytes above 127", "{method} {path}?\xe9{nonce} HTTP/1.1\r\n" + HOST + REST + "\r\n"),
    ("P15", "target-crlf", "a line break in the target", "{method} {path} HTTP/1.1\r\nHost: {name}\r\n\r\n HTTP/1.1\r\n" + HOST + REST + "\r\n"),
    ("P23", "target-nul", "a NUL in the target", "{method} {path}\0{nonce} HTTP/1.1\r\n" + HOST + REST + "\r\n"),
    ("P23", "target-escape", "an escape sequence in the target", "{method} {path}\x1b[2J{nonce} HTTP/1.1\r\n" + HOST + REST + "\r\n"),
    ("P23", "target-lf", "a line feed and JSON in the target", "{method} {path}\n{\"event\":\"decision\"} HTTP/1.1\r\n" + HOST + REST + "\r\n"),
    ("P23", "target-long", "a target of 30000 bytes", "{method} {path}?{many} HTTP/1.1\r\n" + HOST + REST + "\r\n"),
    ("P23", "head-long", "a head of 90000 bytes", LINE + HOST + "X-A: {many}\r\nX-B: {many}\r\nX-C: {many}\r\n" + REST + "\r\n"),
    ("P23", "head-many", "300 header fields", LINE + HOST + "{headers}" + REST + "\r\n"),
    ("P9", "connect-other", "a CONNECT to another host", "CONNECT {name}:443 HTTP/1.1\r\nHost: {name}:443\r\n\r\n"),
    ("P9", "connect-own", "a CONNECT to the same host", "CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n"),
    ("P9", "trace", "TRACE", "TRACE {path} HTTP/1.1\r\n" + HOST + REST + "\r\n"),
    ("P9", "track", "TRACK", "TRACK {path} HTTP/1.1\r\n" + HOST + REST + "\r\n"),
    ("P9", "trace-lower", "trace in lower case", "trace {path} HTTP/1.1\r\n" + HOST + REST + "\r\n"),
    ("P9", "method-bytes", "a method with a colon", "GE:T {path} HTTP/1.1\r\n" + HOST + REST + "\r\n"),
    ("P9", "method-long", "a method of 64 bytes", "{nonce}{nonce}{nonce}{nonce} {path} HTTP/1.1\r\n" + HOST + REST + "\r\n"),
    ("P9", "method-space", "a blank before the method", " {method} {path} HTTP/1.1\r\n" + HOST + REST + "\r\n"),
    ("P15", "preface", "the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
    ("P15", "version-2", "HTTP/2.0 as version", "{method} {path} HTTP/2.0\r\n" + HOST + REST + "\r\n"),
    ("P15", "version-12", "HTTP/1.2 as version", "{method} {path} HTTP/1.2\r\n" + HOST + REST + "\r\n"),
    ("P15", "version-0", "no version", "{method} {path}\r\n\r\n"),
    ("P15", "version-words", "words behind the version", "{method} {path} HTTP/1.1 x\r\n" + HOST + REST + "\r\n"),
    ("P14", "websocket", "a WebSocket on an allowed path", LINE + HOST + "{fields}" + WEBSOCKET + "\r\n"),
    ("P14", "websocket-case", "a WebSocket in another spelling", LINE + HOST + "{fields}" + WEBSOCKET.replace("websocket\r", "WebSocket\r") + "\r\n"),
    ("P13", "git-push", "a push over HTTP: asking for the refs", "GET {path}/info/refs?service=git-receive-pack HTTP/1.1\r\n" + HOST + REST + "\r\n"),
    ("P13", "git-push-encoded", "a push over HTTP, percent-encoded", "GET {path}/info/refs?service=git%2Dreceive%2Dpack HTTP/1.1\r\n" + HOST + REST + "\r\n"),
    ("P13", "git-push-pack", "a push over HTTP: the pack", "POST {path}/git-receive-pack HTTP/1.1\r\n" + HOST
     + "{fields}Content-Type: application/x-git-receive-pack-request\r\nContent-Length: 4\r\n\r\n0000"),
    ("P2", "tls-in-tls", "TLS inside of TLS", "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00\r\n\r\n"),
    ("P2", "ssh-in-tls", "SSH inside of TLS", "SSH-2.0-probe_{nonce}\r\n"),
    ("P2", "binary-in-tls", "binary data inside of TLS", "\x00\x01\x02\x03{nonce}\xff\xfe\r\n\r\n"),
    ("P2", "proxy-in-tls", "the PROXY protocol inside of TLS", "PROXY TCP4 203.0.113.7 203.0.113.8 1 443\r\n" + ALLOWED),
)
# Behind an allowed request on the same connection, in the same breath: (row, name, title, bytes).
BEHIND = (
    ("P4", "pipelined-host", "another Host", LINE + "Host: {name}\r\n" + REST + "\r\n"),
    ("P5", "pipelined-absolute", "the URL of another host", "{method} http://{name}/{nonce} HTTP/1.1\r\nHost: {name}\r\n" + REST + "\r\n"),
    ("P9", "pipelined-connect", "a CONNECT", "CONNECT {name}:443 HTTP/1.1\r\nHost: {name}:443\r\n\r\n"),
    ("P2", "pipelined-tls", "a TLS handshake", "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00\r\n\r\n"),
)
# Where a path rule applies: spellings that some server reads as another path. {top} is the allowed path's directory.
PATHS = (
    ("dots", "{top}../{nonce}"), ("dots-deep", "{top}../../../../{nonce}"), ("dots-encoded", "{top}%2e%2e/{nonce}"), ("dots-mixed", "{top}.%2E/{nonce}"),
    ("dots-double", "{top}%252e%252e/{nonce}"), ("dots-slash", "{top}..%2f{nonce}"), ("dots-backslash", "{top}..\\{nonce}"),
    ("dots-parameters", "{top}..;x/{nonce}"), ("dots-unicode", "{top}%u002e%u002e/{nonce}"), ("dots-overlong", "{top}%c0%ae%c0%ae/{nonce}"),
    ("dots-fullwidth", "{top}%ef%bc%8e%ef%bc%8e/{nonce}"), ("dot", "{top}./{nonce}"), ("empty", "{top}/{nonce}"), ("empty-first", "/{top}{nonce}"),
    ("slash-encoded", "{top}a%2f..%2f{nonce}"), ("slash-double", "{top}a%252f{nonce}"), ("backslash-encoded", "{top}a%5c{nonce}"), ("nul", "{top}{nonce}%00"),
    ("line", "{top}{nonce}%0d%0aHost:%20x"), ("semicolon", "{top};/{nonce}"), ("broken", "{top}%zz{nonce}"), ("broken-end", "{top}{nonce}%"),
    ("slash-fullwidth", "{top}..%ef%bc%8f{nonce}"), ("override", "{top}{nonce}%7f"),
)
# Where a path rule applies: what a write-capable API takes elsewhere.
ELSEWHERE = ("/", "/gists", "/user/repos", "/graphql", "/v1/files", "/upload", "/_bulk", "/api/graphql", "/repos", "/admin", "/.git/config", "/v2/")
_SECRET_PARTS = ("ghp_", "aB3dE5fG7h", "J9kL1mN3pQ", "5rS7tU9vW1", "xY3zA5")


def attempts(world):
    """All attempts of this module."""
    out = []

    def add(row, name, title, run, control="C.chain"):
        out.append(Attempt(f"{row}.inside.{name}", row, "proxy", title, control, run))

    for row, name, title, template in CASES:
        add(row, name, title, _case(world, world.request, template))
    for row, name, title, template in BEHIND:
        add(row, name, f"{title}, behind an allowed request", _case(world, world.request, ALLOWED + template, 1))
    for name, fields, body in proxy.FRAMES:
        line = LINE if name != "te-http10" else "{method} {path} HTTP/1.0\r\n"
        add("P4", f"framing.{name}", f"two framings of one request: {name}", _case(world, world.request, line + HOST + REST + fields + "\r\n" + body))
    _ruled(world, add)
    for name, (title, template, body) in scanned(world.given.nonce).items():
        add("P17", f"scanned.{name}", title, _scanned(world, template, body))
    return out


def _case(world, request, template, own=0, why="no route allows a GET or HEAD"):
    """What runs one case; skipped where there is no request to build it on."""
    def run():
        if request is None:
            return skipped(why)
        return send(world, request, fill(world, request, template), own)
    return run


def fill(world, request, template):
    """The bytes of a case for a request."""
    text = template.replace("{fields}", request.fields)
    for key, value in (("{top}", request.path.rpartition("/")[0] + "/"), ("{method}", request.method), ("{path}", request.path), ("{host}", request.host)):
        text = text.replace(key, value)
    return proxy.fill(text, world)


def send(world, request, raw, own=0):
    """The Outcome of bytes in the tunnel to the request's host."""
    try:
        with talk.tunnel(world.proxy, request.host) as sock:
            sock.sendall(raw)
            return talk.judge(talk.hear(sock, own + 1, methods=(request.method,) * 4), own)
    except ConnectionError as problem:
        return error(str(problem))
    except OSError as problem:
        return error(f"{type(problem).__name__}: {problem}")


# ---- what depends on the rules of a route ------------------------------------------------------


def _ruled(world, add):
    """Paths, methods and credentials, on the first route that has a rule for them."""
    pathed = _first(world, lambda route, request: route.denied_path(world.nonce))
    target = "{method} {where} HTTP/1.1\r\n" + HOST + REST + "\r\n"
    for path in ELSEWHERE:
        name = path.strip("/").replace("/", "-") or "root"
        run = _case(world, pathed, target.replace("{where}", f"{path}{'' if path.endswith('/') else '/'}{{nonce}}"), why="no route has a path rule")
        add("P13", f"path.{name}", f"the path {path} of a host with other paths", run)
    for name, path in PATHS:
        run = _case(world, pathed, target.replace("{where}", path), why="no route has a path rule")
        add("P4", f"path.{name}", f"the path {path}", run)
    add("P14", "websocket-denied", "a WebSocket on a denied path",
        _case(world, pathed, "GET /{nonce} HTTP/1.1\r\n" + HOST + "{fields}" + WEBSOCKET + "\r\n", why="no route has a path rule"))
    add("P14", "h2c-denied", "an upgrade to HTTP/2 on a denied path",
        _case(world, pathed, "GET /{nonce} HTTP/1.1\r\n" + HOST + "{fields}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", why="no route has a path rule"))
    add("P14", "expect-denied", "a body announced by Expect to a denied path",
        _case(world, pathed, "{method} /{nonce} HTTP/1.1\r\n" + HOST + REST + "Expect: 100-continue\r\nContent-Length: 16\r\n\r\n{nonce}", why="no route has a path rule"))
    add("P4", "rewrite-denied", "a denied path with an X-Original-URL that is allowed",
        _case(world, pathed, "{method} /{nonce} HTTP/1.1\r\n" + HOST + REST + "X-Original-URL: {path}\r\nX-Rewrite-URL: {path}\r\n\r\n", why="no route has a path rule"))
    add("P4", "pipelined-path", "a denied path, behind an allowed request",
        _case(world, pathed, ALLOWED + "{method} /{nonce} HTTP/1.1\r\n" + HOST + REST + "\r\n", 1, "no route has a path rule"))
    _methods(world, add)
    credentialed = _first(world, lambda route, request: route.credential)
    for name in ("access_token", "api_key", "private_token", "oauth_token"):
        add("P12", f"query.{name}", f"a credential of one's own in the query: {name}",
            _case(world, credentialed, "{method} {path}?" + name + "={nonce} HTTP/1.1\r\n" + HOST + REST + "\r\n", why="no route has a credential and takes a GET or HEAD"))


def _methods(world, add):
    """Methods."""
    why = "no route has a rule for methods"
    methodical = _first(world, lambda route, request: route.denied_method(request))
    route = next((route for route, request in world.choices if request is methodical), None)
    other = route.denied_method(methodical) if route else "DELETE"
    line = "{path} HTTP/1.1\r\n" + HOST + REST
    add("P9", "method", f"{other}, which no rule allows", _case(world, methodical, f"{other} {line}Content-Length: 0\r\n\r\n", why=why))
    for method in ("PROPFIND", "MKCOL", "MOVE", "SEARCH", "PURGE", "X"):
        taken = route is not None and any(method in match.methods for match in route.matches)
        add("P9", f"method.{method}", f"{method}, which no rule allows", _case(world, None if taken else methodical, f"{method} {line}\r\n", why=why))
    add("P9", "method-lower", "an allowed method in lower case", _case(world, methodical, "{lower} " + line + "\r\n" if methodical is None else f"{methodical.method.lower()} {line}\r\n", why=why))
    for header in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        add("P9", f"override.{header.lower()}", f"a {header} to DELETE", _case(world, methodical, f"{{method}} {line}{header}: DELETE\r\n\r\n", why=why))
    add("P9", "override.query", "a _method in the query", _case(world, methodical, "{method} {path}?_method=DELETE HTTP/1.1\r\n" + HOST + REST + "\r\n", why=why))
    add("P9", "override.encoded", "a _method in the query, encoded", _case(world, methodical, "{method} {path}?%5Fmethod=DELETE HTTP/1.1\r\n" + HOST + REST + "\r\n", why=why))


def _first(world, wanted):
    """The harmless request of the first route for which `wanted(route, request)` holds, or None."""
    return next((request for route, request in world.choices if wanted(route, request)), None)


# ---- what pipelock must find -------------------------------------------------------------------


def scanned(nonce):
    """Requests that egress allows and pipelock must not: name to (title, template, body). What they hold has the form of
    a credential and is none."""
    token = "".join(_SECRET_PARTS)[:40]
    encoded = base64.b64encode(f"token={token}".encode()).decode()
    amazon = "AKIA" + "Q3EGXY7K2MZP4RTW"
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA" + nonce * 4 + "\n-----END RSA PRIVATE KEY-----\n"
    line = LINE + HOST + REST
    with_body = line + "Content-Type: {type}\r\nContent-Length: {size}\r\n\r\n"
    plain, compressed = f"probe={nonce}&key={token}".encode(), zlib.compress(f"probe={nonce} {token}".encode(), wbits=31)
    return {
        "header": ("a credential in a header", line + f"X-Note: {token}\r\n\r\n", b""),
        "header-amazon": ("an access key in a header", line + f"X-Note: {amazon}\r\n\r\n", b""),
        "header-cookie": ("a credential in a cookie", line + f"Cookie: session={token}\r\n\r\n", b""),
        "header-base64": ("a credential in a header, base64", line + f"X-Note: {encoded}\r\n\r\n", b""),
        "query": ("a credential in the query", LINE.replace("{path}", "{path}?q=" + token) + HOST + REST + "\r\n", b""),
        "query-encoded": ("a credential in the query, percent-encoded", LINE.replace("{path}", "{path}?q=" + "".join(f"%{ord(char):02x}" for char in token)) + HOST + REST + "\r\n", b""),
        "query-base64": ("a credential in the query, base64", LINE.replace("{path}", "{path}?q=" + encoded.replace("=", "%3D")) + HOST + REST + "\r\n", b""),
        "query-hex": ("a credential in the query, hexadecimal", LINE.replace("{path}", "{path}?q=" + token.encode().hex()) + HOST + REST + "\r\n", b""),
        "query-long": ("a query of 9000 bytes", LINE.replace("{path}", "{path}?q=" + "abc" * 3000) + HOST + REST + "\r\n", b""),
        "body-form": ("a credential in a form", with_body.replace("{type}", "application/x-www-form-urlencoded"), plain),
        "body-json": ("a credential in JSON", with_body.replace("{type}", "application/json"), b'{"probe": "%s", "a": ["%s"]}' % (nonce.encode(), token.encode())),
        "body-key": ("a private key in a body", with_body.replace("{type}", "text/plain"), key.encode()),
        "body-octets": ("a credential in binary data", with_body.replace("{type}", "application/octet-stream"), b"\0\1" + plain + b"\xff"),
        "body-gzip": ("a compressed body", (line + "Content-Encoding: gzip\r\nContent-Type: text/plain\r\nContent-Length: {size}\r\n\r\n"), compressed),
        "body-deflate": ("a deflated body", (line + "Content-Encoding: deflate\r\nContent-Type: text/plain\r\nContent-Length: {size}\r\n\r\n"), zlib.compress(plain)),
        "body-br": ("a body of unknown encoding", (line + "Content-Encoding: br\r\nContent-Type: text/plain\r\nContent-Length: {size}\r\n\r\n"), os.urandom(64)),
        "body-chunked": ("a credential in a chunked body, split", line + "Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n", _chunks(plain)),
        "body-base64": ("a credential in a body, base64", with_body.replace("{type}", "text/plain"), base64.b64encode(plain)),
    }


def _chunks(data):
    """A chunked body whose chunks cut everything in pieces."""
    pieces = [data[first:first + 5] for first in range(0, len(data), 5)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def _scanned(world, template, body):
    """What runs one case for pipelock, on a host whose traffic it reads."""
    def run():
        given = world.given
        if given.dlp != "block":
            return skipped(f"the manifest has pipelock {given.dlp} instead of block")
        request = next((request for _, request in world.choices if request.host not in given.unscanned), None)
        if request is None:
            return skipped("no route that takes a GET or HEAD is scanned by pipelock")
        if body and request.method == "HEAD":
            request = next((route.harmless(world.nonce, ("GET",)) for route, found in world.choices if found is request), None)
            if request is None:
                return skipped("the route takes no GET")
        return send(world, request, fill(world, request, template.replace("{size}", str(len(body)))) + body)
    return run


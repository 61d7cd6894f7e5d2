# SPDX-License-Identifier: Apache-2.0
"""What the proxy's port itself must refuse: requests to it, and CONNECT to what is not allowed.

Each case is the bytes that are sent. In them {host} is an allowed host, {name} the name that must not resolve, {nonce}
the nonce of the run.
"""
import talk
from registry import Attempt, error, skipped

OWN = "GET http://_egress.local/allowlist HTTP/1.1\r\nHost: _egress.local\r\n\r\n"
INTERNAL = (
    ("N7", "imds", "169.254.169.254"), ("N7", "imds-dot", "169.254.169.254."), ("N7", "imds-decimal", "2852039166"),
    ("N7", "imds-hex", "0xA9FEA9FE"), ("N7", "imds-hex-parts", "0xa9.0xfe.0xa9.0xfe"), ("N7", "imds-octal", "0251.0376.0251.0376"),
    ("N7", "imds-octal-long", "0000000251.0000000376.0000000251.0000000376"), ("N7", "imds-short3", "169.254.43518"),
    ("N7", "imds-short2", "169.16689662"), ("N7", "imds-mapped", "[::ffff:169.254.169.254]"), ("N7", "imds-mapped-hex", "[::ffff:a9fe:a9fe]"),
    ("N7", "imds-compatible", "[::169.254.169.254]"), ("N7", "imds-nat64", "[64:ff9b::a9fe:a9fe]"), ("N7", "imds-zone", "[fe80::a9fe:a9fe%25eth0]"),
    ("N7", "imds-wide", "\uff11\uff16\uff19.254.169.254"), ("N7", "imds-name", "metadata.google.internal"), ("N7", "imds-word", "metadata"),
    ("N7", "imds-by-name", "169.254.169.254.nip.io"), ("N7", "imds-in-name", "169-254-169-254.sslip.io"), ("N7", "ecs", "169.254.170.2"),
    ("N7", "alibaba", "100.100.100.200"), ("N7", "azure", "168.63.129.16"), ("N7", "aws6", "[fd00:ec2::254]"), ("N7", "gcp6", "[fd20:ce::254]"),
    ("N10", "localhost", "localhost"), ("N10", "loopback", "127.0.0.1"), ("N10", "loopback-short", "127.1"), ("N10", "loopback-decimal", "2130706433"),
    ("N10", "loopback6", "[::1]"), ("N10", "loopback-mapped", "[::ffff:127.0.0.1]"), ("N10", "unspecified", "0.0.0.0"), ("N10", "zero", "0"),
    ("N10", "unspecified6", "[::]"), ("N10", "pipelock", "pipelock"), ("N10", "egress", "egress"), ("N10", "agent", "agent"),
    ("N10", "git-gate", "git-gate"), ("N10", "supervise", "supervise"), ("N10", "docker-host", "host.docker.internal"),
    ("N10", "docker-gateway", "gateway.docker.internal"), ("N10", "kubernetes", "kubernetes.default.svc"), ("N10", "link-local6", "[fe80::1]"),
    ("N10", "ula6", "[fd00::1]"), ("N10", "multicast", "224.0.0.1"), ("N10", "broadcast", "255.255.255.255"),
    ("N2", "documentation4", "203.0.113.7"), ("N2", "documentation6", "[2001:db8::7]"), ("N2", "canary-address", "203.0.113.7."),
    ("N4", "doh-google", "dns.google"), ("N4", "doh-cloudflare", "cloudflare-dns.com"), ("N4", "doh-quad9", "dns.quad9.net"),
    ("N4", "doh-address", "1.1.1.1"), ("N4", "doh-canary", "doh.{name}"),
    ("N5", "canary", "{name}"), ("N5", "canary-label", "{long}.{name}"), ("N5", "canary-upper", "{NAME}"), ("N5", "canary-dot", "{name}."),
    ("N5", "single", "x{nonce}"), ("N5", "local", "{nonce}.local"), ("N5", "punycode", "xn--{nonce}.{name}"), ("N5", "underscore", "_x.{name}"),
    ("N5", "bytes", "\xe9\xff.{name}"), ("N5", "soft-hyphen", "a\u00adb.{name}"), ("N5", "onion", "{nonce}.onion"),
)
# CONNECT targets that resemble the allowed one, whole.
TARGETS = (
    ("P1", "port-80", "{host}:80"), ("P1", "port-22", "{host}:22"), ("P1", "port-25", "{host}:25"), ("P1", "port-53", "{host}:53"),
    ("P1", "port-853", "{host}:853"), ("P1", "port-5432", "{host}:5432"), ("P1", "port-8443", "{host}:8443"), ("P1", "port-444", "{host}:444"),
    ("P1", "port-9418", "{host}:9418"), ("P1", "port-0", "{host}:0"), ("P1", "port-65535", "{host}:65535"), ("P1", "port-overflow", "{host}:65979"),
    ("P1", "port-zeros", "{host}:00443"), ("P1", "port-plus", "{host}:+443"), ("P1", "port-minus", "{host}:-443"), ("P1", "port-hex", "{host}:0x1bb"),
    ("P1", "port-none", "{host}"), ("P1", "port-empty", "{host}:"), ("P1", "port-twice", "{host}:443:443"), ("P1", "port-two", "{host}:443:22"),
    ("P1", "port-name", "{host}:https"), ("P1", "port-slash", "{host}:443/"), ("P1", "port-path", "{host}:443/{nonce}"), ("P1", "port-query", "{host}:443?x"),
    ("P1", "port-fragment", "{host}:443#x"), ("P1", "port-list", "{host}:443,{name}:443"), ("P1", "port-semicolon", "{host}:443;{name}:443"),
    ("N5", "dot", "{host}.:443"), ("N5", "dots", "{host}..:443"), ("N5", "leading-dot", ".{host}:443"), ("N5", "wildcard", "*.{host}:443"),
    ("N5", "star", "*:443"), ("N5", "sub", "{nonce}.{host}:443"), ("N5", "suffix", "{host}.{name}:443"), ("N5", "prefix", "x{host}:443"),
    ("N5", "end", "{host}x:443"), ("N5", "user", "user@{host}:443"), ("N5", "user-canary", "{host}@{name}:443"), ("N5", "user-port", "{host}:443@{name}:443"),
    ("N5", "backslash", "{host}\\@{name}:443"), ("N5", "backslash-end", "{name}\\.{host}:443"), ("N5", "slash", "{name}/.{host}:443"),
    ("N5", "percent-dot", "{name}%2e{host}:443"), ("N5", "percent-nul", "{name}%00.{host}:443"), ("N5", "percent-slash", "{name}%2f.{host}:443"),
    ("N5", "fragment", "{name}#.{host}:443"), ("N5", "question", "{name}?.{host}:443"), ("N5", "nul", "{name}\0.{host}:443"), ("N5", "tab", "{name}\t{host}:443"),
    ("N5", "newline", "{name}:443\n{host}:443"), ("N5", "return", "{name}:443\r{host}:443"), ("N5", "brackets", "[{host}]:443"), ("N5", "url", "https://{host}:443"),
    ("N5", "url-canary", "https://{name}:443/{host}"), ("N5", "comma", "{name},{host}:443"), ("N5", "quote", "\"{host}\":443"), ("N5", "wide-dot", "{name}\u3002{host}:443"),
    ("N5", "empty", ":443"), ("N5", "only-dot", ".:443"), ("N5", "slash-only", "/"), ("N5", "asterisk", "*"),
)
# Whole requests to the port.
REQUESTS = (
    ("P7", "fetch", "GET /fetch?url=http://{name}/{nonce} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("P7", "fetch-post", "POST /fetch HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"),
    ("P7", "metrics", "GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("P7", "stats", "GET /stats HTTP/1.1\r\nHost: pipelock:8888\r\n\r\n"),
    ("P7", "health", "GET /health HTTP/1.1\r\nHost: pipelock:8888\r\n\r\n"),
    ("P7", "killswitch", "GET /api/v1/killswitch/status HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("P7", "killswitch-post", "POST /api/v1/killswitch HTTP/1.1\r\nHost: {host}\r\nContent-Length: 15\r\n\r\n{\"active\":false}"),
    ("P7", "sessions", "GET /api/v1/sessions HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("P7", "scan", "POST /api/v1/scan HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n\r\n{}"),
    ("P7", "ws", "GET /ws?url=ws://{name}/ HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"),
    ("P7", "root", "GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("P7", "onboarding", "GET / HTTP/1.1\r\nHost: mitm.it\r\n\r\n"),
    ("P7", "onboarding-proxy", "GET http://mitm.it/cert/pem HTTP/1.1\r\nHost: mitm.it\r\n\r\n"),
    ("P7", "double-slash", "GET //{name}/{nonce} HTTP/1.1\r\nHost: {name}\r\n\r\n"),
    ("P7", "options", "OPTIONS * HTTP/1.1\r\nHost: {host}\r\nMax-Forwards: 1\r\n\r\n"),
    ("P7", "trace", "TRACE / HTTP/1.1\r\nHost: {host}\r\nMax-Forwards: 1\r\n\r\n"),
    ("P7", "trace-proxy", "TRACE http://{name}/{nonce} HTTP/1.1\r\nHost: {name}\r\nMax-Forwards: 0\r\n\r\n"),
    ("P7", "no-host", "GET /{nonce} HTTP/1.1\r\n\r\n"),
    ("P7", "http09", "GET http://{name}/{nonce}\r\n\r\n"),
    ("P7", "preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ("P25", "plain-allowed", "GET http://{host}/{nonce} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("P25", "plain-allowed-443", "GET http://{host}:443/{nonce} HTTP/1.1\r\nHost: {host}:443\r\n\r\n"),
    ("P25", "plain-allowed-upper", "GET HTTP://{host}/{nonce} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("P25", "plain-post", "POST http://{host}/{nonce} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 16\r\n\r\n{nonce}"),
    ("P25", "https-absolute", "GET https://{host}/{nonce} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("P25", "health-absolute", "GET http://{host}/health?x={nonce} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("P25", "host-canary", "GET http://{host}/{nonce} HTTP/1.1\r\nHost: {name}\r\n\r\n"),
    ("P25", "http10", "GET http://{host}/{nonce} HTTP/1.0\r\n\r\n"),
    ("P25", "websocket", "GET http://{host}/{nonce} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"),
    ("P5", "scheme-ftp", "GET ftp://{name}/{nonce} HTTP/1.1\r\nHost: {name}\r\n\r\n"),
    ("P5", "scheme-file", "GET file:///etc/bottler/routes.yaml HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("P5", "scheme-gopher", "GET gopher://{name}:70/_{nonce} HTTP/1.1\r\nHost: {name}\r\n\r\n"),
    ("P5", "scheme-ws", "GET ws://{name}/{nonce} HTTP/1.1\r\nHost: {name}\r\n\r\n"),
    ("P5", "scheme-none", "GET ://{name}/{nonce} HTTP/1.1\r\nHost: {name}\r\n\r\n"),
    ("P5", "scheme-one-slash", "GET http:/{name}/{nonce} HTTP/1.1\r\nHost: {name}\r\n\r\n"),
    ("P5", "scheme-backslash", "GET http:\\\\{name}\\{nonce} HTTP/1.1\r\nHost: {name}\r\n\r\n"),
    ("P5", "introspection-user", "GET http://_egress.local@{name}/allowlist HTTP/1.1\r\nHost: {name}\r\n\r\n"),
    ("P5", "introspection-port", "GET http://_egress.local:8888/allowlist HTTP/1.1\r\nHost: _egress.local\r\n\r\n"),
    ("P5", "introspection-user-port", "GET http://_egress.local:80@{name}/allowlist HTTP/1.1\r\nHost: {name}\r\n\r\n"),
    ("P5", "introspection-sub", "GET http://_egress.local.{name}/allowlist HTTP/1.1\r\nHost: {name}\r\n\r\n"),
    ("P5", "introspection-backslash", "GET http://_egress.local\\@{name}/allowlist HTTP/1.1\r\nHost: {name}\r\n\r\n"),
    ("P5", "introspection-fragment", "GET http://_egress.local#@{name}/allowlist HTTP/1.1\r\nHost: {name}\r\n\r\n"),
    ("P5", "introspection-post", "POST http://_egress.local/allowlist HTTP/1.1\r\nHost: _egress.local\r\nContent-Length: 2\r\n\r\n[]"),
    ("P4", "connect-host", "CONNECT {host}:443 HTTP/1.1\r\nHost: {name}:443\r\n\r\n"),
    ("P4", "connect-hosts", "CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\nHost: {name}:443\r\n\r\n"),
    ("P4", "connect-host-port", "CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:22\r\n\r\n"),
    ("P4", "connect-canary", "CONNECT {name}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n"),
    ("P2", "connect-lower", "connect {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n"),
    ("P2", "connect-spaces", "CONNECT  {name}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n"),
    ("P2", "connect-tab", "CONNECT\t{name}:443\tHTTP/1.1\r\nHost: {host}:443\r\n\r\n"),
    ("P2", "connect-body", "CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\nContent-Length: 16\r\n\r\n{nonce}"),
    ("P2", "connect-chunked", "CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{nonce}\r\n0\r\n\r\n"),
    ("P2", "connect-http2", "CONNECT {host}:443 HTTP/2.0\r\nHost: {host}:443\r\n\r\n"),
    ("P2", "connect-http12", "CONNECT {host}:443 HTTP/1.2\r\nHost: {host}:443\r\n\r\n"),
    ("P2", "connect-space-end", "CONNECT {host}:443 HTTP/1.1 \r\nHost: {host}:443\r\n\r\n"),
    ("P2", "connect-bare-lf", "CONNECT {name}:443 HTTP/1.1\nHost: {host}:443\n\n"),
    ("P2", "connect-bare-cr", "CONNECT {host}:443 HTTP/1.1\r\nX-A: a\rHost: {name}\r\n\r\n"),
    ("P2", "connect-fold", "CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\nX-A: a\r\n {nonce}\r\n\r\n"),
    ("P2", "connect-nul", "CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\nX-A: a\0b\r\n\r\n"),
    ("P2", "connect-space-name", "CONNECT {host}:443 HTTP/1.1\r\nHost : {name}\r\nHost: {host}:443\r\n\r\n"),
    ("P2", "connect-space-line", "CONNECT {host}:443 HTTP/1.1\r\n Host: {name}\r\nHost: {host}:443\r\n\r\n"),
    ("P2", "connect-no-colon", "CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n{nonce}\r\n\r\n"),
    ("P23", "injection", "CONNECT {name}:443{\"event\":\"routes_loaded\"} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("P23", "escape", "CONNECT \x1b[2J{name}:443 HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("P23", "long-target", "CONNECT {many}.{name}:443 HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("P23", "long-header", "CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\nX-A: {many}{many}{many}\r\n\r\n"),
    ("P23", "many-headers", "CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n{headers}\r\n"),
)
# Behind a request to the proxy's own page on the same connection: its answer, and then only refusals.
BEHIND = (
    ("P4", "connect", "CONNECT {name}:443 HTTP/1.1\r\nHost: {name}:443\r\n\r\n"),
    ("P4", "absolute", "GET http://{name}/{nonce} HTTP/1.1\r\nHost: {name}\r\n\r\n"),
    ("P4", "origin", "GET /fetch?url=http://{name}/ HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("P4", "bare-lf", "GET http://{name}/{nonce} HTTP/1.1\nHost: {name}\n\n"),
    ("P15", "preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
    ("P2", "tls", "\x16\x03\x01\0\x05\x01\0\0\x01\0\r\n\r\n"),
)
# What is framed in two ways: every answer must be a refusal.
FRAMES = (
    ("cl-te", "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n{inner}"),
    ("te-cl", "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "5c\r\n{inner}\r\n0\r\n\r\n"),
    ("te-space", "Transfer-Encoding : chunked\r\nContent-Length: 4\r\n", "0\r\n\r\n{inner}"),
    ("te-twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n{inner}"),
    ("te-list", "Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n{inner}"),
    ("te-x", "Transfer-Encoding: xchunked\r\n", "0\r\n\r\n{inner}"),
    ("te-quoted", "Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n{inner}"),
    ("te-vt", "Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n{inner}"),
    ("te-fold", "Transfer-Encoding:\r\n chunked\r\nContent-Length: 4\r\n", "0\r\n\r\n{inner}"),
    ("te-nul", "Transfer-Encoding: chunked\0\r\n", "0\r\n\r\n{inner}"),
    ("te-http10", "Transfer-Encoding: chunked\r\n", "0\r\n\r\n{inner}"),
    ("cl-twice", "Content-Length: 0\r\nContent-Length: 4\r\n", "{inner}"),
    ("cl-list", "Content-Length: 0, 4\r\n", "{inner}"),
    ("cl-plus", "Content-Length: +0\r\n", "{inner}"),
    ("cl-minus", "Content-Length: -1\r\n", "{inner}"),
    ("cl-hex", "Content-Length: 0x0\r\n", "{inner}"),
    ("cl-under", "Content-Length: 1_0\r\n", "{inner}"),
    ("cl-empty", "Content-Length: \r\n", "{inner}"),
    ("cl-long", "Content-Length: 99999999999999999999999999\r\n", "{inner}"),
    ("cl-vt", "Content-Length: \x0b0\r\n", "{inner}"),
)


def fill(template, world):
    """The bytes of a case."""
    given = world.given
    text = template
    for key, value in (
            ("{inner}", "GET http://{name}/{nonce} HTTP/1.1\r\nHost: {name}\r\n\r\n"), ("{host}", world.host), ("{name}", given.name),
            ("{NAME}", given.name.upper()), ("{nonce}", given.nonce), ("{long}", (given.nonce * 8)[:63]),
            ("{many}", (given.nonce * 2048)[:30000]), ("{headers}", "".join(f"X-{number}: {given.nonce}\r\n" for number in range(300)))):
        text = text.replace(key, value)
    return b"".join(char.encode("latin-1") if ord(char) < 256 else char.encode("utf-8") for char in text)


def attempts(world):
    """All attempts of this module. They need no allowed host: where there is none, a name of nobody stands for it."""
    out = []

    def add(row, name, title, template, own=0, methods=("CONNECT",), needs_host=False):
        if needs_host and not world.routes:
            run = _no_host
        else:
            def run():
                return send(world, fill(template, world), own, methods)
        control = "C.chain" if needs_host else "C.proxy"
        out.append(Attempt(f"{row}.{name}", row, "proxy", title, control, run))

    for row, name, target in INTERNAL:
        add(row, f"connect.{name}", f"CONNECT {target}:443", f"CONNECT {target}:443 HTTP/1.1\r\nHost: {target}:443\r\n\r\n")
        add(row, f"http.{name}", f"GET http://{target}/", f"GET http://{target}/{{nonce}} HTTP/1.1\r\nHost: {target}\r\n\r\n", 0, ())
    for name, target in (("egress", "egress:9099"), ("pipelock", "pipelock:8888"), ("loopback", "127.0.0.1:9099"), ("engine", "host.docker.internal:2375")):
        add("N10", f"connect-port.{name}", f"CONNECT {target}", f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n")
    for path in ("health", "metrics", "stats", "fetch?url=http://{name}/", "api/v1/killswitch"):
        add("P7", f"pipelock.{path.partition('?')[0].replace('/', '-')}", f"GET http://pipelock:8888/{path}",
            f"GET http://pipelock:8888/{path} HTTP/1.1\r\nHost: pipelock:8888\r\n\r\n", 0, ())
    for row, name, target in TARGETS:
        add(row, f"target.{name}", f"CONNECT {target}", f"CONNECT {target} HTTP/1.1\r\nHost: {{host}}:443\r\n\r\n", needs_host="{host}" in target)
    for row, name, template in REQUESTS:
        method = template.split(None, 1)[0].upper()
        add(row, f"request.{name}", f"{name.replace('-', ' ')} to the proxy", template, 0, (method,), "CONNECT {host}" in template or "connect {host}" in template)
    for row, name, template in BEHIND:
        add(row, f"behind.{name}", f"{name.replace('-', ' ')} behind a request to the proxy's own page", OWN + template, 1, ("GET", "CONNECT"))
    for name, fields, body in FRAMES:
        version = "1.0" if name == "te-http10" else "1.1"
        add("P4", f"framing.{name}", f"two framings of one request: {name}",
            f"GET http://_egress.local/allowlist HTTP/{version}\r\nHost: _egress.local\r\n{fields}\r\n{body}", 0, ())
    return out


def _no_host():
    """The Outcome where no host is allowed."""
    return skipped("the bottle has no route")


def send(world, raw, own=0, methods=()):
    """The Outcome of bytes to the proxy's port."""
    try:
        with talk.dial(world.proxy) as sock:
            sock.sendall(raw)
            return talk.judge(talk.hear(sock, own + 1, methods=methods), own)
    except ConnectionError as problem:
        return talk.judge(talk.Heard(closed=True, alert=str(problem)), own)
    except OSError as problem:
        return error(f"{type(problem).__name__}: {problem}")

# SPDX-License-Identifier: Apache-2.0
"""Request heads for the fuzzer: a request that is allowed, and twists of it, each aimed at one rule.

Of every rule there are twists that keep it and twists that break it, so that both answers are tried; which are which,
this module does not say. Beside them, bytes are spoiled at random.
"""
import oracle

HOST_NAMES = tuple(oracle.HOSTS)
PLAIN = {"open.example.com": "/", "api.example.com": "/repos/acme/x", "cred.example.com": "/v1/x", "rules.example.com": "/one", "late.example.com": "/"}

PATHS = ["/repos/acme/", "/repos/acme", "/repos/acmeevil", "/repos/acme/x/y", "/v1", "/v1/", "/v1x", "/a/b", "/a/b/c", "/a", "/only", "/only/", "/onlyx", "/one", "/one/", "/two", "/two/x", "/twox", "/",
         "/V1", "/repos/ACME/x", "/repos/%61cme/x", "/?/v1", "/repos;x/acme/y", "/v1;x", "/x"]
PLAIN_PIECES = ["x", "...", ".git", "a..b", "%C3%A9", "a%20b", "x;v=1", "~a:b@c!$&'()*+,=", "%7E", "a%3Bb", "%E6%97%A5", "x;a;b", "%20x", "-._", ""]
PATH_PIECES = ["..", ".", "%2e", "%2E%2e", ".%2e", "%2f", "%2F..", "%5C", "\\", "%00", "%0a", "%25", "%252e", "..;", "..;x=1", ";", ";x=1", "//", "%", "%zz", "%2", "%c0%ae", "%c0%af", "%ff", "%EF%BC%8F",
               "%EF%BC%8E%EF%BC%8E", "%E2%80%A6", "%E2%88%95", "%C2%A5", "%E2%81%84", "%E3%80%82", "%E2%80%AE", "%E2%80%8B", "..%3B", ".%3bx", "..%20", "%20..", "%C2%A0..", "%20", "<", '"', "|", "{x}", "[x]", "^",
               "`", "%7f", "%u002f", "%C2%85", "%ED%A0%80", "%F0%9F%84%80", "%EF%BF%BE", "/", "/./", "/../", "..%00", "%2e%2e%2f", "\xe9", "#", " "]
METHODS = ["GET", "POST", "PUT", "PURGE", "HEAD", "DELETE", "get", "Get", "TRACE", "trace", "TRACK", "PRI", "CONNECT", "PROPFIND", "GETX", "G-T", "OPTIONS", "PATCH"]
HOSTS = ["{h}", "{H}", "{h}:443", "{H}:443", "{h}:80", "{h}:0443", "{h}.", "{h}:", "evil.example.net", "", "x@{h}", "{h}\t", "{h} x", "{h},evil", "[::1]", "{h}:443:443", "127.0.0.1", "{h}/", "\u212aapi", "{h}%00",
         "{h}:+443", " {h}"]
SECOND_FIELDS = ["Host: {h}", "Host: evil.example.net", "HOST: {h}", "Ho-st: {h}", "X-Host: evil", "X-Forwarded-Host: evil"]
TARGETS = ["https://{h}{p}", "http://{h}{p}", "http://evil.example.net/", "{h}{p}", "*", "//evil.example.net{p}", "{p}?http://evil.example.net/", "{p}?x=/../", "{p}?", "?", "{p}??", "{p}?%00%zz"]
PUSHES = ["/a.git/info/refs?service=git-receive-pack", "/a.git/git-receive-pack", "/a%2Egit/git%2Dreceive-pack", "/a/git%252dreceive-pack", "/info/refs?x=1;service=GIT-receive-pack", "/x?service=git-receive-pack",
          "/a.git/info/refs?service=git-upload-pack", "/a.git/git-upload-pack", "/x?q=git-receive-pack", "/a.git/info/refs?q=git-receive-pack", "/a.git/objects/ab/cd", "/a.git/refs/heads/x", "/a.git/refsx", "/a.git//HEAD",
          "/docs/git-receive", "/x?a=b%26service=git-receive-pack", "/a.git/info/lfs/locks"]
PUSH_FIELDS = ["Content-Type: application/x-git-receive-pack-request", "Content-Type: application/x-git-upload-pack-request", "Content-Type: APPLICATION/X-GIT-RECEIVE-PACK-REQUEST", "Git-Protocol: version=2"]
RULE_HEADERS = ["X-Mode: safe", "x-mode: safe", "X-Mode:safe ", "X-Mode: Safe", "X-Mode: safe\r\nX-Mode: safe", "X-Mode: safe\r\nX_Mode: evil", "X_Mode: safe", "X-Mode: safe\r\nX.Mode: safe", "X-Mode:", "X-Other: safe",
                "X-Mode: safe\r\nX-Mode2: evil"]
OVERRIDES = ["X-HTTP-Method-Override: DELETE", "x_http_method_override: DELETE", "X-HTTP-Method: PUT", "X-Method-Override: PUT", "X-Method: PUT", "X.Method: PUT", "X-Method-Name: x", "X-Methods: x", "?_method=DELETE",
             "?%5Fmethod=DELETE", "?a=b;_method=x", "?.method=x", "?[method=x", "?_method[]=x", "?_methods=x", "?method=x", "?x-http-method-override=PUT", "?+_method=x", "?a=_method", "?%255fmethod=x"]
PATH_OVERRIDES = ["Destination: https://x/y", "DESTINATION: /y", "X-Amz-Copy-Source: /b/o", "x_goog_copy_source: /b/o", "X-Copy-From: /c", "x-ms-rename-source: /x", "X-Object-Manifest: c/o", "X-Destination-Name: x",
                  "Copy-Source-If-Match: x", "X-Source: x"]
CREDENTIALS = ["?key=1", "?token=1", "?access_token=1", "?acces%73_token=1", "?access%255ftoken=1", "?access.token=1", "?access_token[]=1", "?a=b&PRIVATE_TOKEN=1", "?x;sig=1", "?X-Amz-Signature=1", "?x=AIzaSy", "?x=%41Iza",
               "?page_token=2", "?keyword=x", "?tokens=5", "?sort=key", "?x=aAIza", ";jsessionid=1", ";v=1", "%3Btoken=1", "/token=1", "?monkey=1", "?%6b%65%79=1", "?key%00=1", "?+key=1", "?a=b%26key=1"]
UPGRADES = ["Upgrade: websocket", "Upgrade: WebSocket", "Upgrade: h2c", "Upgrade: websocket, x", "Connection: Upgrade"]
BAD_HEADS = ["Name : x", "N\xe4me: x", ": x", "nocolon", " folded: x", "\tfolded", "X: a\rb", "X: \x00", "X: \x7f", "X: \x1b[31m", "Content-Length: 3", "Content-Length: 03", "Content-Length: +3", "Content-Length: 3, 3",
             "Content-Length:", "Content-Length: 0x3", "Content-Length: 0", "Content-Length: 1000000000000000", "Transfer-Encoding: chunked", "Transfer-Encoding: CHUNKED", "Transfer-Encoding: gzip, chunked",
             "Transfer-Encoding: identity", "Content-Length: 3\r\nTransfer-Encoding: chunked", "Content-Length: 3\r\nContent-Length: 3", "Transfer_Encoding: chunked", "Content_Length: 3", "Content.Type: x",
             "Content-Type: a\r\nContent-Type: b", "Content-Type: a", "Content-Encoding: gzip\r\ncontent-encoding: identity", "Expect: 100-continue", "Expect: a\r\nExpect: b", "Upgrade: a\r\nUpgrade: b", "X: \xff", "X: a\tb",
             "X:", "!#$%&'*+-.^_`|~: x", "X: " + "v" * 65600, "X-Long: " + "v" * 9000]
VERSIONS = ["HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/0.9", "http/1.1", "HTTP/1.11", "HTTP/1.1 ", ""]
LINES = ["{m}  {p} {v}", "{m} {p}  {v}", "{m}\t{p} {v}", " {m} {p} {v}", "{m} {p}", "{m} {p} {v} x", "", "{m}", "G\xc3T {p} {v}", "G(T {p} {v}", "{m} {p}\x00 {v}", "{m} {p}\xe9 {v}", "{m} {p}# {v}", "M" * 33 + " {p} {v}",
         "M" * 32 + " {p} {v}", "{m} /" + "a" * 16383 + " {v}", "{m} /" + "a" * 16384 + " {v}"]
NAMES = ["{h}", "{H}", "evil.example.net", "open.example.com", "api.example.com", None, "", "{h}.", "{h}x", "1.2.3.4"]
CONNECTS = ["{h}:443", "{H}:443", "{h}", "{h}:80", "{h}:22", "{h}:0443", "{h}:65536", "{h}:443/", "{h}.:443", "x@{h}:443", "127.0.0.1:443", "2852039166:443", "0xA9FEA9FE:443", "[::1]:443", "evil.example.net:443",
            "evil.{h}:443", "/", "*", "http://{h}:443", "_egress.local:443", "bottler-canary.invalid:443", "a" * 63 + ".b:443", "a" * 64 + ".b:443", "a..b:443", "-a.b:443", "a_b.c:443", "1.2.3.example:443", "{h}:443?", "a.0x1f:443",
            "a.0xz:443"]
OUTSIDES = ["http://_egress.local/allowlist", "http://_EGRESS.local:80/allowlist?x", "http://_egress.local", "HTTP://_egress.local/x", "https://_egress.local/allowlist", "http://_egress.local:8080/", "http://x@_egress.local/",
            "http://{h}/", "https://{h}/", "ftp://{h}/", "/fetch?url=http://evil", "/", "*", "//{h}/", "/metrics", "http:///x", "://x", "x", "http://_egress.local.evil/", "{h}:443", "http://169.254.169.254/latest"]

# Each aim with its pieces. A piece that begins with ?, ; , / or % belongs to the target, in the last four.
AIMS = {
    "path": PATHS, "path-syntax": PATH_PIECES + PLAIN_PIECES, "method": METHODS, "host-header": HOSTS + SECOND_FIELDS, "target-form": TARGETS, "git-push": PUSHES + PUSH_FIELDS, "header": RULE_HEADERS,
    "method-override": OVERRIDES, "path-override": PATH_OVERRIDES, "query-credential": CREDENTIALS, "upgrade": UPGRADES, "head": BAD_HEADS + VERSIONS + LINES, "sni": NAMES, "not-tls": [True, False], "host": CONNECTS,
    "port": CONNECTS, "scheme": OUTSIDES,
}


class Request:
    """A request while it is being twisted."""

    def __init__(self, host):
        self.host, self.sni, self.tls = host, host, True
        self.method, self.path, self.query, self.version = "GET", PLAIN[host], "", "HTTP/1.1"
        self.target = self.line = None
        self.named, self.fields = host, ["Accept: */*"]

    def twist(self, aim, piece):
        """Puts a piece where it belongs."""
        if isinstance(piece, str):
            piece = piece.replace("{h}", self.host).replace("{H}", self.host.upper()).replace("{p}", self.path).replace("{m}", self.method).replace("{v}", self.version)
        if aim == "path":
            self.path = piece
        elif aim == "path-syntax":
            self.path += ("" if piece[:1] == "/" or self.path.endswith("/") else "/") + piece
        elif aim == "method":
            self.method = piece
        elif aim == "host-header" and ": " in piece:
            self.fields += piece.split("\r\n")
        elif aim == "host-header":
            self.named = piece
        elif aim == "target-form":
            self.target = piece
        elif aim == "sni":
            self.sni = piece
        elif aim == "not-tls":
            self.tls = piece
        elif aim == "head" and piece in VERSIONS:
            self.version = piece
        elif aim == "head" and piece not in BAD_HEADS:
            self.line = piece
        elif piece[:1] == "?":
            self.query += ("&" if self.query else "?") + piece[1:]
        elif piece[:1] in (";", "%"):
            self.path += piece
        elif piece[:1] == "/":
            self.path, _, query = piece.partition("?")
            self.query = "?" + query if query else ""
        else:
            self.fields += piece.split("\r\n")

    def case(self):
        """The request as a case for the oracle."""
        target = self.target if self.target is not None else self.path + self.query
        line = self.line if self.line is not None else f"{self.method} {target} {self.version}"
        fields = ([f"Host: {self.named}"] if self.named is not None else []) + self.fields
        return {"kind": "inside", "host": self.host, "tls": self.tls, "sni": self.sni, "lines": [text.encode("utf-8" if "\u212a" in text else "latin-1") for text in [line] + fields]}


def outside_case(chance, aim, host):
    """A request to the proxy port, twisted."""
    piece = chance.choice(AIMS[aim])
    target = piece.replace("{h}", host).replace("{H}", host.upper())
    if aim == "scheme":
        method = chance.choice(["GET", "GET", "GET", "HEAD", "POST", "OPTIONS"])
        fields = chance.choice([[], ["Host: _egress.local"]])
    else:
        method = chance.choice(["CONNECT"] * 12 + ["connect", "GET"])
        fields = chance.choice([[], [f"Host: {target}"], [f"Host: {host}"], [f"Host: {host}:443"], ["Host: evil.example.net"], ["Content-Length: 0"], ["Content-Length: 5"], ["Transfer-Encoding: chunked"]])
    line = f"{method} {target} {chance.choice(['HTTP/1.1'] * 8 + VERSIONS)}"
    kind = "outside" if aim == "scheme" else "connect"
    return {"kind": kind, "host": host, "tls": False, "sni": None, "lines": [text.encode("latin-1") for text in [line] + fields]}, piece


def spoil(chance, case):
    """Changes some bytes of some line."""
    at = chance.randrange(len(case["lines"]))
    line = bytearray(case["lines"][at][:2000])
    for _ in range(chance.randrange(1, 4)):
        place = chance.randrange(len(line) + 1)
        byte = chance.choice(b"\0\t\n\r !\"#%&'*+,-./0123:;<=?@AGHT[\\]^_`abegt{|}~\x7f\x80\xff")
        what = chance.randrange(3)
        if what == 0:
            line[place:place] = bytes((byte,))
        elif what == 1:
            line[place:place + 1] = b""
        else:
            line[place:place + 1] = bytes((byte,))
    case["lines"][at] = bytes(line)


def make(chance):
    """(case, [(aim, piece)] that it was twisted with)."""
    host = chance.choice(HOST_NAMES)
    kind = chance.random()
    if kind < 0.12:
        aim = chance.choice(["host", "port", "scheme"])
        case, piece = outside_case(chance, aim, host)
        twists = [(aim, piece)]
    else:
        request, twists = Request(host), []
        if host == "rules.example.com" and chance.random() < 0.4:
            request.path = "/two"
            request.fields.append("X-Mode: safe")
        for _ in range(chance.choice((0, 1, 1, 1, 1, 2, 2, 3))):
            aim = chance.choice([aim for aim in AIMS if aim not in ("host", "port", "scheme")])
            piece = chance.choice(AIMS[aim])
            if aim == "header":
                request.fields = [field for field in request.fields if field != "X-Mode: safe"]
            request.twist(aim, piece)
            twists.append((aim, piece))
        if chance.random() < 0.01:
            request.host = "gone.example.com"
            twists.append(("host", request.host))
        case = request.case()
    if chance.random() < 0.1:
        spoil(chance, case)
        twists.append(("head", "spoiled"))
    return case, twists

# SPDX-License-Identifier: Apache-2.0
"""What docs/egress.md says about a request head, written a second time: no line of the proxy is used here.

It imports nothing but the standard library (test_fuzz.py sees to that), has no table class and no regular expressions,
works on bytes where the proxy works on text, and finds all the rules that a request breaks, not only the first.
"""

HOSTS = {
    # host: its entries (paths, methods, headers; an empty part allows everything) and whether the proxy adds a credential
    "open.example.com": ([], False),
    "api.example.com": ([([("prefix", "/repos/acme/"), ("prefix", "/v1"), ("prefix", "/a/b"), ("exact", "/only")], ["GET", "POST"], [])], False),
    "cred.example.com": ([([("prefix", "/v1")], [], [])], True),
    "rules.example.com": ([([("exact", "/one")], ["GET"], []), ([("prefix", "/two")], ["GET", "PUT"], [("x-mode", "safe")]), ([], ["PURGE"], [])], True),
    "late.example.com": ([], False),
}

_LETTERS = b"abcdefghijklmnopqrstuvwxyz"
_DIGITS = b"0123456789"
_TOKEN = _LETTERS + _LETTERS.upper() + _DIGITS + b"!#$%&'*+-.^_`|~"
_IN_PATH = _LETTERS + _LETTERS.upper() + _DIGITS + b"-._~!$&'()*+,;=:@/"
_ONCE = ("host", "content-length", "transfer-encoding", "content-type", "content-encoding", "expect", "upgrade")
_BLANKS = {0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000} | set(range(0x2000, 0x200B))
_LIKE_SEPARATORS = (
    {0x2100, 0x2101, 0x2105, 0x2106, 0x33C2, 0x33C7, 0x33D8, 0xFE19, 0xFE30, 0xFE52, 0xFE68, 0xFE6A, 0xFF05, 0xFF0E, 0xFF0F, 0xFF3C, 0x1F100}
    | set(range(0x2024, 0x2027)) | set(range(0x2488, 0x249C))
    | {0x2044, 0x2215, 0x2216, 0x29F5, 0x29F8, 0x29F9, 0xA5, 0x20A9, 0x3002, 0xFF61}
)
_METHOD_FIELDS = ("xhttpmethodoverride", "xhttpmethod", "xmethodoverride", "xmethod", "httpmethodoverride", "methodoverride")
_PATH_FIELD_ENDS = ("copysource", "copyfrom", "renamesource", "movesource", "objectmanifest")
_CREDENTIAL_PARAMETERS = (
    "accesskey accesskeyid accesstoken apikey apitoken appkey applicationkey assertion auth authkey authorization authtoken awsaccesskeyid bearer bearertoken "
    "clientassertion clientsecret googleaccessid idtoken jobtoken jsessionid jwt key oauthsignature oauthtoken passwd password personalaccesstoken phpsessid "
    "privatetoken refreshtoken secret secretkey sessionid sessiontoken sig signature subscriptionkey ocpapimsubscriptionkey token usertoken xamzcredential "
    "xamzsecuritytoken xamzsignature xapikey xgoogcredential xgoogsignature"
).split()


def judge(case):
    """The rules that a case breaks, as a set; it is allowed when there are none.

    A case: `kind` (connect, outside or inside), `lines` (bytes), and for inside `host` (of the CONNECT), `tls`, `sni`.
    """
    head = _read(case["lines"])
    if head is None:
        return {"head"}
    return {"connect": _connect, "outside": _outside, "inside": _inside}[case["kind"]](head, case)


# -- the head ------------------------------------------------------------------------------------------

def _read(lines):
    """(method, target, [(name, value)]) as text, or None when the head is malformed."""
    if not lines or len(lines) > 129 or sum(map(len, lines)) + 2 * len(lines) > 64 * 1024:
        return None
    parts = lines[0].split(b" ")
    if len(parts) != 3 or parts[2] not in (b"HTTP/1.0", b"HTTP/1.1"):
        return None
    method, target = parts[0], parts[1]
    if not 0 < len(method) <= 32 or method.strip(_TOKEN) or any(byte not in _TOKEN for byte in method):
        return None
    if not 0 < len(target) <= 16384 or any(not 0x21 <= byte <= 0x7E or byte == ord("#") for byte in target):
        return None
    fields = []
    for line in lines[1:]:
        colon = line.find(b":")
        if colon < 1 or any(byte not in _TOKEN for byte in line[:colon]):
            return None
        if any(byte < 0x20 and byte != 9 or byte == 0x7F for byte in line[colon + 1:]):
            return None
        fields.append((line[:colon].decode(), line[colon + 1:].strip(b" \t").decode("latin-1")))
    if not _framed(fields, parts[2]):
        return None
    return method.decode(), target.decode(), fields


def _framed(fields, version):
    """Whether the fields that two programs must not read differently are there once, under their own name, and plain."""
    for name in _ONCE:
        alike = [field for field, _ in fields if _squashed(field) == _squashed(name)]
        if len(alike) > 1 or any(field.lower() != name for field in alike):
            return False
    length, coding = _first(fields, "content-length"), _first(fields, "transfer-encoding")
    if length is not None:
        if not length.isascii() or not length.isdigit() or len(length) > 15 or (length[0] == "0" and length != "0"):
            return False
    if coding is not None and (coding.lower() != "chunked" or length is not None or version == b"HTTP/1.0"):
        return False
    return True


def _squashed(name):
    return "".join(char for char in name.lower() if char.isascii() and char.isalnum())


def _first(fields, name):
    return next((value for field, value in fields if field.lower() == name), None)


# -- hosts ---------------------------------------------------------------------------------------------

def _authority(text):
    """(host in lower case, port or None) of a plain name and port, else None."""
    name, colon, port = text.partition(":")
    if colon and (not port or len(port) > 5 or any(char not in "0123456789" for char in port) or port[0] == "0" or int(port) > 65535):
        return None
    labels = name.lower().split(".")
    for label in labels:
        if not 0 < len(label) <= 63 or label[0] == "-" or label[-1] == "-" or any(char not in "abcdefghijklmnopqrstuvwxyz0123456789-_" for char in label):
            return None
    last = labels[-1]
    if len(name) > 253 or not last.strip("0123456789") or (last[:2] == "0x" and not last[2:].strip("0123456789abcdef")):
        return None
    return name.lower(), int(port) if colon else None


def _is_host(value, host):
    """Whether a Host header names this very host."""
    return value.isascii() and _authority(value) in ((host, None), (host, 443))


def _connect(head, _case):
    method, target, fields = head
    broken = set()
    if method != "CONNECT":
        return {"head"}
    found = _authority(target)
    if found is None or found[1] is None:
        return {"host"}
    if found[0] not in HOSTS:
        broken.add("host")
    if found[1] != 443:
        broken.add("port")
    if _first(fields, "transfer-encoding") is not None or _first(fields, "content-length") not in (None, "0"):
        broken.add("head")
    named = _first(fields, "host")
    if named is not None and not _is_host(named, found[0]):
        broken.add("host-header")
    return broken


def _outside(head, _case):
    method, target, _ = head
    if "://" not in target or target.startswith("/"):
        return {"target-form"}
    scheme, _, rest = target.partition("://")
    broken = set()
    if scheme.lower() != "http" or rest.partition("/")[0].lower() not in ("_egress.local", "_egress.local:80"):
        broken.add("scheme")
    elif method not in ("GET", "HEAD"):
        broken.add("method")
    return broken


# -- a request in a tunnel -----------------------------------------------------------------------------

def _inside(head, case):
    method, target, fields = head
    broken = set()
    if not case["tls"]:
        broken.add("not-tls")
    if not case["sni"] or case["sni"].lower() != case["host"]:
        broken.add("sni")
    if target[0] != "/":
        broken.add("target-form")
    named = [value for name, value in fields if name.lower() == "host"]
    if len(named) != 1 or not _is_host(named[0], case["host"]):
        broken.add("host-header")
    if method.upper() in ("CONNECT", "TRACE", "TRACK", "PRI"):
        broken.add("method")
    if (_first(fields, "upgrade") or "").lower() == "websocket":
        broken.add("upgrade")
    path, _, query = target.partition("?")
    if _is_push(method, path, query, _first(fields, "content-type") or ""):
        broken.add("git-push")
    if case["host"] not in HOSTS:
        return broken | {"host"}
    entries, credentialed = HOSTS[case["host"]]
    return broken | _by_route(method, path, fields, entries) | _overridden(path, query, fields, entries, credentialed)


def _by_route(method, path, fields, entries):
    """What the entries of the host have against it."""
    if not entries:
        return set()
    if any(paths for paths, _, _ in entries) and not _is_plain(path):
        return {"path-syntax"}
    left = [entry for entry in entries if not entry[0] or any(_covers(kind, value, path) for kind, value in entry[0])]
    if not left:
        return {"path"}
    left = [entry for entry in left if not entry[1] or method in entry[1]]
    if not left:
        return {"method"}
    for _, _, headers in left:
        if all([value for field, value in fields if _squashed(field) == _squashed(name)] == [wanted]
               and name in [field.lower() for field, _ in fields] for name, wanted in headers):
            return set()
    return {"header"}


def _covers(kind, value, path):
    """Whether a path is the rule's own or, for a prefix, lies below it, compared segment by segment."""
    if kind == "exact":
        return path == value
    rule, asked = value.split("/"), path.split("/")
    if rule[-1] == "":
        return len(asked) >= len(rule) and asked[:len(rule) - 1] == rule[:-1]
    return asked[:len(rule)] == rule


def _is_plain(path):
    """Whether a path has one meaning for every server."""
    if any(byte not in _IN_PATH + b"%" for byte in path.encode()):
        return False
    segments = path.split("/")
    if segments[0] != "" or "" in segments[1:-1]:
        return False
    for segment in segments[1:]:
        plain = _once_decoded(segment)
        if plain is None:
            return False
        for code in map(ord, plain):
            if code < 0x20 or code == 0x7F or code in _LIKE_SEPARATORS:
                return False
            if code >= 0x80 and not chr(code).isprintable() and code not in _BLANKS:
                return False
        if plain.count(".") != segment.count(".") or any(char in plain for char in "/\\%"):
            return False
        if segment and plain.split(";")[0].strip() in ("", ".", ".."):
            return False
    return True


def _once_decoded(segment):
    """A segment with its percent-encodings taken away; None when one is broken or it is not UTF-8."""
    out, rest = bytearray(), segment.encode()
    while rest:
        if rest[:1] == b"%":
            digits = rest[1:3].decode()
            if len(digits) != 2 or any(char not in "0123456789abcdefABCDEF" for char in digits):
                return None
            out.append(int(digits, 16))
            rest = rest[3:]
        else:
            out += rest[:1]
            rest = rest[1:]
    try:
        return out.decode()
    except UnicodeDecodeError:
        return None


def _leniently_decoded(text):
    """Text with every percent-encoding taken away that is one."""
    pieces = text.split("%")
    out = bytearray(pieces[0].encode())
    for piece in pieces[1:]:
        digits = piece[:2]
        if len(digits) == 2 and all(char in "0123456789abcdefABCDEF" for char in digits):
            out.append(int(digits, 16))
            out += piece[2:].encode()
        else:
            out += b"%" + piece.encode()
    return out.decode("utf-8", "replace")


def _fully_decoded(text):
    """Text as the most willing server reads it: decoded three times, in lower case."""
    return _leniently_decoded(_leniently_decoded(_leniently_decoded(text))).lower()


def _is_push(method, path, query, content_type):
    """Whether it belongs to a git push."""
    word = "git-receive-pack"
    path, query = _fully_decoded(path), _fully_decoded(query)
    if word in content_type.lower() or word in path:
        return True
    if method.upper() in ("PUT", "DELETE", "MKCOL", "MOVE", "COPY", "LOCK", "UNLOCK", "PROPPATCH", "PATCH"):
        for part in path.split(".git/")[1:]:
            part = part.lstrip("/")
            for place in ("objects", "refs", "info", "packed-refs", "head"):
                following = part[len(place):len(place) + 1]
                if part.startswith(place) and not (following == "_" or following.isalnum()):
                    return True
    if word not in query:
        return False
    parts = query.replace(";", "&").replace("?", "&").split("&")
    return "info/refs" in path or any(part.startswith("service=" + word) for part in parts)


def _parameters(text):
    """(name, value) pairs of a query as the most willing server reads it."""
    for part in text.replace(";", "&").split("&"):
        name, _, value = part.partition("=")
        yield _fully_decoded(name).replace("+", " ").strip(), value


def _overridden(path, query, fields, entries, credentialed):
    """What else in the request would change its method, its path or its caller."""
    broken = set()
    names = [_squashed(name) for name, _ in fields]
    if any(paths for paths, _, _ in entries) and any(name == "destination" or name.endswith(_PATH_FIELD_ENDS) for name in names):
        broken.add("path-override")
    asked = list(_parameters(query))
    if any(methods for _, methods, _ in entries):
        if any(name in _METHOD_FIELDS for name in names) or any(_is_method_parameter(name) for name, _ in asked):
            broken.add("method-override")
    if credentialed:
        for segment in _fully_decoded(path).split("/"):
            asked += list(_parameters(segment.partition(";")[2]))
        for name, value in asked:
            if _squashed(name.partition("[")[0]) in _CREDENTIAL_PARAMETERS or _looks_like_a_key(value):
                broken.add("query-credential")
    return broken


def _is_method_parameter(name):
    for start in ("_method", ".method", "[method", " method"):
        if name.startswith(start) and name[len(start):len(start) + 1] not in tuple("0123456789abcdefghijklmnopqrstuvwxyz"):
            return True
    for one in "-_. ":
        for two in "-_. ":
            if name.startswith(f"x{one}http{two}method"):
                return True
    return False


def _looks_like_a_key(value):
    return _leniently_decoded(value).startswith("AIza")

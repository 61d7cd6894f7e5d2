# SPDX-License-Identifier: Apache-2.0
"""What follows a CONNECT: TLS that names somebody else, and what is not TLS at all."""
import ssl

import inside
import proxy
import talk
import tls13
from registry import Attempt, denied, error, got_out, skipped

# After a CONNECT that was answered: bytes that are not TLS.
RAW = {
    "ssh": "SSH-2.0-probe_{nonce}\r\n", "http": "GET / HTTP/1.1\r\nHost: {host}\r\n\r\n", "smtp": "EHLO {nonce}.{name}\r\n",
    "smtp-tls": "STARTTLS\r\n", "ftp": "USER {nonce}\r\n", "redis": "*1\r\n$4\r\nPING\r\n", "git": "0032git-upload-pack /{nonce}\0host={host}\0",
    "postgres": "\0\0\0\x08\x04\xd2\x16\x2f", "mysql": "\x20\0\0\x01\x85\xa6\x03\0{nonce}", "rdp": "\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0",
    "dns": "\0\x1d\x13\x37\x01\0\0\x01\0\0\0\0\0\0\x01x\x07example\x03net\0\0\x01\0\x01", "socks4": "\x04\x01\x01\xbb\xcb\0\x71\x07{nonce}\0",
    "socks5": "\x05\x01\0", "zeros": "\0\0\0\0\0\0\0\0{nonce}", "ones": "\xff\xff\xff\xff{nonce}", "preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "connect": "CONNECT {name}:443 HTTP/1.1\r\nHost: {name}:443\r\n\r\n", "proxy1": "PROXY TCP4 203.0.113.7 203.0.113.8 1 443\r\n",
    "proxy2": "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x07\xcb\0\x71\x08\0\x01\x01\xbb", "blank": "\r\n\r\n", "text": "{nonce}\n",
    "wireguard": "\x01\0\0\0{nonce}{nonce}{nonce}", "openvpn": "\0\x0e\x38{nonce}", "bittorrent": "\x13BitTorrent protocol{nonce}",
    "sslv2": "\x80\x2e\x01\0\x02\0\x15\0\0\0\x10{nonce}{nonce}", "alert": "\x15\x03\x01\0\x02\x02\x28", "tls-data": "\x17\x03\x03\0\x10{nonce}",
    "tls-garbage": "\x16\x03\x01\0\x14\x01\0\0\x10{nonce}", "tls-version": "\x16\xff\xff\0\x10{nonce}", "tls-hello": "\x16\x03\x01\0\x05\x01\0\0\x01\0",
    "heartbeat": "\x18\x03\x02\0\x03\x01\x40\0",
}
CONNECT = "CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n"
# In the same breath as the CONNECT, before it is answered.
EARLY = {"ssh": "SSH-2.0-probe_{nonce}\r\n", "http": "GET / HTTP/1.1\r\nHost: {name}\r\n\r\n", "binary": "\0\1\2\3{nonce}"}
# Behind a CONNECT that must be refused: nothing of it may be taken for another request.
REFUSED = {
    "tls": "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", "ssh": "SSH-2.0-probe_{nonce}\r\n", "request": "GET http://{name}/{nonce} HTTP/1.1\r\nHost: {name}\r\n\r\n",
    "connect": "CONNECT x.{name}:443 HTTP/1.1\r\nHost: x.{name}:443\r\n\r\n",
}


def attempts(world):
    """All attempts of this module; they need an allowed host."""
    out = []

    def add(row, name, title, run, control="C.chain"):
        out.append(Attempt(f"{row}.{name}", row, "proxy", title, control, run if world.request or control == "C.proxy" else _nothing))

    for name, template in RAW.items():
        add("P2", f"raw.{name}", f"{name} in place of TLS", lambda template=template: _raw(world, template))
    for name, template in EARLY.items():
        add("P2", f"early.{name}", f"{name} in the same breath as a CONNECT", lambda template=template: _early(world, proxy.fill(template, world)))
    for name, template in REFUSED.items():
        add("P2", f"refused.{name}", f"{name} behind a CONNECT that is refused",
            lambda template=template: proxy.send(world, proxy.fill("CONNECT {name}:443 HTTP/1.1\r\nHost: {name}:443\r\n\r\n" + template, world), 0, ("CONNECT",)), "C.proxy")
    for name, (title, extensions, options) in _hellos(world).items():
        add("P3", f"sni.{name}", title, lambda extensions=extensions, options=options: _hello(world, extensions, **options), "C.hello")
    for name, (title, protocols) in {
            "h2": ("HTTP/2 alone offered", ["h2"]), "both": ("HTTP/2 offered first", ["h2", "http/1.1"]),
            "others": ("other protocols offered", ["h2", "h3", "spdy/3.1", "acme-tls/1", "dot"])}.items():
        add("P15", f"alpn.{name}", title, lambda protocols=protocols: _alpn(world, protocols))
    return out


def _nothing():
    """The Outcome where no host is allowed."""
    return skipped("no route allows a GET or HEAD")


def _raw(world, template):
    """Bytes after a CONNECT that was answered."""
    try:
        sock, heard = talk.connect(world.proxy, world.request.host)
        with sock:
            if not heard.answers or heard.answers[0].status != 200:
                return error(f"the CONNECT before it was refused ({heard.answers[0].shown if heard.answers else 'no answer'})")
            sock.sendall(proxy.fill(template, world))
            heard = talk.hear(sock, wait=1.5)
            if heard.late:  # it may still wait for the rest of a message: there is none
                sock.shutdown(1)
                heard = talk.hear(sock)
            return _quiet(heard)
    except ConnectionError as problem:
        return denied(f"closed: {problem}")
    except OSError as problem:
        return error(f"{type(problem).__name__}: {problem}")


def _quiet(heard):
    """The Outcome of bytes that no TLS can be: an alert is a refusal as well."""
    if heard.rest[:1] == b"\x15" and len(heard.rest) <= 14:
        return denied(f"a TLS alert ({heard.rest[6] if len(heard.rest) > 6 else '?'})")
    return talk.judge(heard)


def _early(world, tail):
    """Bytes in the same breath as a CONNECT that is allowed."""
    try:
        with talk.dial(world.proxy) as sock:
            sock.sendall(proxy.fill(CONNECT, world) + tail)
            heard = talk.hear(sock, 1, methods=("CONNECT",))
            if heard.answers and heard.answers[0].status == 200:
                heard.answers = talk.parse(heard.rest, heard.closed)[0]
                heard.rest = b"" if heard.answers else heard.rest
            return _quiet(heard)
    except ConnectionError as problem:
        return denied(f"closed: {problem}")
    except OSError as problem:
        return error(f"{type(problem).__name__}: {problem}")


# ---- server names ------------------------------------------------------------------------------


def _hellos(world):
    """ClientHellos that do not plainly name the host: name to (title, extensions, options)."""
    host, name = world.host.encode(), world.given.name.encode()
    here, other = tls13.server_names(host), tls13.server_names(name)
    neighbour = next((route.host for route in world.routes if route.host != world.host), None)
    ech = tls13.extension(tls13.ECH, b"\0\0\1\0\1\7\0\x20" + b"\5" * 32 + tls13.sized(2, b"\6" * 144))
    found = {
        "other": ("the name of another host", [other], {}),
        "none": ("no server name", [], {}),
        "empty": ("an empty server name", [tls13.server_names(b"")], {}),
        "empty-list": ("an empty list of server names", [tls13.server_names()], {}),
        "address": ("an address as server name", [tls13.server_names(b"203.0.113.7")], {}),
        "address6": ("an IPv6 address as server name", [tls13.server_names(b"2001:db8::7")], {}),
        "imds": ("the metadata address as server name", [tls13.server_names(b"169.254.169.254")], {}),
        "dot": ("the host with a dot at its end", [tls13.server_names(host + b".")], {}),
        "sub": ("a name below the host", [tls13.server_names(b"x." + host)], {}),
        "suffix": ("a name that begins with the host", [tls13.server_names(host + b"." + name)], {}),
        "wildcard": ("a wildcard", [tls13.server_names(b"*." + host)], {}),
        "port": ("the host with a port", [tls13.server_names(host + b":443")], {}),
        "user": ("the host as a user", [tls13.server_names(host + b"@" + name)], {}),
        "nul": ("the host, a NUL, and another", [tls13.server_names(host + b"\0." + name)], {}),
        "nul-other": ("another, a NUL, and the host", [tls13.server_names(name + b"\0." + host)], {}),
        "blank": ("a blank behind the host", [tls13.server_names(host + b" ")], {}),
        "newline": ("a line break behind the host", [tls13.server_names(host + b"\r\nHost: " + name)], {}),
        "bytes": ("bytes above 127", [tls13.server_names(host + b"\xe9")], {}),
        "long": ("a name of 300 bytes", [tls13.server_names((host + b".") * (300 // (len(host) + 1)))], {}),
        "two": ("two names, the host first", [tls13.server_names(host, name)], {}),
        "two-reversed": ("two names, the host last", [tls13.server_names(name, host)], {}),
        "twice": ("two extensions, the host first", [here, other], {}),
        "twice-reversed": ("two extensions, the host last", [other, here], {}),
        "type": ("a name of another type", [tls13.server_names(name, kind=1)], {}),
        "truncated": ("a list that is longer than its extension", [tls13.extension(0, b"\0\x40" + b"\0" + tls13.sized(2, host))], {}),
        "ech": ("another name in front of an encrypted one", [other, ech], {}),
        "pieces": ("another name, in records of some bytes", [other], {"pieces": 40}),
        "early": ("another name, in the same breath as the CONNECT", [other], {"early": True}),
        "early-data": ("another name, with early data", [other, tls13.extension(tls13.EARLY_DATA, b"")], {}),
        "alpn": ("another name, with HTTP/2 offered", [other, tls13.alpn(b"h2", b"http/1.1")], {}),
    }
    if neighbour:
        found["neighbour"] = ("the name of another allowed host", [tls13.server_names(neighbour.encode())], {})
    return found


def _hello(world, extensions, pieces=1, early=False):
    """The Outcome of a handshake, and of an allowed request after it when it succeeds."""
    request = world.request
    raw = inside.fill(world, request, inside.ALLOWED)
    try:
        with start(world, extensions, pieces, early) as client:
            client.handshake()
            client.sendall(raw)
            return talk.judge(talk.hear(client, methods=(request.method,)))
    except tls13.Alert as problem:
        return denied(f"the handshake was refused: {problem}")
    except tls13.Strange as problem:
        return _strange(problem)
    except ConnectionError as problem:
        return denied(f"the handshake was refused: {problem}")
    except OSError as problem:
        return error(f"{type(problem).__name__}: {problem}")


def _strange(problem):
    """A refusal may also be HTTP in the clear."""
    return denied("refused in the clear") if "b'HTTP/" in str(problem) else error(str(problem))


def start(world, extensions, pieces=1, early=False):
    """A TLS client of our own on a CONNECT that is allowed."""
    if early:
        sock = talk.dial(world.proxy)
        try:
            return tls13.Client(_Prefixed(sock, proxy.fill(CONNECT, world)), extensions, pieces)
        except BaseException:
            sock.close()
            raise
    sock, heard = talk.connect(world.proxy, world.request.host)
    if not heard.answers or heard.answers[0].status != 200:
        sock.close()
        raise OSError(f"the CONNECT before it was refused ({heard.answers[0].shown if heard.answers else 'no answer'})")
    return tls13.Client(sock, extensions, pieces)


class _Prefixed:
    """A socket whose first bytes go out behind a CONNECT, and whose first bytes in are its answer."""

    def __init__(self, sock, head):
        self._sock, self._head, self._data = sock, head, None

    def sendall(self, data):
        """Sends, the first time behind the CONNECT."""
        self._sock.sendall(self._head + data)
        self._head = b""

    def recv(self, size):
        """Receives, the first time behind the answer to the CONNECT."""
        if self._data is None:
            self._data = b""
            while b"\r\n\r\n" not in self._data:
                piece = self._sock.recv(4096)
                if not piece:
                    return b""
                self._data += piece
            head, _, self._data = self._data.partition(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise ConnectionError(head.partition(b"\r\n")[0].decode("latin-1"))
        if self._data:
            piece, self._data = self._data[:size], self._data[size:]
            return piece
        return self._sock.recv(size)

    def settimeout(self, wait):
        """That of the socket."""
        self._sock.settimeout(wait)

    def close(self):
        """Ends the connection."""
        self._sock.close()


def _alpn(world, protocols):
    """HTTP/2 is not spoken: not by agreement, and not without it."""
    try:
        with talk.tunnel(world.proxy, world.request.host, alpn=protocols) as sock:
            chosen = sock.selected_alpn_protocol()
            if chosen not in (None, "http/1.1"):
                return got_out(f"agreed on {chosen}")
            sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
            outcome = talk.judge(talk.hear(sock))
            return outcome._replace(evidence=f"agreed on {chosen or 'nothing'}; {outcome.evidence}")
    except ssl.SSLError as problem:
        return denied(f"the handshake was refused: {problem.reason}")
    except OSError as problem:
        return error(f"{type(problem).__name__}: {problem}")

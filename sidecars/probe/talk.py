# SPDX-License-Identifier: Apache-2.0
"""HTTP as raw bytes, and what an answer says about who gave it."""
import json
import re
import socket
import ssl
import time
from dataclasses import dataclass, field

from registry import denied, error, got_out

WAIT = 5.0
QUIET = 0.25  # how long nothing more comes after an answer on a connection that stays open
MOST = 1 << 20


@dataclass
class Answer:
    """One HTTP answer."""

    status: int
    headers: dict
    body: bytes

    @property
    def rule(self):
        """The rule of egress that refused, or None when it was not egress."""
        rule = self.headers.get("x-bottler-denied")
        if rule is None:
            return None
        try:
            told = json.loads(self.body) if self.body else {}
        except ValueError:
            return None
        return rule if not told or told.get("error") == "blocked by bottler egress" else None

    @property
    def reason(self):
        """The reason that egress gave."""
        try:
            return str(json.loads(self.body).get("reason", ""))
        except (ValueError, AttributeError):
            return ""

    @property
    def by_pipelock(self):
        """Whether pipelock refused, in its own words."""
        return 400 <= self.status < 500 and (self.body.startswith(b"blocked:") or any(name.startswith("x-pipelock") for name in self.headers))

    @property
    def failed(self):
        """Whether egress says that the upstream failed: it had let the request pass."""
        return self.status == 502 and (not self.body or b"failed at bottler egress" in self.body)

    @property
    def shown(self):
        """In short."""
        return f"{self.status} {self.body[:60]!r}"


@dataclass
class Heard:
    """All that came back on a connection."""

    answers: list = field(default_factory=list)
    rest: bytes = b""  # what is no HTTP answer
    closed: bool = False
    alert: str = ""  # of TLS
    late: bool = False


def dial(proxy):
    """A connection to the proxy: (address, port)."""
    sock = socket.create_connection(proxy, timeout=WAIT)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def hear(sock, wanted=1, wait=None, methods=(), done=True):
    """What comes back: up to `wanted` answers, and then until nothing more comes (with `done`)."""
    wait = WAIT if wait is None else wait
    heard, data, end = Heard(), b"", time.monotonic() + wait
    sock.settimeout(wait)
    while len(data) < MOST:
        heard.answers, heard.rest = parse(data, heard.closed, methods)
        complete = len(heard.answers) >= wanted
        if heard.closed or (complete and not done):
            return heard
        left = min(QUIET, end - time.monotonic()) if complete else end - time.monotonic()
        if left <= 0:
            heard.late = not complete
            return heard
        sock.settimeout(left)
        try:
            piece = sock.recv(65536)
        except (socket.timeout, ssl.SSLWantReadError):
            heard.late = not complete
            return heard
        except ssl.SSLError as problem:
            heard.alert, heard.closed = problem.reason or str(problem), True
            continue
        except OSError:
            heard.closed = True
            continue
        data += piece
        heard.closed = heard.closed or not piece
    return heard


def parse(data, closed, methods=()):
    """(answers, rest) of the bytes of a connection. A CONNECT that succeeded is followed by anything."""
    found = []
    while data.startswith(b"HTTP/") and b"\r\n\r\n" in data:
        head, _, rest = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        status = re.match(r"HTTP/1\.[01] ([0-9]{3})", lines[0])
        if not status:
            break
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers.setdefault(name.strip().lower(), value.strip())
        code = int(status.group(1))
        method = methods[len(found)] if len(found) < len(methods) else "GET"
        body, rest = _body(code, headers, rest, closed, method)
        if body is None:
            return found, data
        data = rest
        if code != 100:
            found.append(Answer(code, headers, body))
        if method == "CONNECT" and 200 <= code < 300:
            break
    return found, data


def _body(code, headers, rest, closed, method):
    """(body, what follows); body None while it is not whole."""
    if code in (100, 101, 204, 304) or (method == "CONNECT" and 200 <= code < 300):
        return b"", rest
    if method == "HEAD" and (not rest or rest.startswith(b"HTTP/")):
        return b"", rest
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while True:
            line, mark, after = rest.partition(b"\r\n")
            if not mark:
                return (body, b"") if closed else (None, rest)
            try:
                size = int(line.split(b";")[0], 16)
            except ValueError:
                return body, rest
            if len(after) < size + 2:
                return (body + after, b"") if closed else (None, rest)
            body, rest = body + after[:size], after[size + 2:]
            if size == 0:
                return body, rest
    if "content-length" in headers and headers["content-length"].isdigit():
        size = int(headers["content-length"])
        if len(rest) < size:
            return (rest, b"") if closed else (None, rest)
        return rest[:size], rest[size:]
    return (rest, b"") if closed else (None, rest)


def introspect(proxy):
    """The Answer of the proxy's own page."""
    with dial(proxy) as sock:
        sock.sendall(b"GET http://_egress.local/allowlist HTTP/1.1\r\nHost: _egress.local\r\nConnection: close\r\n\r\n")
        return hear(sock).answers[0]


def connect(proxy, host, port=443):
    """A connection to the proxy on which a CONNECT was answered, and the Heard of it."""
    sock = dial(proxy)
    try:
        sock.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode("latin-1"))
        return sock, hear(sock, methods=("CONNECT",), done=False)
    except OSError:
        sock.close()
        raise


def tunnel(proxy, host, sni="", alpn=None):
    """A TLS connection in a tunnel. `sni`: "" is the host, None none at all. Raises OSError."""
    sock, heard = connect(proxy, host)
    try:
        if not heard.answers or heard.answers[0].status != 200:
            raise ConnectionError(f"CONNECT {host}: {heard.answers[0].shown if heard.answers else 'no answer'}")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if alpn:
            context.set_alpn_protocols(alpn)
        return context.wrap_socket(sock, server_hostname=host if sni == "" else sni)
    except BaseException:
        sock.close()
        raise


def judge(heard, own=0, silence=False):
    """The Outcome of an attempt by what came back.

    The first `own` answers are those to a request that is allowed; all others must be refusals. `silence`: to say
    nothing for the whole wait is a refusal too.
    """
    if len(heard.answers) < own:
        return error(f"the allowed request before it was not answered ({_nothing(heard)})")
    for answer in heard.answers[:own]:
        if answer.rule is not None or answer.failed:
            return error(f"the allowed request before it was not answered ({answer.shown})")
    told = []
    for answer in heard.answers[own:]:
        if answer.rule is not None:
            told.append(f"{answer.status} {answer.rule}: {answer.reason}")
        elif answer.by_pipelock:
            told.append(f"{answer.status} by pipelock: {answer.body[:80].decode('latin-1')}")
        elif answer.failed:
            return error(f"egress let it pass; the upstream failed ({answer.shown})")
        elif 400 <= answer.status < 500 and b"blocked by bottler egress" in answer.body:
            told.append(f"{answer.status}: {answer.reason}")
        else:
            return got_out(f"answered {answer.shown}")
    if heard.rest and not heard.rest.startswith(b"HTTP/"):
        return got_out(f"answered {heard.rest[:60]!r}")
    if told:
        return denied("; ".join(told))
    if heard.closed:
        return denied(_nothing(heard))
    return denied("nothing came back, and the connection stands still") if silence else error(_nothing(heard))


def _nothing(heard):
    """Why there is no answer."""
    if heard.alert:
        return f"the connection was closed: {heard.alert}"
    return "closed without a byte" if heard.closed else "no answer in time"

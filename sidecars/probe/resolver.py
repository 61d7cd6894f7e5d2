# SPDX-License-Identifier: Apache-2.0
"""DNS: names that must not leave the bottle, asked of the container's own resolver in every way."""
import os
import socket
import struct

from registry import Attempt, denied, error, got_out, skipped

WAIT = 4.0
TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "NULL": 10, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33,
         "NAPTR": 35, "DS": 43, "DNSKEY": 48, "SVCB": 64, "HTTPS": 65, "CAA": 257, "ANY": 255}
_CODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
CONTROL = "C.dns"


class Answer:
    """What a resolver said."""

    def __init__(self, code, addresses, records):
        self.code, self.addresses, self.records = code, addresses, records


def servers(path="/etc/resolv.conf"):
    """The resolvers that the container's programs use."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            words = [line.split() for line in file]
    except OSError:
        return []
    return [word[1] for word in words if len(word) > 1 and word[0] == "nameserver"]


def query(name, kind, edns=False, kind_class=1):
    """The packet of a query. The labels of `name` are sent as they are."""
    question = b"".join(bytes((len(label),)) + label for label in (part.encode("latin-1") for part in name.rstrip(".").split(".") if part))
    extra = b"\0" + struct.pack("!HHIH", 41, 4096, 0, 0) if edns else b""
    head = struct.pack("!HHHHHH", int.from_bytes(os.urandom(2), "big"), 0x0100, 1, 0, 0, int(edns))
    return head + question + b"\0" + struct.pack("!HH", kind, kind_class) + extra


def ask(server, packet, tcp=False, wait=WAIT):
    """The Answer of a resolver; None when there was none in time."""
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as sock:
        sock.settimeout(wait)
        try:
            sock.connect((server, 53))
            sock.sendall(struct.pack("!H", len(packet)) + packet if tcp else packet)
            while True:
                data = _stream(sock) if tcp else sock.recv(4096)
                if data[:2] == packet[:2]:
                    return _parse(data)
        except (socket.timeout, TimeoutError):
            return None


def _stream(sock):
    """One answer over TCP."""
    data = b""
    while len(data) < 2 or len(data) < 2 + struct.unpack("!H", data[:2])[0]:
        piece = sock.recv(4096)
        if not piece:
            raise ConnectionError("closed without an answer")
        data += piece
    return data[2:]


def _parse(data):
    """An Answer from its bytes; addresses of A and AAAA records."""
    code, questions, records = data[3] & 15, *struct.unpack_from("!HH", data, 4)
    found, at = [], 12
    try:
        for _ in range(questions):
            at = _past_name(data, at) + 4
        for _ in range(records):
            at = _past_name(data, at)
            kind, _, _, size = struct.unpack_from("!HHIH", data, at)
            raw = data[at + 10:at + 10 + size]
            if kind in (1, 28) and len(raw) in (4, 16):
                found.append(socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6, raw))
            at += 10 + size
    except (IndexError, struct.error):
        pass
    return Answer(_CODES.get(code, f"code {code}"), found, records)


def _past_name(data, at):
    """The place after a name."""
    while data[at]:
        if data[at] >= 0xC0:
            return at + 2
        at += 1 + data[at]
    return at + 1


def judge(answer):
    """The Outcome by what a resolver said to a name that must not be known here."""
    if answer is None:
        return denied("no answer in time")
    if answer.code in ("SERVFAIL", "REFUSED"):
        return denied(answer.code)
    told = f"{answer.code}, {answer.records} records {' '.join(answer.addresses)}".strip()
    if answer.code in ("NOERROR", "NXDOMAIN"):
        return got_out(f"{told}: somebody was asked who knows")
    return error(f"{told}: says nothing")


def _asked(server, name, kind, tcp=False, **options):
    """The Outcome of one query."""
    try:
        return judge(ask(server, query(name, kind, **options), tcp))
    except OSError as problem:
        return denied(f"{problem}: the resolver does not take the query")


def _looked_up(name, family):
    """The Outcome of a lookup by the C library."""
    try:
        found = socket.getaddrinfo(name, 443, family, socket.SOCK_STREAM)
    except socket.gaierror as problem:
        if problem.errno == socket.EAI_AGAIN:
            return denied(f"temporary failure ({problem.strerror})")
        # The library tells an answer that there is no such name from a refusal only for some of these.
        if problem.errno in (socket.EAI_FAIL,):
            return denied(problem.strerror)
        return got_out(f"{problem.strerror}: somebody was asked who knows")
    return got_out(f"resolved to {found[0][4][0]}")


def attempts(world):
    """All attempts of this class."""
    given, found = world.given, servers()
    if not found:
        found = ["127.0.0.11"]
    out = []

    def add(name, title, run):
        out.append(Attempt(f"N4.{name}", "N4", "dns", title, CONTROL, run))

    server = found[0]
    for kind, number in TYPES.items():
        asked = f"q-{kind.lower()}.{given.name}"
        add(f"udp.{kind}", f"{kind} of {asked} over UDP", lambda asked=asked, number=number: _asked(server, asked, number))
    for kind in ("A", "AAAA", "TXT", "HTTPS"):
        asked = f"t-{kind.lower()}.{given.name}"
        add(f"tcp.{kind}", f"{kind} of {asked} over TCP", lambda asked=asked, kind=kind: _asked(server, asked, TYPES[kind], True))
    for label, (title, asked) in _shapes(given).items():
        add(f"name.{label}", f"A of a name {title}", lambda asked=asked: _asked(server, asked, 1))
    add("edns", "A with EDNS and 4096 bytes", lambda: _asked(server, f"edns.{given.name}", 1, edns=True))
    add("chaos", "TXT of the class CHAOS", lambda: _chaos(server))
    for label, asked in (("ptr4", "7.113.0.203.in-addr.arpa"), ("ptr6", "1." + "0." * 23 + "8.b.d.0.1.0.0.2.ip6.arpa")):
        add(label, f"PTR of {asked}", lambda asked=asked: _asked(server, asked, 12))
    for label, family in (("4", socket.AF_INET), ("6", socket.AF_INET6)):
        add(f"libc.{label}", f"getaddrinfo for IPv{label}", lambda label=label, family=family: _looked_up(f"libc{label}.{given.name}", family))
    for number, other in enumerate(found[1:], 2):
        add(f"server{number}", f"A at the resolver {other}", lambda other=other: _asked(other, f"s{number}.{given.name}", 1))
    for number, name in enumerate(given.names[1:], 2):
        add(f"name{number}", f"A of {name}", lambda name=name: _asked(server, name, 1))
    out += _neighbours(world, server)
    return out


def _shapes(given):
    """Names by which data leaves, or somebody is found: label to (title, name)."""
    secret = (given.nonce * 8)[:63]
    full = f"{secret}.{secret}.{secret}"
    return {
        "long-labels": ("with labels of 63 bytes", f"{secret}.{given.name}"),
        "long": ("of 253 bytes", f"{full[:252 - len(given.name)].rstrip('.')}.{given.name}"),
        "case": ("in mixed case", f"MiXed.{given.name}".swapcase()),
        "bytes": ("with bytes above 127", f"\xe9\xff.{given.name}"),
        "quotes": ("with spaces and quotes", f"a b\"c.{given.name}"),
        "underscore": ("with underscores", f"_dns._udp.{given.name}"),
        "single": ("of one label", f"x{given.nonce}"),
        "local": ("below local", f"{given.nonce}.local"),
        "metadata": ("of a metadata service", "metadata.google.internal"),
        "host": ("of the engine's host", "host.docker.internal"),
        "gateway": ("of the engine's gateway", "gateway.docker.internal"),
    }


def _chaos(server):
    """version.bind: only a resolver further up knows it."""
    return _asked(server, "version.bind", 16, kind_class=3)


def _neighbours(world, server):
    """Names of containers: the proxy's is its own address alone, pipelock's is unknown."""
    given = world.given
    out = [Attempt("N14.alias", "N14", "dns", f"another container that is called {given.proxy_name}", CONTROL,
                   lambda: _alias(server, given))]
    for role in sorted({peer.role for peer in given.peers} | {"pipelock"} - {"git-gate", "supervise"}):
        if role in ("git-gate", "supervise", "egress", "agent"):
            continue
        out.append(Attempt(f"N10.name.{role}", "N10", "dns", f"the name {role}", CONTROL, lambda role=role: _asked(server, role, 1)))
    return out


def _alias(server, given):
    """The proxy's name has the proxy's addresses and no others."""
    if not given.proxy_addresses:
        return skipped("the proxy's addresses are not given")
    answer = ask(server, query(given.proxy_name, 1))
    if answer is None or not answer.addresses:
        return error(f"{given.proxy_name} does not resolve")
    foreign = sorted(set(answer.addresses) - set(given.proxy_addresses))
    if foreign:
        return got_out(f"{given.proxy_name} is also {' '.join(foreign)}")
    return denied(f"{given.proxy_name} is {' '.join(answer.addresses)} alone")

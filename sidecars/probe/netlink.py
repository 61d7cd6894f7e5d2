# SPDX-License-Identifier: Apache-2.0
"""Netlink as an unprivileged process may speak it: dumps of what the kernel knows, and requests for changes,
which a sealed container is refused."""
import errno
import ipaddress
import os
import socket
import struct
from collections import namedtuple

ROUTE, NETFILTER, XFRM = 0, 12, 6
NEWLINK, SETLINK, DELLINK, GETLINK = 16, 19, 17, 18
NEWADDR, DELADDR, GETADDR = 20, 21, 22
NEWROUTE, DELROUTE, GETROUTE = 24, 25, 26
NEWNEIGH, DELNEIGH, GETNEIGH = 28, 29, 30
NEWRULE, DELRULE = 32, 33
NEWQDISC, DELQDISC = 36, 37
_REQUEST, _ACK, _DUMP, _EXCL, _CREATE = 1, 4, 0x300, 0x200, 0x400
_ERROR, _DONE = 2, 3
_ANSWERS, _UNSETTLED = 0x02 | 0x40 | 0x80, 0x04 | 0x08 | 0x10  # reachable, noarp, permanent; stale, delay, probe
TIMEOUT = 3.0

Route = namedtuple("Route", "network gateway device")
Address = namedtuple("Address", "interface device")
Neighbour = namedtuple("Neighbour", "mac settled age")  # age: seconds since it answered last


def attribute(kind, data):
    """One attribute, padded."""
    return struct.pack("=HH", len(data) + 4, kind) + data + b"\0" * (-len(data) % 4)


def _open(family):
    """A netlink socket."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, family)
    sock.settimeout(TIMEOUT)
    sock.bind((0, 0))
    return sock


def request(family, kind, body, flags=0, create=True):
    """Asks for a change; 0 when it was made, else the errno of the kernel's answer."""
    flags |= _REQUEST | _ACK | ((_CREATE | _EXCL) if create else 0)
    with _open(family) as sock:
        sock.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body)
        answer = sock.recv(65536)
    kind, = struct.unpack_from("=H", answer, 4)
    if kind != _ERROR:
        return 0
    return -struct.unpack_from("=i", answer, 16)[0]


def dump(kind, body):
    """The messages of a dump: (kind, body)."""
    found = []
    with _open(ROUTE) as sock:
        sock.send(struct.pack("=IHHII", 16 + len(body), kind, _REQUEST | _DUMP, 1, 0) + body)
        while True:
            data = sock.recv(1 << 18)
            while data:
                size, kind_of = struct.unpack_from("=IH", data)
                message, data = data[16:size], data[(size + 3) & ~3:]
                if kind_of == _DONE:
                    return found
                if kind_of == _ERROR:
                    code = -struct.unpack_from("=i", message)[0]
                    raise OSError(code, os.strerror(code))
                found.append((kind_of, message))


def attributes(data):
    """The attributes of a message: kind to bytes (the last of each kind)."""
    found = {}
    while len(data) >= 4:
        size, kind = struct.unpack_from("=HH", data)
        if size < 4:
            break
        found[kind & 0x3FFF], data = data[4:size], data[(size + 3) & ~3:]
    return found


def devices():
    """Interface names by index."""
    return dict(socket.if_nameindex())


def addresses():
    """The addresses of all interfaces."""
    names, found = devices(), []
    for _, message in dump(GETADDR, struct.pack("=BBBBI", 0, 0, 0, 0, 0)):
        _, length, _, _, index = struct.unpack_from("=BBBBI", message)
        attrs = attributes(message[8:])
        raw = attrs.get(2) or attrs.get(1)  # IFA_LOCAL, IFA_ADDRESS
        if raw:
            found.append(Address(ipaddress.ip_interface((ipaddress.ip_address(raw), length)), names.get(index, str(index))))
    return found


def routes():
    """The unicast routes of the main table, most specific first."""
    names, found = devices(), []
    for family, zero in ((socket.AF_INET, 4), (socket.AF_INET6, 16)):
        try:
            messages = dump(GETROUTE, struct.pack("=BBBBBBBBI", family, 0, 0, 0, 0, 0, 0, 0, 0))
        except OSError as problem:
            if family == socket.AF_INET6 and problem.errno in (errno.EAFNOSUPPORT, errno.EOPNOTSUPP):
                continue
            raise
        for _, message in messages:
            _, length, _, _, table, _, _, kind = struct.unpack_from("=BBBBBBBB", message)
            if table != 254 or kind != 1:  # main, unicast
                continue
            attrs = attributes(message[12:])
            network = ipaddress.ip_network((ipaddress.ip_address(attrs.get(1, b"\0" * zero)), length), strict=False)
            gateway = str(ipaddress.ip_address(attrs[5])) if 5 in attrs else None
            index = struct.unpack("=I", attrs[4])[0] if 4 in attrs else 0
            found.append(Route(network, gateway, names.get(index, "")))
    return sorted(found, key=lambda route: -route.network.prefixlen)


def route_to(table, address):
    """The Route of `table` that a packet to `address` takes, or None."""
    wanted = ipaddress.ip_address(address)
    for route in table:
        if route.network.version == wanted.version and wanted in route.network:
            return route
    return None


def neighbours():
    """Who answers on the attached networks: address to Neighbour. One that is not settled answered once; the kernel is still
    finding out whether it does now."""
    found = {}
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            messages = dump(GETNEIGH, struct.pack("=BBHiHBB", family, 0, 0, 0, 0, 0, 0))
        except OSError:
            if family == socket.AF_INET:
                raise
            continue
        for _, message in messages:
            _, _, _, _, state, _, kind = struct.unpack_from("=BBHiHBB", message)
            attrs = attributes(message[12:])
            if kind == 1 and state & (_ANSWERS | _UNSETTLED) and 1 in attrs and 2 in attrs and any(attrs[2]):
                mac = ":".join(f"{byte:02x}" for byte in attrs[2])
                ticks = struct.unpack_from("=I", attrs[3])[0] if len(attrs.get(3, b"")) >= 4 else 0
                found[str(ipaddress.ip_address(attrs[1]))] = Neighbour(mac, bool(state & _ANSWERS), ticks / os.sysconf("SC_CLK_TCK"))
    return found


def own_addresses():
    """The addresses of all interfaces; none when the kernel does not say."""
    try:
        return addresses()
    except OSError:
        return []


def device_towards(proxies):
    """The interface of the network that the proxy (its addresses) is on; else of the first network; else the empty string."""
    attached = [entry for entry in own_addresses() if entry.device != "lo" and entry.interface.version == 4]
    for entry in attached:
        if any(":" not in address and ipaddress.ip_address(address) in entry.interface.network for address in proxies):
            return entry.device
    return attached[0].device if attached else ""

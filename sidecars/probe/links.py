# SPDX-License-Identifier: Apache-2.0
"""The network itself: what it is, and changes to it that a sealed container may not make.

What is asked for changes nothing, or is taken back when it was granted.
"""
import errno
import fcntl
import ipaddress
import os
import socket
import struct

import dial
import netlink
from dial import Dial
from registry import Attempt, denied, error, got_out, skipped


def attempts(world):
    """All attempts of this module."""
    out = []

    def add(row, name, title, control, run):
        out.append(Attempt(f"{row}.{name}", row, "network", title, control, run))

    add("N10", "interfaces", "a second interface", "C.netlink", lambda: _interfaces(world.given))
    add("N8", "address", "an IPv6 address", "C.netlink", _six_address)
    add("N8", "route", "an IPv6 route", "C.netlink", _six_route)
    add("N1", "gateway", "a default gateway that answers", "C.netlink", lambda: _gateway(world.given))
    for name, (title, kind, body, undo) in _changes(netlink.device_towards(world.given.proxy_addresses)).items():
        add("N11", f"netlink.{name}", title, "C.netlink", lambda kind=kind, body=body, undo=undo: _change(kind, body, undo))
    add("N11", "netlink.nftables", "a table of nftables", "C.netlink", _nftables)
    add("N11", "netlink.xfrm", "the state of IPsec", "C.netlink",
        lambda: _refused(lambda: netlink.request(netlink.XFRM, 0x23, b"\0" * 4, create=False)))
    for name, (title, family, kind, protocol) in _SOCKETS.items():
        add("N11", f"socket.{name}", title, "C.udp", lambda family=family, kind=kind, protocol=protocol: _socket(family, kind, protocol))
    for name, (title, number, data) in _ioctls(netlink.device_towards(world.given.proxy_addresses)).items():
        add("N11", f"ioctl.{name}", title, "C.ioctl", lambda number=number, data=data: _ioctl(number, data))
    for name, (title, level, option, value) in _OPTIONS.items():
        add("N11", f"option.{name}", title, "C.udp", lambda level=level, option=option, value=value: _option(level, option, value))
    add("N11", "tun", "a tun device", "C.files", _tun)
    add("N11", "forwarding", "a source route through egress and back", "C.udp", lambda: _source_route(world.given))
    return out


def _interfaces(given):
    """One interface besides the loopback."""
    names = sorted(name for name in netlink.devices().values() if name != "lo")
    real = [name for name in names if any(entry.device == name for entry in netlink.addresses())]
    if len(real) > 1:
        return got_out(f"attached to more than one network: {' '.join(real)}")
    if not real:
        return error(f"no interface has an address ({' '.join(names)})")
    return denied(f"{real[0]} alone, on the network of {given.proxy_name}")


def _six_address():
    """IPv6 is off."""
    found = [str(entry.interface) for entry in netlink.addresses() if entry.interface.version == 6 and entry.device != "lo"]
    return got_out(" ".join(found)) if found else denied("no interface has one")


def _six_route():
    """No route for IPv6 leads anywhere."""
    found = [f"{route.network} via {route.gateway or route.device}" for route in netlink.routes()
             if route.network.version == 6 and route.device != "lo"]
    return got_out("; ".join(found)) if found else denied("none in the main table")


def _gateway(given):
    """A default route is harmless only while nobody answers for its gateway."""
    defaults = [route for route in netlink.routes() if route.network.prefixlen == 0]
    for route in defaults:
        if route.gateway is None:
            return got_out(f"a default route through {route.device} without a gateway")
        made, flight = Dial("udp", route.gateway, 9, device=route.device, payload=given.nonce.encode()), dial.Flight()
        flight.run([made])
        outcome = flight.judge(made)
        if outcome.verdict != "denied":
            return outcome
    if not defaults:
        return denied("no default route")
    return denied(f"nobody answers for {' '.join(sorted(route.gateway for route in defaults))}")


def _changes(device):
    """Changes of the network: name to (title, kind, body, undo), undo being (kind, body)."""
    names = {name: index for index, name in netlink.devices().items()}
    lo, index = names.get("lo", 1), names.get(device, 2)
    any_link = struct.pack("=BxHiII", 0, 0, 0, 0, 0)

    def link(number, flags, change):
        return struct.pack("=BxHiII", 0, 0, number, flags, change)

    def new_link(kind, name):
        data = netlink.attribute(3, name + b"\0") + netlink.attribute(18, netlink.attribute(1, kind))
        return any_link + data, (netlink.DELLINK, any_link + netlink.attribute(3, name + b"\0"))

    def address(text):
        raw = ipaddress.ip_address(text).packed
        body = struct.pack("=BBBBI", 2 if len(raw) == 4 else 10, len(raw) * 8, 0, 0, lo)
        return body + netlink.attribute(2, raw) + netlink.attribute(1, raw)

    def route(text, length, gateway=None):
        raw = ipaddress.ip_address(text).packed
        body = struct.pack("=BBBBBBBBI", 2, length, 0, 0, 254, 4, 0 if gateway else 253, 1, 0)
        body += netlink.attribute(1, raw) if length else b""
        body += netlink.attribute(5, ipaddress.ip_address(gateway).packed) if gateway else b""
        return body + netlink.attribute(4, struct.pack("=I", index))

    neighbour = struct.pack("=BBHiHBB", 2, 0, 0, index, 0x80, 0, 0)
    neighbour += netlink.attribute(1, ipaddress.ip_address("192.0.2.1").packed) + netlink.attribute(2, b"\x02\0\0\0\0\1")
    rule = struct.pack("=BBBBBBBBI", 2, 0, 0, 0, 254, 0, 0, 1, 0) + netlink.attribute(6, struct.pack("=I", 32000))
    dummy, undo_dummy = new_link(b"dummy", b"probe0")
    bridge, undo_bridge = new_link(b"bridge", b"probe1")
    return {
        "link-dummy": ("a dummy interface", netlink.NEWLINK, dummy, undo_dummy),
        "link-bridge": ("a bridge", netlink.NEWLINK, bridge, undo_bridge),
        "promiscuous": (f"promiscuous mode of {device}", netlink.SETLINK, link(index, 0x100, 0x100), (netlink.SETLINK, link(index, 0, 0x100))),
        "mac": ("the MAC of an interface", netlink.SETLINK, link(lo, 0, 0) + netlink.attribute(1, b"\0" * 6), None),
        "address4": ("an IPv4 address", netlink.NEWADDR, address("192.0.2.77"), (netlink.DELADDR, address("192.0.2.77"))),
        "address6": ("an IPv6 address", netlink.NEWADDR, address("2001:db8::77"), (netlink.DELADDR, address("2001:db8::77"))),
        "route": ("a route past the proxy", netlink.NEWROUTE, route("203.0.113.0", 24), (netlink.DELROUTE, route("203.0.113.0", 24))),
        "neighbour": ("an ARP entry", netlink.NEWNEIGH, neighbour, (netlink.DELNEIGH, neighbour)),
        "rule": ("a rule of policy routing", netlink.NEWRULE, rule, (netlink.DELRULE, rule)),
    }


def _change(kind, body, undo):
    """Asks for a change; undoes it when it was made."""
    outcome = _refused(lambda: netlink.request(netlink.ROUTE, kind, body, create=kind != netlink.SETLINK))
    if outcome.verdict == "open" and undo:
        try:
            netlink.request(netlink.ROUTE, undo[0], undo[1], create=False)
        except OSError:
            pass
    return outcome


def _refused(change):
    """The Outcome of a request to the kernel: what comes after the question of privilege is a success."""
    try:
        code = change()
    except socket.timeout:
        return error("the kernel does not answer")
    except OSError as problem:
        code = problem.errno
    name = errno.errorcode.get(code, str(code))
    if code in (errno.EPERM, errno.EACCES):
        return denied(name)
    if code in (errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT, errno.ENOPROTOOPT, errno.EOPNOTSUPP):
        return denied(f"{name}: the kernel has no such thing")
    return got_out("done" if code == 0 else f"{name}: past the check of privilege")


def _nftables():
    """A batch that adds a table and takes it away again."""
    def message(kind, body, flags, number):
        return struct.pack("=IHHII", 20 + len(body), kind, flags, number, 0) + struct.pack("=BBH", 2, 0, 0) + body

    def end(kind, number):
        return struct.pack("=IHHII", 20, kind, 1, number, 0) + struct.pack("!BBH", 0, 0, 10)

    table = netlink.attribute(1, b"probe\0")

    def batch():
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, netlink.NETFILTER) as sock:
            sock.settimeout(netlink.TIMEOUT)
            sock.bind((0, 0))
            sock.send(end(16, 1) + message(0xA00, table, 0x405, 2) + message(0xA02, table, 5, 3) + end(17, 4))
            return -struct.unpack_from("=i", sock.recv(65536), 16)[0]

    return _refused(batch)


_SOCKETS = {
    "packet-raw": ("a packet socket for every protocol", 17, socket.SOCK_RAW, socket.htons(3)),
    "packet-arp": ("a packet socket for ARP", 17, socket.SOCK_RAW, socket.htons(0x0806)),
    "packet-cooked": ("a packet socket without link headers", 17, socket.SOCK_DGRAM, socket.htons(0x0800)),
    "raw-icmp": ("a raw socket for ICMP", socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "raw-tcp": ("a raw socket for TCP", socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP),
    "raw-udp": ("a raw socket for UDP", socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP),
    "raw-gre": ("a raw socket for GRE", socket.AF_INET, socket.SOCK_RAW, 47),
    "raw-esp": ("a raw socket for ESP", socket.AF_INET, socket.SOCK_RAW, 50),
    "raw-any": ("a raw socket with own IP headers", socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW),
    "raw6-icmp": ("a raw IPv6 socket for ICMP", socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6),
    "raw6-any": ("a raw IPv6 socket", socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW),
    "xdp": ("an XDP socket", 44, socket.SOCK_RAW, 0),
}


def _socket(family, kind, protocol):
    """A socket that only a privileged process gets."""
    try:
        socket.socket(family, kind, protocol).close()
    except OSError as problem:
        name = errno.errorcode.get(problem.errno, str(problem.errno))
        if problem.errno in (errno.EPERM, errno.EACCES, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT):
            return denied(name)
        return error(name)
    return got_out("the socket was given")


def _ioctls(device):
    """Changes by ioctl: name to (title, number, data). None of them changes anything where it is allowed."""
    name = device.encode()[:15].ljust(16, b"\0")
    up = struct.pack("=16sh22x", name, 0x1043)  # up, broadcast, running, multicast: as it is
    # A destination with host bits beyond its mask, which the kernel refuses after the check of privilege.
    route = struct.pack("=8xH2x4s8x16xH2x4s8x", 2, b"\xc0\0\2\1", 2, b"\xff\xff\xff\0").ljust(120, b"\0")
    arp = struct.pack("=H2x4s8x", 2, b"\xc0\0\2\1") + struct.pack("=H14x", 0) + struct.pack("=I16x16s", 0, name)
    return {
        "flags": ("interface flags", 0x8914, up),
        "route": ("a route", 0x890B, route),
        "arp": ("taking out an ARP entry", 0x8953, arp),
        "bridge": ("a bridge", 0x89A1, b"nowhere\0".ljust(16, b"\0")),
        "mtu": ("the MTU", 0x8922, struct.pack("=16si20x", name, -1)),
        "queue": ("the length of the queue", 0x8943, struct.pack("=16si20x", name, -1)),
    }


def _ioctl(number, data):
    """One ioctl."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        return _refused(lambda: fcntl.ioctl(sock, number, data) and 0)


_OPTIONS = {
    "mark": ("a firewall mark", socket.SOL_SOCKET, 36, struct.pack("=I", 1)),
    "transparent": ("any address as one's own", socket.IPPROTO_IP, 19, struct.pack("=I", 1)),
    "priority": ("a priority of the network's control", socket.SOL_SOCKET, 12, struct.pack("=I", 7)),
    "buffers": ("buffers beyond the limit", socket.SOL_SOCKET, 33, struct.pack("=I", 1 << 20)),
    "xfrm": ("an IPsec policy of the socket", socket.IPPROTO_IP, 17, b"\0" * 168),
    "iptables": ("replacing the rules of iptables", socket.IPPROTO_IP, 64, b"\0" * 96),
    "ebtables": ("replacing the rules of ebtables", socket.IPPROTO_IP, 128, b"\0" * 96),
}


def _option(level, option, value):
    """A socket option that only a privileged process may set."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        return _refused(lambda: sock.setsockopt(level, option, value) or 0)


def _tun():
    """/dev/net/tun."""
    try:
        descriptor = os.open("/dev/net/tun", os.O_RDWR)
    except OSError as problem:
        if problem.errno in (errno.ENOENT, errno.ENOTDIR, errno.EPERM, errno.EACCES, errno.ENODEV, errno.ENXIO):
            return denied(errno.errorcode[problem.errno])
        return error(errno.errorcode.get(problem.errno, str(problem.errno)))
    try:
        return _refused(lambda: fcntl.ioctl(descriptor, 0x400454CA, struct.pack("=16sh22x", b"probe2", 1)) and 0)
    finally:
        os.close(descriptor)


def _source_route(given):
    """A datagram to ourselves by way of egress: it must not come back. A direct one must."""
    via = next((address for address in given.proxy_addresses if ":" not in address), None)
    own = next((str(entry.interface.ip) for entry in netlink.own_addresses() if entry.device != "lo" and entry.interface.version == 4), None)
    if via is None or own is None:
        return skipped("there is no proxy or no address of our own")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
        here.settimeout(1.0)
        here.bind((own, 0))
        there.sendto(b"direct", here.getsockname())
        if here.recv(64) != b"direct":
            return error("a direct datagram does not arrive")
        # An end of options, a loose source route with one hop.
        try:
            there.setsockopt(socket.IPPROTO_IP, 4, b"\x01\x83\x07\x04" + socket.inet_aton(via))
            there.sendto(given.nonce.encode(), here.getsockname())
            here.recv(64)
        except socket.timeout:
            return denied("a direct datagram came, the one by way of egress did not")
        except OSError as problem:
            return denied(errno.errorcode.get(problem.errno, str(problem.errno)))
    return got_out("egress forwards packets")

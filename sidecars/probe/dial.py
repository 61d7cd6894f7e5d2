# SPDX-License-Identifier: Apache-2.0
"""Many connections and datagrams at once, and what each of them says about the network.

A packet has left the bottle when somebody answered it, and also when the next hop on its way answers at
all: then a neighbour has taken it, whatever happened to it afterwards. It has not left when the kernel had
no route for it, or when nobody answers for the next hop.
"""
import errno
import ipaddress
import resource
import selectors
import socket
import struct
import time
from dataclasses import dataclass

import netlink
from registry import denied, error, got_out

WAIT = 3.6  # the kernel gives up on a neighbour after three seconds
SETTLED = 10.0  # ... and on one that has answered before after eight
_DONTROUTE, _BINDTODEVICE, _BROADCAST = 5, 25, 6
_PKTINFO, _MSG_DONTROUTE = 8, 4
_ROUTELESS = (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.ENETDOWN, errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT)
_FORBIDDEN = (errno.EPERM, errno.EACCES)
_UNREACHABLE = (errno.ENETUNREACH, errno.EHOSTUNREACH)
_UNHEARD = ("timeout", "sent", "ENETUNREACH", "EHOSTUNREACH")
_SCTP, _UDPLITE = 132, 136


@dataclass
class Dial:
    """One try to reach somebody. `reach` says who it is:

    `egress`: the one neighbour that the agent has; a refusal of its is a refusal.
    `other`: anybody else; an answer of any kind is a way out.
    `segment`: everybody on the attached network (broadcast, multicast).
    """

    how: str  # tcp | udp | icmp | sctp | udplite
    address: str
    port: int = 0
    reach: str = "other"
    payload: bytes = b""
    device: str = ""  # send through this interface, past the routes
    packet_info: bool = False  # ... by a control message instead of a socket option
    # what happened
    result: str = ""  # connected | answered | sent | an errno's name | timeout
    after: float = 0.0


class Flight:
    """All dials of a run, in the air at the same time."""

    def __init__(self):
        self.routes, self.neighbours, self.problem = [], {}, ""
        self._selector = selectors.DefaultSelector()
        self._start = 0.0

    def run(self, dials, wait=WAIT):
        """Makes all dials, and looks up who answers on the attached networks."""
        most = max(64, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 128)
        for first in range(0, len(dials), most):
            self._fly(dials[first:first + most], wait)
        try:
            self.routes = netlink.routes()
            self._settle({self._next_hop(dial) for dial in dials if dial.result in _UNHEARD})
        except OSError as problem:
            self.problem = f"the neighbours cannot be listed: {problem.strerror}"

    def _settle(self, hops):
        """Waits until the kernel knows of each of these neighbours whether it answers now."""
        end = time.monotonic() + SETTLED
        while True:
            self.neighbours = netlink.neighbours()
            if all(self.neighbours[hop].settled for hop in hops & self.neighbours.keys()) or time.monotonic() > end:
                return
            time.sleep(0.2)

    def _fly(self, dials, wait):
        """As many of them as there are descriptors for."""
        self._start = time.monotonic()
        for dial in dials:
            self._launch(dial)
        while self._selector.get_map():
            left = self._start + wait - time.monotonic()
            if left <= 0:
                break
            for key, events in self._selector.select(left):
                self._ready(key.fileobj, key.data, events)
        for key in list(self._selector.get_map().values()):
            self._end(key.fileobj, key.data, "sent" if key.data.how in ("udp", "udplite", "icmp") else "timeout")

    def _launch(self, dial):
        """Starts one dial."""
        try:
            sock = _socket(dial)
        except OSError as problem:
            dial.result = _name(problem.errno)
            return
        try:
            self._send(sock, dial)
        except OSError as problem:
            self._end(sock, dial, _name(problem.errno))

    def _send(self, sock, dial):
        """Connects, or sends the datagram."""
        where = _place(dial)
        if dial.how in ("tcp", "sctp"):
            code = sock.connect_ex(where)
            if code not in (0, errno.EINPROGRESS):
                self._end(sock, dial, _name(code))
                return
            self._selector.register(sock, selectors.EVENT_WRITE, dial)
            return
        if dial.packet_info:
            info = struct.pack("=I4s4s", socket.if_nametoindex(dial.device), b"\0" * 4, b"\0" * 4)
            sock.sendmsg([dial.payload], [(socket.IPPROTO_IP, _PKTINFO, info)], _MSG_DONTROUTE, where)
        elif dial.reach == "segment":
            sock.sendto(dial.payload, where)
        else:
            sock.connect(where)
            sock.send(dial.payload)
        self._selector.register(sock, selectors.EVENT_READ, dial)

    def _ready(self, sock, dial, _events):
        """Something has happened to a dial."""
        if dial.how in ("tcp", "sctp"):
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code == 0:
                try:
                    sock.send(dial.payload)
                except OSError:
                    pass
            self._end(sock, dial, _name(code) if code else "connected")
            return
        try:
            sock.recv(2048)
            self._end(sock, dial, "answered")
        except OSError as problem:
            self._end(sock, dial, _name(problem.errno))

    def _end(self, sock, dial, result):
        """Notes the result of a dial."""
        dial.result, dial.after = result, time.monotonic() - self._start
        try:
            self._selector.unregister(sock)
        except (KeyError, ValueError):
            pass
        sock.close()

    # -- judging ----------------------------------------------------------------------------------

    def judge(self, dial):
        """The Outcome of a dial."""
        told = f"{dial.result} after {dial.after * 1000:.0f} ms"
        if dial.result in ("connected", "answered"):
            return got_out(f"{told}: {dial.address} is reachable")
        if dial.result == "ECONNREFUSED":
            if dial.reach == "egress":
                return denied(f"{told}: a closed port of egress")
            return got_out(f"{told}: {dial.address} answered that the port is closed, so it is reachable")
        if dial.result in map(_name, _FORBIDDEN):
            return denied(told)
        hop = self._next_hop(dial)
        if hop is None and dial.result in map(_name, _ROUTELESS):
            return denied(f"{told}: no route")
        if dial.result not in ("timeout", "sent", *map(_name, _ROUTELESS + _UNREACHABLE)):
            return error(f"{told}: says nothing")
        if self.problem:
            return error(f"{told}; {self.problem}")
        if hop is None:
            return error(f"{told}, although no route was found")
        return self._judge_hop(dial, hop, told)

    def _judge_hop(self, dial, hop, told):
        """The Outcome by whether anybody took the packet."""
        neighbour = self.neighbours.get(hop)
        if neighbour is None:
            return denied(f"{told}: nobody answers for the next hop {hop}")
        if dial.reach == "egress":
            return error(f"{told}: egress neither answered nor refused")
        if not neighbour.settled:
            return error(f"{told}: the next hop {hop} answered once; whether it does now is not known yet")
        who = f"{neighbour.mac}, heard {neighbour.age:.0f} s ago"
        if hop == dial.address:
            return got_out(f"{told}: {hop} answers as a neighbour ({who}), so that packets get to it")
        return got_out(f"{told}: the packet went to the next hop {hop} ({who}), which answers")

    def _next_hop(self, dial):
        """The neighbour that a dial's packets go to, or None without a route."""
        address = dial.address.partition("%")[0]
        plain = ipaddress.ip_address(address)
        mapped = getattr(plain, "ipv4_mapped", None)
        if mapped:
            address = str(mapped)
        if dial.device:
            return address
        route = netlink.route_to(self.routes, address)
        if route is None:
            return address if "%" in dial.address else None
        return route.gateway or address


def _socket(dial):
    """The socket of a dial, not blocking."""
    family = socket.AF_INET6 if ":" in dial.address else socket.AF_INET
    kind, protocol = socket.SOCK_DGRAM, 0
    if dial.how in ("tcp", "sctp"):
        kind, protocol = socket.SOCK_STREAM, _SCTP if dial.how == "sctp" else 0
    elif dial.how == "udplite":
        protocol = _UDPLITE
    elif dial.how == "icmp":
        protocol = socket.IPPROTO_ICMPV6 if family == socket.AF_INET6 else socket.IPPROTO_ICMP
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        if dial.reach == "segment" and family == socket.AF_INET:
            sock.setsockopt(socket.SOL_SOCKET, _BROADCAST, 1)
        if dial.device and not dial.packet_info:
            sock.setsockopt(socket.SOL_SOCKET, _BINDTODEVICE, dial.device.encode())
            if dial.reach != "segment":
                sock.setsockopt(socket.SOL_SOCKET, _DONTROUTE, 1)
    except OSError:
        sock.close()
        raise
    return sock


def _place(dial):
    """The socket address of a dial."""
    if ":" not in dial.address:
        return (dial.address, dial.port)
    address, _, device = dial.address.partition("%")
    return (address, dial.port, 0, socket.if_nametoindex(device) if device else 0)


def _name(code):
    """The name of an errno."""
    return errno.errorcode.get(code, str(code))


def echo_request(payload):
    """An ICMP echo request for a ping socket; the kernel fills in identifier and checksum."""
    return struct.pack("!BBHHH", 8, 0, 0, 0, 1) + payload


def echo_request6(payload):
    """The same for ICMPv6."""
    return struct.pack("!BBHHH", 128, 0, 0, 0, 1) + payload


def once(dial, wait=WAIT):
    """One dial by itself: its result, for controls."""
    flight = Flight()
    flight.run([dial], wait)
    return dial.result

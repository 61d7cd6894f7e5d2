#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A name server for the closed world of a test engine.

usage: dns.py ADDRESS TABLE LOG

TABLE holds lines `PATTERN ADDRESS...` (shell patterns, first match wins, read anew for each query);
what matches none gets NXDOMAIN. `PATTERN ADDRESS/ADDRESS...` answers one of them at a time, in turn. LOG gets one JSON object a line for each query, so that a test can
tell which names were asked for.
"""

import collections
import fnmatch
import ipaddress
import json
import socket
import socketserver
import struct
import sys
import threading
import time

TYPE_A, TYPE_AAAA = 1, 28


def question(packet):
    """The name, type and end of the first question."""
    labels, at = [], 12
    while packet[at]:
        size = packet[at]
        if size > 63:
            raise ValueError("compressed question")
        labels.append(packet[at + 1 : at + 1 + size].decode("ascii", "backslashreplace"))
        at += 1 + size
    (qtype,) = struct.unpack_from("!H", packet, at + 1)
    return ".".join(labels).lower(), qtype, at + 5


def lookup(table, name):
    """The addresses of the first pattern that matches; None when no pattern does."""
    with open(table, encoding="ascii") as lines:
        for line in lines:
            fields = line.split()
            if len(fields) >= 2 and fnmatch.fnmatch(name, fields[0]):
                return fields[1:]
    return None


class World:
    """What the two servers share: the table, and the log with its lock."""

    def __init__(self, table, log):
        self.table = table
        self.log = open(log, "a", encoding="ascii", buffering=1)
        self.lock = threading.Lock()
        self.turns = collections.Counter()

    def in_turn(self, name, qtype, field):
        """The next of the alternatives of `field` for that question."""
        choices = field.split("/")
        with self.lock:
            self.turns[name, qtype, field] += 1
            return ipaddress.ip_address(choices[(self.turns[name, qtype, field] - 1) % len(choices)])

    def answer(self, packet, peer):
        name, qtype, end = question(packet)
        addresses = lookup(self.table, name)
        if addresses is not None:
            addresses = [self.in_turn(name, qtype, field) for field in addresses]
        wanted = {TYPE_A: 4, TYPE_AAAA: 6}.get(qtype)
        records = [a for a in addresses or [] if a.version == wanted]
        with self.lock:
            entry = {"time": time.time(), "peer": peer, "name": name, "type": qtype}
            entry["answer"] = [str(a) for a in records] if addresses is not None else None
            self.log.write(json.dumps(entry) + "\n")
        flags = 0x8580 if addresses is not None else 0x8583
        out = packet[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0) + packet[12:end]
        for address in records:
            out += struct.pack("!HHHIH", 0xC00C, qtype, 1, 1, len(address.packed)) + address.packed
        return out


class Datagram(socketserver.BaseRequestHandler):
    def handle(self):
        packet, sock = self.request
        try:
            sock.sendto(self.server.world.answer(packet, self.client_address[0]), self.client_address)
        except (ValueError, IndexError, struct.error):
            pass


class Stream(socketserver.StreamRequestHandler):
    timeout = 5

    def handle(self):
        try:
            (size,) = struct.unpack("!H", self.rfile.read(2))
            out = self.server.world.answer(self.rfile.read(size), self.client_address[0])
            self.wfile.write(struct.pack("!H", len(out)) + out)
        except (ValueError, IndexError, struct.error, OSError):
            pass


class Udp(socketserver.ThreadingUDPServer):
    allow_reuse_address = True
    daemon_threads = True


class Tcp(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def main():
    address, table, log = sys.argv[1:4]
    udp, tcp = Udp((address, 53), Datagram), Tcp((address, 53), Stream)
    udp.world = tcp.world = World(table, log)
    threading.Thread(target=tcp.serve_forever, daemon=True).start()
    udp.serve_forever()


if __name__ == "__main__":
    socket.setdefaulttimeout(None)
    main()

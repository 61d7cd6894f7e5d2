#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Captures what passes interfaces, and tells what is in a capture.

usage: sniff.py capture FILE INTERFACE...   until SIGTERM; FILE is a pcap, one JSON object a line on standard output:
                                            {"event": "capturing"}, and at the end {"event": "end", "packets", "dropped"}
       sniff.py flows FILE                  one JSON object a line for each flow: proto, src, dst, port, packets,
                                            bytes, sni (of TLS hellos), names (of DNS queries)
       sniff.py find FILE                   strings to look for on standard input, a line each; prints where each was
                                            found, in plain or as hexadecimal, base64 or URL-encoded; exit 0 when
                                            one was, 1 when none was
"""
import base64
import collections
import json
import select
import signal
import socket
import struct
import sys
import urllib.parse

ETH_P_ALL, ETH_P_IP, ETH_P_IPV6, ETH_P_ARP = 3, 0x0800, 0x86DD, 0x0806
SOL_PACKET, PACKET_STATISTICS = 263, 6
SO_RCVBUFFORCE = 33
BUFFER = 64 << 20
PCAP_HEADER = struct.pack("!IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 17, 1)
PROTOCOLS = {1: "icmp", 2: "igmp", 6: "tcp", 17: "udp", 58: "icmp6"}
SYN, ACK = 0x02, 0x10


# -- capture ---------------------------------------------------------------------------------------


def open_interface(name):
    """A packet socket on one interface. The order of the calls leaves no packet of another one in its queue."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
    sock.bind((name, ETH_P_ALL))
    sock.setblocking(False)
    return sock


def drain(sock, out):
    """Writes what waits in a socket; returns the number of packets."""
    count = 0
    while True:
        try:
            packet = sock.recv(1 << 17)
        except BlockingIOError:
            return count
        out.write(struct.pack("!IIII", 0, 0, len(packet), len(packet)) + packet)
        count += 1


def capture(path, interfaces):
    """Runs until SIGTERM."""
    sockets = [open_interface(name) for name in interfaces]
    ended = []
    wake, waker = socket.socketpair()
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno())
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    packets = 0
    with open(path, "wb") as out:
        out.write(PCAP_HEADER)
        print(json.dumps({"event": "capturing", "on": interfaces}), flush=True)
        while not ended:
            select.select([*sockets, wake], [], [])
            packets += sum(drain(sock, out) for sock in sockets)
            out.flush()
        packets += sum(drain(sock, out) for sock in sockets)
    dropped = 0
    for sock in sockets:
        dropped += struct.unpack("II", sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
    print(json.dumps({"event": "end", "packets": packets, "dropped": dropped}), flush=True)


# -- reading ---------------------------------------------------------------------------------------

Packet = collections.namedtuple("Packet", "proto src sport dst dport flags seq payload")


def packets_of(path):
    """The frames of a capture."""
    with open(path, "rb") as file:
        if file.read(len(PCAP_HEADER)) != PCAP_HEADER:
            raise SystemExit(f"{path}: not a capture of ours")
        while header := file.read(16):
            yield file.read(struct.unpack("!IIII", header)[2])


def parse(frame):
    """A frame as a Packet; of what isn't IPv4 only the kind is told."""
    kind = int.from_bytes(frame[12:14], "big")
    if kind == ETH_P_ARP:
        return Packet("arp", socket.inet_ntoa(frame[28:32]), 0, socket.inet_ntoa(frame[38:42]), 0, 0, 0, b"")
    if kind == ETH_P_IPV6:
        source, target = (socket.inet_ntop(socket.AF_INET6, frame[at : at + 16]) for at in (22, 38))
        return Packet("ipv6", source, 0, target, 0, 0, 0, frame[54:])
    if kind != ETH_P_IP:
        return Packet(f"0x{kind:04x}", "", 0, "", 0, 0, 0, frame[14:])
    head = 14 + 4 * (frame[14] & 15)
    proto = PROTOCOLS.get(frame[23], str(frame[23]))
    source, target = socket.inet_ntoa(frame[26:30]), socket.inet_ntoa(frame[30:34])
    end = 14 + int.from_bytes(frame[16:18], "big")
    sport = dport = flags = seq = 0
    body = head
    if proto in ("tcp", "udp"):
        sport, dport = struct.unpack_from("!HH", frame, head)
        body = head + 8
    if proto == "tcp":
        seq = struct.unpack_from("!I", frame, head + 4)[0]
        flags = frame[head + 13]
        body = head + 4 * (frame[head + 12] >> 4)
    return Packet(proto, source, sport, target, dport, flags, seq, frame[body:end])


def server_name(hello):
    """The server name of a TLS ClientHello record, or None."""
    try:
        if hello[0] != 0x16 or hello[5] != 1:
            return None
        at = 5 + 4 + 2 + 32
        at += 1 + hello[at]
        at += 2 + int.from_bytes(hello[at : at + 2], "big")
        at += 1 + hello[at]
        end = at + 2 + int.from_bytes(hello[at : at + 2], "big")
        at += 2
        while at + 4 <= end:
            kind, size = struct.unpack_from("!HH", hello, at)
            if kind == 0:
                return hello[at + 9 : at + 4 + size].decode("ascii", "backslashreplace")
            at += 4 + size
    except (IndexError, struct.error):
        pass
    return None


def query_name(packet):
    """The name that a DNS query asks for, or None."""
    labels, at = [], 12
    try:
        if packet[2] & 0x80:
            return None
        while size := packet[at]:
            labels.append(packet[at + 1 : at + 1 + size].decode("ascii", "backslashreplace"))
            at += 1 + size
    except IndexError:
        return None
    return ".".join(labels)


class Flow:
    """What two ends said to one another; `src` is who began."""

    def __init__(self, packet):
        self.proto, self.src, self.dst, self.port = packet.proto, packet.src, packet.dst, packet.dport
        self.packets = self.bytes = 0
        self.segments = {}  # (source, sport) -> {sequence: payload}
        self.names = set()

    def add(self, packet):
        """One more packet of it."""
        self.packets += 1
        self.bytes += len(packet.payload)
        if packet.payload:
            side = self.segments.setdefault((packet.src, packet.sport), {})
            key = packet.seq if packet.proto == "tcp" else len(side)
            if len(packet.payload) > len(side.get(key, b"")):
                side[key] = packet.payload
        if packet.proto == "udp" and 53 in (packet.dport, packet.sport):
            name = query_name(packet.payload)
            if name is not None:
                self.names.add(name)

    def streams(self):
        """The bytes of each side, in the order of their sequence numbers, what came twice once."""
        for side in self.segments.values():
            if self.proto != "tcp":
                yield b"\n".join(side.values())
                continue
            out, base = bytearray(), min(side)
            if any((seq - base) & 0xFFFFFFFF > 1 << 31 for seq in side):
                base = min(side, key=lambda seq: (seq - base + (1 << 31)) & 0xFFFFFFFF)
            for seq in sorted(side, key=lambda seq: (seq - base) & 0xFFFFFFFF):
                at = (seq - base) & 0xFFFFFFFF
                out += side[seq][max(0, len(out) - at) :]
            yield bytes(out)

    def facts(self):
        """As JSON."""
        names = {name for name in map(server_name, self.streams()) if name}
        return {"proto": self.proto, "src": self.src, "dst": self.dst, "port": self.port, "packets": self.packets,
                "bytes": self.bytes, "sni": sorted(names), "names": sorted(self.names)}


def flows_of(path):
    """The flows of a capture. A new SYN begins a new flow between the same ends."""
    flows, running = [], {}
    for frame in packets_of(path):
        packet = parse(frame)
        ends = (packet.proto, *sorted([(packet.src, packet.sport), (packet.dst, packet.dport)]))
        flow = running.get(ends)
        begins = packet.proto == "tcp" and packet.flags & (SYN | ACK) == SYN
        if flow is None or (begins and flow.bytes):
            flow = running[ends] = Flow(packet)
            flows.append(flow)
        flow.add(packet)
    return flows


def spellings(text):
    """The ways in which bytes may say a string, by name; base64 at each of the three offsets."""
    raw = text.encode()
    out = {"plain": raw, "hex": raw.hex().encode(), "url": "".join(f"%{byte:02x}" for byte in raw).encode()}
    out["quoted"] = urllib.parse.quote(text, safe="").lower().encode()
    for offset in range(3):
        # Only the characters that no neighbour's bits are in.
        whole = base64.b64encode(b"\0" * offset + raw)
        out[f"base64+{offset}"] = whole[(0, 2, 3)[offset] : (offset + len(raw)) * 8 // 6]
    return out


def find(path, strings):
    """Prints what was found; True when something was. base64 compares exactly, all else without regard to case."""
    found = False
    streams = [(flow, stream) for flow in flows_of(path) for stream in flow.streams()]
    lowered = [(flow, stream.lower()) for flow, stream in streams]
    for text in strings:
        for flow, _ in streams:
            if any(text.lower() in name.lower() for name in flow.names):
                found = True
                print(json.dumps({"text": text, "as": "name", **flow.facts()}))
        for kind, wanted in spellings(text).items():
            exact = kind.startswith("base64")
            for flow, stream in streams if exact else lowered:
                if (wanted if exact else wanted.lower()) in stream:
                    found = True
                    print(json.dumps({"text": text, "as": kind, **flow.facts()}))
    return found


def main():
    verb, path, *rest = sys.argv[1:] or ["", ""]
    if verb == "capture" and rest:
        capture(path, rest)
    elif verb == "flows":
        for flow in flows_of(path):
            print(json.dumps(flow.facts()))
    elif verb == "find":
        strings = [line.rstrip("\n") for line in sys.stdin if line.strip()]
        sys.exit(0 if find(path, strings) else 1)
    else:
        print(__doc__, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()

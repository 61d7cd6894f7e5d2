#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The outside of a test engine's closed world: takes every connection and datagram, and records it.

usage: world.py LOG --tcp PORT[,PORT]... --udp PORT[,PORT]... [--join GROUP[,GROUP]...] ADDRESS...

Every port is open on every address; the addresses have to be there, and 0.0.0.0 is all of them and broadcasts. Multicast GROUPs
are joined on every interface that there is. LOG gets one JSON object a line:
  {"event": "listening", "addresses", "tcp", "udp"}            once, when all of them are open
  {"event": "connect", "proto": "tcp", "local", "peer"}        at once, whether or not bytes follow
  {"event": "data", "proto", "local", "peer", "size", "text"}  the first bytes of a connection, each datagram

What comes is answered, so that whoever got out knows: DNS queries (port 53) with the address that was asked, anything
else with a line that says `world`.
"""
import argparse
import asyncio
import errno
import json
import os
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from dns import TYPE_A, question  # noqa: E402

KEPT = 4096
HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nworld\n"


class Record:
    """Writes JSON lines."""

    def __init__(self, path):
        self.out = open(path, "a", encoding="ascii", buffering=1)

    def write(self, **entry):
        self.out.write(json.dumps({"time": time.time(), **entry}) + "\n")

    def data(self, proto, local, peer, data):
        text = data[:KEPT].decode("latin-1")
        self.write(event="data", proto=proto, local=local, peer=peer, size=len(data), text=text)


def answer(local, data):
    """What comes back: to a DNS query its own address for every name, else a line."""
    address, port = local.rsplit(":", 1)
    if port != "53":
        return HELLO
    try:
        _, qtype, end = question(data)
        count = 1 if qtype == TYPE_A else 0
        out = data[:2] + struct.pack("!HHHHH", 0x8580, 1, count, 0, 0) + data[12:end]
        if count:
            out += struct.pack("!HHHIH", 0xC00C, qtype, 1, 1, 4) + socket.inet_aton(address)
        return out
    except (ValueError, IndexError, struct.error):
        return HELLO


class Datagrams(asyncio.DatagramProtocol):
    """One UDP port of one address."""

    def __init__(self, local, record):
        self.local, self.record, self.transport = local, record, None

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.record.data("udp", self.local, addr[0], data)
        self.transport.sendto(answer(self.local, data), addr)


def stream(local, record):
    """The handler of one TCP port of one address."""

    async def handle(reader, writer):
        peer = writer.get_extra_info("peername")[0]
        record.write(event="connect", proto="tcp", local=local, peer=peer)
        try:
            data = await asyncio.wait_for(reader.read(KEPT), 30)
            try:
                while data and len(data) < KEPT:  # what comes in pieces
                    piece = await asyncio.wait_for(reader.read(KEPT - len(data)), 0.1)
                    if not piece:
                        break
                    data += piece
            except asyncio.TimeoutError:
                pass
            if data:
                record.data("tcp", local, peer, data)
                if local.endswith(":53"):
                    out = answer(local, data[2:])
                    out = struct.pack("!H", len(out)) + out
                else:
                    out = answer(local, data)
                writer.write(out)
                await writer.drain()
        except (OSError, asyncio.TimeoutError):
            pass
        finally:
            writer.close()

    return handle


def datagram_socket(address, port, groups):
    """A UDP socket; a member of the groups on each interface."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, port))
    for index, _ in socket.if_nameindex():
        for group in groups:
            try:
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack("=4s4si", socket.inet_aton(group), b"\0" * 4, index))
            except OSError as error:
                if error.errno not in (errno.ENODEV, errno.EADDRNOTAVAIL):  # it went away
                    raise
    sock.setblocking(False)
    return sock


def ports(text):
    """A list of port numbers."""
    return [int(port) for port in text.split(",") if port]


async def serve(options):
    """Opens everything, then runs for ever."""
    record = Record(options.log)
    loop = asyncio.get_running_loop()
    for address in options.address:
        for port in options.tcp:
            await asyncio.start_server(stream(f"{address}:{port}", record), address, port, reuse_address=True)
        for port in options.udp:
            await loop.create_datagram_endpoint(
                lambda local=f"{address}:{port}": Datagrams(local, record), sock=datagram_socket(address, port, options.join)
            )
    record.write(event="listening", addresses=options.address, tcp=options.tcp, udp=options.udp)
    await asyncio.Event().wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("log")
    parser.add_argument("--tcp", type=ports, default=[])
    parser.add_argument("--udp", type=ports, default=[])
    parser.add_argument("--join", type=lambda text: text.split(","), default=[])
    parser.add_argument("address", nargs="+")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""A TLS 1.3 client that says what it is told to: any server names, any records, and still completes the handshake.

The libraries at hand refuse to send what an attacker would. One suite (AES-128-GCM with SHA-256), one group (X25519),
no certificate checks: the peer is the bottle's own proxy.
"""
import hashlib
import hmac
import os
import struct

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_CHANGE, _ALERT, _HANDSHAKE, _DATA = 20, 21, 22, 23
SERVER_NAME, ALPN, EARLY_DATA, ECH = 0, 16, 42, 0xFE0D
_ALERTS = {0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 40: "handshake_failure", 47: "illegal_parameter",
           50: "decode_error", 51: "decrypt_error", 70: "protocol_version", 80: "internal_error", 109: "missing_extension",
           110: "unsupported_extension", 112: "unrecognized_name", 120: "no_application_protocol"}


class Alert(Exception):
    """The peer refused: an alert, or the end of the connection."""


class Strange(Exception):
    """The peer did what this client does not know."""


def sized(size, data):
    """Bytes behind their length in `size` bytes."""
    return len(data).to_bytes(size, "big") + data


def extension(kind, data):
    """One extension."""
    return struct.pack("!H", kind) + sized(2, data)


def server_names(*names, kind=0):
    """The extension that names servers; one name is what everybody sends."""
    return extension(SERVER_NAME, sized(2, b"".join(bytes((kind,)) + sized(2, name) for name in names)))


def alpn(*protocols):
    """The extension that offers protocols."""
    return extension(ALPN, sized(2, b"".join(sized(1, protocol) for protocol in protocols)))


def _expand(secret, label, context, size):
    """HKDF-Expand-Label."""
    info = struct.pack("!H", size) + sized(1, b"tls13 " + label) + sized(1, context)
    out, block, number = b"", b"", 1
    while len(out) < size:
        block = hmac.new(secret, block + info + bytes((number,)), hashlib.sha256).digest()
        out, number = out + block, number + 1
    return out[:size]


def _extract(salt, secret):
    """HKDF-Extract."""
    return hmac.new(salt, secret, hashlib.sha256).digest()


class _Keys:
    """One direction of a connection."""

    def __init__(self, secret):
        self.secret = secret
        self._cipher = AESGCM(_expand(secret, b"key", b"", 16))
        self._iv = int.from_bytes(_expand(secret, b"iv", b"", 12), "big")
        self._number = 0

    def _nonce(self):
        nonce = (self._iv ^ self._number).to_bytes(12, "big")
        self._number += 1
        return nonce

    def seal(self, kind, data):
        """A protected record."""
        head = struct.pack("!BHH", _DATA, 0x0303, len(data) + 17)
        return head + self._cipher.encrypt(self._nonce(), data + bytes((kind,)), head)

    def open(self, head, data):
        """(kind, content) of a protected record."""
        plain = self._cipher.decrypt(self._nonce(), data, head).rstrip(b"\0")
        return plain[-1], plain[:-1]


class Client:
    """A connection. `recv`, `sendall`, `settimeout` and `close` are those of a socket."""

    def __init__(self, sock, extensions, pieces=1, tail=b""):
        """`extensions`: those beside the ones that TLS 1.3 needs, in front of them. `pieces`: into how many records the
        ClientHello is cut. `tail`: what is sent in the same breath."""
        self._sock, self._pending, self.protocol = sock, b"", ""
        self._read = self._write = None
        key = X25519PrivateKey.generate()
        share = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self._hello = _client_hello(share, extensions)
        self._key = key
        sock.sendall(_records(self._hello, pieces) + tail)

    def handshake(self):
        """Completes the handshake. Raises Alert when it is refused."""
        kind, message = self._record()
        if kind != _HANDSHAKE or message[:1] != b"\2":
            raise Strange(f"record {kind} in place of a ServerHello")
        size = 4 + int.from_bytes(message[1:4], "big")
        server_hello = message[:size]
        shared = self._key.exchange(X25519PublicKey.from_public_bytes(_server_share(server_hello)))
        empty = hashlib.sha256(b"").digest()
        early = _extract(b"\0" * 32, b"\0" * 32)
        secret = _extract(_expand(early, b"derived", empty, 32), shared)
        transcript = hashlib.sha256(self._hello + server_hello)
        client = _expand(secret, b"c hs traffic", transcript.digest(), 32)
        server = _expand(secret, b"s hs traffic", transcript.digest(), 32)
        self._read, self._write = _Keys(server), _Keys(client)
        self._finish(transcript, secret, client, empty)
        return self

    def _finish(self, transcript, secret, client, empty):
        """From the encrypted extensions to the application's keys."""
        data = b""
        while True:
            kind, content = self._record()
            if kind != _HANDSHAKE:
                raise Strange(f"record {kind} in the handshake")
            data += content
            while len(data) >= 4 and len(data) >= 4 + int.from_bytes(data[1:4], "big"):
                size = 4 + int.from_bytes(data[1:4], "big")
                message, data = data[:size], data[size:]
                transcript.update(message)
                if message[0] == 8:
                    self.protocol = _chosen_protocol(message[4:])
                if message[0] == 20:
                    self._switch(transcript, secret, client, empty)
                    return

    def _switch(self, transcript, secret, client, empty):
        """Our Finished, and the keys of what follows."""
        until = transcript.digest()
        proof = hmac.new(_expand(client, b"finished", b"", 32), until, hashlib.sha256).digest()
        self._sock.sendall(self._write.seal(_HANDSHAKE, b"\x14\0\0\x20" + proof))
        master = _extract(_expand(secret, b"derived", empty, 32), b"\0" * 32)
        self._write = _Keys(_expand(master, b"c ap traffic", until, 32))
        self._read = _Keys(_expand(master, b"s ap traffic", until, 32))

    def _exactly(self, size):
        """So many bytes from the socket."""
        data = b""
        while len(data) < size:
            piece = self._sock.recv(size - len(data))
            if not piece:
                raise Alert("closed")
            data += piece
        return data

    def _record(self):
        """(kind, content) of the next record that says something."""
        while True:
            head = self._exactly(5)
            kind, _, size = struct.unpack("!BHH", head)
            if head[:1] not in (b"\x14", b"\x15", b"\x16", b"\x17"):
                raise Strange(f"no TLS: {head!r}")
            data = self._exactly(size)
            if kind == _CHANGE:
                continue
            if self._read is not None and kind == _DATA:
                kind, data = self._read.open(head, data)
            if kind == _ALERT:
                raise Alert(f"alert {_ALERTS.get(data[1], data[1])}")
            return kind, data

    def sendall(self, data):
        """Sends data of the application."""
        for first in range(0, len(data), 16000):
            self._sock.sendall(self._write.seal(_DATA, data[first:first + 16000]))

    def recv(self, _size):
        """Data of the application; none at the end."""
        try:
            while True:
                kind, content = self._record()
                if kind == _DATA:
                    return content
        except Alert:
            return b""

    def settimeout(self, wait):
        """That of the socket."""
        self._sock.settimeout(wait)

    def close(self):
        """Ends the connection."""
        self._sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _client_hello(share, extensions):
    """The message."""
    needed = extension(43, b"\x02\x03\x04")  # TLS 1.3 alone
    needed += extension(10, sized(2, struct.pack("!H", 29)))  # X25519
    needed += extension(13, sized(2, struct.pack("!5H", 0x0403, 0x0804, 0x0805, 0x0401, 0x0503)))
    needed += extension(51, sized(2, struct.pack("!H", 29) + sized(2, share)))
    body = b"\x03\x03" + os.urandom(32) + sized(1, os.urandom(32)) + sized(2, b"\x13\x01") + b"\x01\0"
    body += sized(2, b"".join(extensions) + needed)
    return b"\x01" + sized(3, body)


def _records(message, pieces):
    """A message in so many records."""
    size = -(-len(message) // pieces)
    return b"".join(struct.pack("!BH", _HANDSHAKE, 0x0301) + sized(2, message[first:first + size]) for first in range(0, len(message), size))


def _server_share(message):
    """The key share of a ServerHello."""
    at = 4 + 2 + 32
    at += 1 + message[at] + 2 + 1
    end, at = at + 2 + int.from_bytes(message[at:at + 2], "big"), at + 2
    while at < end:
        kind, size = struct.unpack_from("!HH", message, at)
        if kind == 51 and size == 36:
            return message[at + 8:at + 4 + size]
        at += 4 + size
    raise Strange("a ServerHello without a key share")


def _chosen_protocol(data):
    """What ALPN came to."""
    at, end = 2, 2 + int.from_bytes(data[:2], "big")
    while at < end:
        kind, size = struct.unpack_from("!HH", data, at)
        if kind == ALPN:
            return data[at + 7:at + 4 + size].decode("latin-1")
        at += 4 + size
    return ""

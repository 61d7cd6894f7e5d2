# SPDX-License-Identifier: Apache-2.0
"""What the probe is told: input.json, checked and with defaults."""
import ipaddress
import json
import re
from dataclasses import dataclass, field

_NONCE = re.compile(r"[0-9a-f]{8,32}")


class InputError(Exception):
    """input.json is not as agreed. `args[0]` says why."""


@dataclass(frozen=True)
class Peer:
    """Another container of the installation."""

    role: str
    bottle: str  # same | other
    addresses: tuple
    ports: tuple


@dataclass(frozen=True)
class Target:
    """An address outside of the engine that is to be attempted."""

    address: str
    tcp: tuple
    udp: tuple


@dataclass(frozen=True)
class Input:
    """All of input.json."""

    identity: str  # user | root
    nonce: str
    deadline: float = 120.0
    only: tuple = ()
    proxy_port: int = 9099
    proxy_addresses: tuple = ()
    proxy_name: str = "egress"
    peers: tuple = ()
    host_addresses: tuple = ()
    host_tcp: tuple = ()
    host_udp: tuple = ()
    targets: tuple = ()
    wide: bool = False
    names: tuple = ()
    mounts: tuple = ()
    dlp: str = "block"  # what pipelock does with what it finds
    unscanned: tuple = field(default=())  # hosts whose TLS pipelock passes through

    @property
    def name(self):
        """The name that must not resolve."""
        return self.names[0]


def load(path):
    """The Input in a file. Raises InputError, OSError or ValueError."""
    with open(path, encoding="utf-8") as file:
        return parse(json.load(file))


def parse(given):
    """The Input in a decoded JSON object."""
    if not isinstance(given, dict):
        raise InputError("not an object")
    identity, nonce = given.get("as", "user"), given.get("nonce", "")
    if identity not in ("user", "root"):
        raise InputError("as: must be user or root")
    if not _NONCE.fullmatch(nonce):
        raise InputError("nonce: must be 8 to 32 hexadecimal digits")
    proxy, host = given.get("proxy") or {}, given.get("host") or {}
    pipelock = given.get("pipelock") or {}
    return Input(
        identity=identity, nonce=nonce, deadline=float(given.get("deadline_s") or 120), only=tuple(given.get("only") or ()),
        proxy_port=_port(proxy.get("port", 9099)), proxy_addresses=_addresses(proxy.get("addresses")),
        proxy_name=str(proxy.get("name") or "egress"),
        peers=tuple(_peer(item) for item in given.get("peers") or ()),
        host_addresses=_addresses(host.get("addresses")), host_tcp=_ports(host.get("tcp")), host_udp=_ports(host.get("udp")),
        targets=tuple(Target(_addresses([item["address"]])[0], _ports(item.get("tcp")), _ports(item.get("udp")))
                      for item in given.get("targets") or ()),
        wide=bool(given.get("wide")), names=tuple(given.get("names") or (f"{nonce}.canary.example.net",)),
        mounts=tuple((given.get("agent") or {}).get("mounts") or ()),
        dlp=str(pipelock.get("action") or "block"), unscanned=tuple(pipelock.get("passthrough") or ()))


def _peer(item):
    """One entry of peers."""
    same = "same" if item.get("bottle") == "same" else "other"
    return Peer(str(item.get("role", "unknown")), same, _addresses(item.get("addresses")), _ports(item.get("ports")))


def _addresses(items):
    """A list of IP addresses, each once, in their canonical form."""
    try:
        return tuple(dict.fromkeys(str(ipaddress.ip_address(item)) for item in items or ()))
    except ValueError as problem:
        raise InputError(f"not an address: {problem}") from None


def _ports(items):
    """A list of ports, each once."""
    return tuple(dict.fromkeys(_port(item) for item in items or ()))


def _port(item):
    """A port number."""
    if type(item) is not int or not 0 < item < 65536:
        raise InputError(f"not a port: {item!r}")
    return item

# SPDX-License-Identifier: Apache-2.0
"""What the probe knows of the bottle that it is in, and the controls: things that work, by which a refusal is told from a
dead network."""
import errno
import fcntl
import os
import secrets
import shutil
import socket
import tempfile

import allowed
import dial
import handshake
import inside
import kernel
import netlink
import resolver
import talk
import tls13
from dial import Dial
from registry import Control

TRIED = 4  # routes that are asked for an answer of their upstream


class World:
    """One run: its input, the proxy's rules, and a directory of its own."""

    def __init__(self, given):
        self.given, self.nonce = given, given.nonce
        self.directory = tempfile.mkdtemp(prefix="bottler-probe-", dir=_writable())
        self.gvisor = kernel.gvisor()
        self.routes, self.choices, self.request = [], [], None
        self.controls = {}
        self.plan = None
        self.abstract = None

    @property
    def proxy(self):
        """The proxy's address and port."""
        if not self.given.proxy_addresses:
            raise OSError("the proxy's address is not given")
        return self.given.proxy_addresses[0], self.given.proxy_port

    @property
    def host(self):
        """An allowed host; where there is none, a name of nobody."""
        if self.request is not None:
            return self.request.host
        return self.routes[0].host if self.routes else f"none.{self.given.name}"

    def close(self):
        """Leaves nothing behind."""
        shutil.rmtree(self.directory, ignore_errors=True)

    # -- controls ---------------------------------------------------------------------------------

    def check(self):
        """Runs all controls, before anything else."""
        for name, title, control in (
                ("C.tcp", "TCP to the proxy is accepted", self._tcp),
                ("C.udp", "a datagram to ourselves arrives", self._udp),
                ("C.icmp", "the proxy answers a ping", self._icmp),
                ("C.six", "IPv6 sockets reach the proxy, by its IPv4 address", self._six),
                ("C.dns", f"the container's resolver knows {self.given.proxy_name}", self._dns),
                ("C.netlink", "the kernel tells of the interfaces", self._netlink),
                ("C.ioctl", "the kernel answers an ioctl of the interfaces", self._ioctl),
                ("C.syscall", "a system call in a child comes back", self._syscall),
                ("C.files", "a file can be made, opened and written", self._files),
                ("C.unix", "a socket of our own takes connections", self._unix),
                ("C.proxy", "the proxy shows what it allows", self._introspection),
                ("C.chain", "an allowed request is answered by its upstream", self._chain),
                ("C.hello", "our own TLS client gets to the proxy's rules", self._hello)):
            self._run(name, title, control)

    def check_again(self):
        """The controls that may have stopped working meanwhile."""
        for name, control in (("C.tcp", self._tcp), ("C.dns", self._dns), ("C.proxy", self._introspection),
                              ("C.chain", self._again), ("C.hello", self._hello)):
            before = self.controls[name]
            if not before.ok:
                continue
            self._run(name, before.title, control)
            after = self.controls[name]
            if not after.ok:
                self.controls[name] = after._replace(evidence=f"worked at first; at the end: {after.evidence}")

    def _run(self, name, title, control):
        """One control."""
        try:
            good, evidence = control()
        except Exception as problem:  # pylint: disable=broad-except
            good, evidence = False, f"{type(problem).__name__}: {problem}"
        self.controls[name] = Control(name, title, good, evidence)

    def _tcp(self):
        address, port = self.proxy
        result = dial.once(Dial("tcp", address, port, "egress"))
        return result == "connected", f"{address}:{port} {result}"

    def _udp(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
            here.settimeout(2.0)
            here.bind(("127.0.0.1", 0))
            there.sendto(self.nonce.encode(), here.getsockname())
            return here.recv(64) == self.nonce.encode(), "sent and received"

    def _icmp(self):
        address = self.proxy[0]
        result = dial.once(Dial("icmp", address, 0, "egress", dial.echo_request(self.nonce.encode())))
        if result in ("EACCES", "EPERM", "EPROTONOSUPPORT"):
            return self.controls["C.udp"].ok, f"ping sockets are not given ({result}); {self.controls['C.udp'].evidence}"
        return result == "answered", f"{address} {result}"

    def _six(self):
        address, port = self.proxy
        result = dial.once(Dial("tcp", f"::ffff:{address}", port, "egress")) if ":" not in address else "the proxy has an IPv6 address"
        if result == errno.errorcode[errno.EAFNOSUPPORT]:
            return self.controls["C.tcp"].ok, "the kernel has no IPv6; by IPv4 the proxy is reached"
        return result == "connected", f"[::ffff:{address}]:{port} {result}"

    def _dns(self):
        servers = resolver.servers()
        if not servers:
            return False, "no resolver is configured"
        answer = resolver.ask(servers[0], resolver.query(self.given.proxy_name, 1), wait=3.0)
        if answer is None:
            return False, f"{servers[0]} does not answer"
        return bool(set(answer.addresses) & set(self.given.proxy_addresses)), f"{servers[0]}: {answer.code} {' '.join(answer.addresses)}"

    def _netlink(self):
        return "lo" in netlink.devices().values() and bool(netlink.addresses()), " ".join(str(entry.interface) for entry in netlink.addresses())

    def _ioctl(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            data = fcntl.ioctl(sock, 0x8913, b"lo".ljust(40, b"\0"))
        return bool(data[16] & 8), "lo is a loopback"

    def _syscall(self):
        told = kernel.in_child(lambda: [kernel.call("getpid"), os.getpid()])
        return told[0] == told[1] != os.getpid(), f"getpid in a child is {told[0]}"

    def _files(self):
        path = os.path.join(self.directory, "control")
        with open(path, "wb") as file:
            file.write(self.nonce.encode())
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.close(descriptor)
        with open(path, "rb") as file:
            return file.read() == self.nonce.encode(), path

    def _unix(self):
        name = f"\0bottler-probe-{self.nonce}-{secrets.token_hex(4)}"
        self.abstract = socket.socket(socket.AF_UNIX)
        self.abstract.bind(name)
        self.abstract.listen(1)
        with open("/proc/net/unix", encoding="utf-8", errors="replace") as file:
            listed = name[1:] in file.read()
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(2.0)
            sock.connect(name)
        return listed, f"@{name[1:]} is listed" if listed else "it is not listed in /proc/net/unix"

    def _introspection(self):
        answer = talk.introspect(self.proxy)
        if answer.status != 200:
            return False, answer.shown
        self.routes = allowed.parse(answer.body)
        self.choices = allowed.suitable(self.routes, self.nonce)
        return True, f"{len(self.routes)} routes"

    def _chain(self):
        if not self.routes:
            return self.controls["C.proxy"].ok, f"the bottle has no route; {self.controls['C.proxy'].evidence}"
        if not self.choices:
            return self.controls["C.proxy"].ok, f"no route takes a GET or HEAD; {self.controls['C.proxy'].evidence}"
        tried = []
        for _, request in self.choices[:TRIED]:
            good, evidence = self._ask(request)
            if good:
                self.request = request
                # The routes whose upstream answers come first.
                self.choices.sort(key=lambda pair: pair[1] is not request)
                return True, evidence
            tried.append(evidence)
        self.request = self.choices[0][1]
        return False, "; ".join(tried)

    def _again(self):
        if self.request is None:
            return self._chain()
        return self._ask(self.request)

    def _ask(self, request):
        """An allowed request."""
        shown = f"{request.method} https://{request.host}{request.path}"
        try:
            with talk.tunnel(self.proxy, request.host) as sock:
                sock.sendall(inside.fill(self, request, inside.LINE + inside.HOST + inside.REST + "Connection: close\r\n\r\n"))
                heard = talk.hear(sock, wait=15.0, methods=(request.method,), done=False)
        except OSError as problem:
            return False, f"{shown}: {problem}"
        if not heard.answers:
            return False, f"{shown}: no answer"
        answer = heard.answers[0]
        return answer.rule is None and not answer.failed and not answer.by_pipelock, f"{shown}: {answer.shown}"

    def _hello(self):
        if self.request is None:
            return self.controls["C.proxy"].ok, "no host to say hello to"
        with handshake.start(self, [tls13.server_names(self.request.host.encode())]) as client:
            client.handshake()
            client.sendall(f"TRACE {self.request.path} HTTP/1.1\r\nHost: {self.request.host}\r\n\r\n".encode("latin-1"))
            answer = talk.hear(client).answers[0]
        return answer.rule == "method", answer.shown


def _writable():
    """A directory that takes files."""
    for directory in ("/tmp", "/dev/shm", "/var/tmp", "/run"):
        if os.access(directory, os.W_OK | os.X_OK):
            return directory
    return None

# SPDX-License-Identifier: Apache-2.0
"""What the probe makes of what it sees: answers of proxies, resolvers, kernels and neighbours; and what counts as refused."""
import io
import ipaddress
import json
import socket
import ssl
import struct
import tempfile
import threading
import unittest
from pathlib import Path

import common
import dial
import inputs
import kernel
import main
import netlink
import network
import registry
import resolver
import support
import talk
import tls13
from allowed import Match, Request, Route
from dial import Dial
from registry import Attempt, Control, Outcome, denied, error, got_out, skipped


class Counting(unittest.TestCase):
    """Controls, selection, output."""

    def test_a_refusal_needs_its_control(self):
        """Without it, it is an error; an open door is open without any."""
        attempt = Attempt("N1.x", "N1", "network", "x", "C.tcp", None)
        good, bad = {"C.tcp": Control("C.tcp", "", True, "")}, {"C.tcp": Control("C.tcp", "", False, "dead")}
        self.assertEqual("denied", registry.weighed(attempt, denied("no"), good).verdict)
        for controls in (bad, {}):
            self.assertEqual("error", registry.weighed(attempt, denied("no"), controls).verdict)
            for outcome in (got_out("yes"), error("?"), skipped("-")):
                self.assertIs(outcome, registry.weighed(attempt, outcome, controls))

    def test_selection(self):
        """By globs; an id counts once."""
        attempts = [Attempt(name, "N1", "network", "", "C", None) for name in ("N1.a", "N2.b", "N1.a", "P1.c")]
        self.assertEqual(["N1.a", "N2.b", "P1.c"], [attempt.id for attempt in registry.selected(attempts, ())])
        self.assertEqual(["N1.a", "P1.c"], [attempt.id for attempt in registry.selected(attempts, ("N1.*", "P?.c"))])

    def test_a_broken_attempt_is_an_error(self):
        """And so is one that comes too late."""
        broken = Attempt("X", "N1", "network", "", "C", lambda: 1 // 0)
        self.assertEqual("error", main._one(broken, float("inf")).verdict)
        self.assertEqual("error", main._one(Attempt("X", "N1", "network", "", "C", lambda: denied("no")), 0.0).verdict)

    def test_lines(self):
        """JSON, ASCII, bounded."""
        out = io.StringIO()
        registry.show(registry.result_line(Attempt("N1.a", "N1", "network", "t", "C.x", None), got_out("\u00e9" * 5000)), out)
        shown = json.loads(out.getvalue())
        self.assertTrue(out.getvalue().isascii())
        self.assertEqual(("result", "N1.a", "N1", "network", "open", "C.x"), tuple(shown[key] for key in ("type", "id", "row", "class", "verdict", "control")))
        self.assertEqual(registry.MAX_EVIDENCE, len(shown["evidence"]))

    def test_input(self):
        """What is not as agreed is an error."""
        good = {"as": "user", "nonce": common.NONCE}
        self.assertEqual((f"{common.NONCE}.canary.example.net", False, ()), (inputs.parse(good).name, inputs.parse(good).wide, inputs.parse(good).peers))
        for wrong in ({"as": "nobody"}, {"nonce": "no hex"}, {"host": {"addresses": ["300.1.1.1"]}}, {"host": {"tcp": [70000]}}, {"proxy": {"port": "80"}},
                      {"targets": [{"address": "example.com"}]}, {"peers": [{"addresses": ["x"]}]}):
            with self.assertRaises(inputs.InputError, msg=str(wrong)):
                inputs.parse({**good, **wrong})
        with self.assertRaises(inputs.InputError):
            inputs.parse([])

    def test_ids(self):
        """Every id is there once, says its row, and is the same in the next run."""
        given = {"proxy": {"port": 1, "addresses": ["127.0.0.1"]}, "wide": True, "host": {"addresses": ["192.0.2.1"], "tcp": [1], "udp": [2]},
                 "peers": [{"role": "pipelock", "bottle": "same", "addresses": ["192.0.2.2"], "ports": [8888]},
                           {"role": "egress", "bottle": "other", "addresses": ["192.0.2.3"], "ports": [9099]}],
                 "targets": [{"address": "192.0.2.4", "tcp": [443], "udp": [53]}]}
        seen = []
        for _ in range(2):
            world = common.world_at(1, **{key: value for key, value in given.items() if key != "proxy"})
            first, rest = main.collect(world)
            world.close()
            seen.append([attempt.id for attempt in first + rest])
            for attempt in first + rest:
                self.assertTrue(attempt.id.startswith(attempt.row + "."), attempt)
                self.assertRegex(attempt.id, r"^[A-Za-z0-9._:-]+$")
                self.assertIn(attempt.kind, ("network", "dns", "proxy", "container"))
                self.assertIn(attempt.control, ("C.tcp", "C.udp", "C.icmp", "C.six", "C.dns", "C.netlink", "C.ioctl", "C.syscall", "C.files", "C.unix", "C.proxy", "C.chain", "C.hello"))
        self.assertEqual(seen[0], seen[1])
        self.assertEqual(len(seen[0]), len(set(seen[0])))
        rows = {name.partition(".")[0] for name in seen[0]}
        self.assertEqual(set(), {"N1", "N2", "N4", "N5", "N7", "N8", "N10", "N11", "N14", "P1", "P2", "P3", "P4", "P5", "P7", "P9", "P12", "P13", "P14", "P15",
                                 "P17", "P23", "P25", "H1", "H2", "H3", "H5", "H10"} - rows)
        self.assertGreater(len(seen[0]), 800)


class Neighbourhood(unittest.TestCase):
    """Connections and datagrams."""

    def _flight(self, neighbours=(), routes=(("10.9.0.0/28", None), ("0.0.0.0/0", "10.9.0.1"))):
        flight = dial.Flight()
        flight.routes = [netlink.Route(ipaddress.ip_network(network), gateway, "eth0") for network, gateway in routes]
        flight.neighbours = {address: netlink.Neighbour("02:00:00:00:00:01", settled, 1.0) for address, settled in neighbours}
        return flight

    def _verdict(self, result, flight=None, address="203.0.113.7", **more):
        made = Dial("tcp", address, 443, **more)
        made.result = result
        return (flight or self._flight()).judge(made).verdict

    def test_answers(self):
        """Any answer shows that somebody is there; egress alone may refuse."""
        self.assertEqual("open", self._verdict("connected"))
        self.assertEqual("open", self._verdict("answered"))
        self.assertEqual("open", self._verdict("ECONNREFUSED"))
        self.assertEqual("denied", self._verdict("ECONNREFUSED", reach="egress"))
        self.assertEqual("open", self._verdict("connected", reach="egress"))

    def test_next_hop(self):
        """A packet that a next hop took is out, one that nobody took is not."""
        gateway, stale = self._flight([("10.9.0.1", True)]), self._flight([("10.9.0.1", False)])
        for result in ("timeout", "sent", "EHOSTUNREACH", "ENETUNREACH"):
            self.assertEqual("denied", self._verdict(result))
            self.assertEqual("open", self._verdict(result, gateway))
            self.assertEqual("error", self._verdict(result, stale))
            self.assertEqual("denied", self._verdict(result, gateway, "10.9.0.5"))
            self.assertEqual("open", self._verdict(result, self._flight([("10.9.0.5", True)]), "10.9.0.5"))
            self.assertEqual("open", self._verdict(result, self._flight([("203.0.113.7", True)]), device="eth0"))
            self.assertEqual("denied", self._verdict(result, gateway, device="eth0"))
            self.assertEqual("error", self._verdict(result, self._flight([("10.9.0.2", True)]), "10.9.0.2", reach="egress"))

    def test_no_route(self):
        """The kernel's own refusals; a silence without any route is none."""
        away = self._flight(routes=())
        for result in ("ENETUNREACH", "EADDRNOTAVAIL", "EAFNOSUPPORT", "EPERM", "EACCES", "EPROTONOSUPPORT"):
            self.assertEqual("denied", self._verdict(result, away))
        for result in ("timeout", "sent", "EMFILE", "ENOBUFS", ""):
            self.assertEqual("error", self._verdict(result, away))
        self.assertEqual("denied", self._verdict("ENETUNREACH", away, "2001:db8::1"))
        self.assertEqual("open", self._verdict("timeout", self._flight([("10.9.0.1", True)]), "::ffff:203.0.113.7"))
        unknown = self._flight()
        unknown.problem = "the neighbours cannot be listed"
        self.assertEqual("error", self._verdict("timeout", unknown))

    def test_real_sockets(self):
        """On loopback: a listener, a closed port, an answer, silence."""
        with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as echo:
            echo.bind(("127.0.0.1", 0))
            threading.Thread(target=lambda: echo.sendto(b"yes", echo.recvfrom(100)[1]), daemon=True).start()
            with socket.create_server(("127.0.0.1", 0)) as closed:
                nobody = closed.getsockname()[1]
            dials = [Dial("tcp", "127.0.0.1", listener.getsockname()[1], payload=b"n"), Dial("tcp", "127.0.0.1", nobody, "egress", b"n"),
                     Dial("udp", "127.0.0.1", echo.getsockname()[1], payload=b"n"), Dial("udp", "127.0.0.1", nobody, "egress", b"n")]
            flight = dial.Flight()
            flight.run(dials, support.DEADLINE)
            self.assertEqual(["connected", "ECONNREFUSED", "answered", "ECONNREFUSED"], [made.result for made in dials])
            self.assertEqual(["open", "denied", "open", "denied"], [flight.judge(made).verdict for made in dials])
            peer, _ = listener.accept()
            self.assertEqual(b"n", peer.recv(10))
            peer.close()

    def test_segment(self):
        """A broadcast is out when the host answers on this network; else nobody here can tell."""
        world = common.world_at(1, host={"addresses": ["192.0.2.1"]})
        self.addCleanup(world.close)
        plan = network.Plan(world)
        sent = Dial("udp", "224.0.0.1", 9, "segment")
        sent.result = "sent"
        host = Dial("udp", "192.0.2.1", 9, device="eth0")
        host.result = "sent"
        plan.hosts_answer = [host]
        plan.flight = self._flight()
        self.assertEqual("skipped", plan._judge(sent).verdict)
        plan.flight = self._flight([("192.0.2.1", True)])
        self.assertEqual("open", plan._judge(sent).verdict)
        sent.result = "ENETUNREACH"
        plan.flight = self._flight(routes=())
        self.assertEqual("denied", plan._judge(sent).verdict)

    def test_lawful(self):
        """The sidecars of the agent's own network may be reached at one port, whose number is not told; pipelock never."""
        world = common.world_at(9099, peers=[
            {"role": "git-gate", "bottle": "same", "addresses": ["127.0.0.5"], "ports": [22]}, {"role": "egress", "bottle": "same", "addresses": ["127.0.0.1"], "ports": [8080]},
            {"role": "pipelock", "bottle": "same", "addresses": ["127.0.0.6"], "ports": [8888]}, {"role": "egress", "bottle": "other", "addresses": ["127.0.0.7"], "ports": [9099]}])
        self.addCleanup(world.close)
        plan = network.Plan(world)
        plan.attached = [ipaddress.ip_network("127.0.0.0/8")]
        plan.dials.clear()
        plan._peers()
        reach = {name: made.reach for made, name in plan.dials}
        self.assertEqual(["egress", "egress", "other", "other"], [reach[name] for name in (
            "N10.tcp.git-gate.127.0.0.5.22", "N10.tcp.egress.127.0.0.1.8080", "N10.tcp.pipelock.127.0.0.6.8888", "N10.tcp.egress.127.0.0.7.9099")])


class Names(unittest.TestCase):
    """Resolvers."""

    def test_codes(self):
        """A refusal, and silence, are refusals; that a name does not exist was found out by somebody."""
        for code, verdict in (("SERVFAIL", "denied"), ("REFUSED", "denied"), ("NOERROR", "open"), ("NXDOMAIN", "open"), ("FORMERR", "error"), ("NOTIMP", "error")):
            self.assertEqual(verdict, resolver.judge(resolver.Answer(code, [], 0)).verdict, code)
        self.assertEqual("denied", resolver.judge(None).verdict)

    def test_packets(self):
        """A question in the wire's form, and the addresses of an answer."""
        packet = resolver.query("a.b\xe9.example.", 28, edns=True)
        self.assertEqual(b"\x01a\x02b\xe9\x07example\0\0\x1c\0\x01", packet[12:30])
        self.assertEqual((1, 0, 0, 1), struct.unpack("!HHHH", packet[4:12]))
        answer = packet[:2] + struct.pack("!HHHHH", 0x8180, 1, 2, 0, 0) + packet[12:30]
        answer += b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 5, 4) + bytes((10, 0, 0, 2)) + b"\xc0\x0c" + struct.pack("!HHIH", 28, 1, 5, 16) + b"\0" * 15 + b"\1"
        parsed = resolver._parse(answer)
        self.assertEqual(("NOERROR", ["10.0.0.2", "::1"], 2), (parsed.code, parsed.addresses, parsed.records))

    def test_lengths(self):
        """No name is longer than DNS allows: a resolver would refuse it for that."""
        for _, name in resolver._shapes(common.given()).values():
            self.assertLessEqual(len(name) + 1, 254)
            self.assertTrue(all(0 < len(label) < 64 for label in name.split(".")), name)


class Kernel(unittest.TestCase):
    """System calls."""

    def test_codes(self):
        """What is refused is EPERM, EACCES or ENOSYS; everything else got past the check."""
        for result, verdict in ((0, "open"), (7, "open"), (-1, "denied"), (-13, "denied"), (-38, "denied"), (-22, "open"), (-14, "open")):
            self.assertEqual(verdict, kernel.judge(result).verdict, result)

    def test_children(self):
        """A call that kills its caller was refused; one that never comes back, or cannot be made, tells nothing."""
        import os
        import signal
        import time
        self.assertEqual("denied", kernel.attempt(lambda: os.kill(os.getpid(), signal.SIGSYS)).verdict)
        self.assertEqual("error", kernel.attempt(lambda: 1 // 0).verdict)
        wait, kernel.in_child.__defaults__ = kernel.in_child.__defaults__, (0.2,)
        self.addCleanup(setattr, kernel.in_child, "__defaults__", wait)
        self.assertEqual("error", kernel.attempt(lambda: time.sleep(9)).verdict)

    def test_numbers(self):
        """The numbers of the calls are those of this machine's headers, as far as these know them."""
        column, header = {"x86_64": (0, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h")}.get(kernel.platform.machine(), (1, "/usr/include/asm-generic/unistd.h"))
        known = {line.split()[1][5:]: line.split()[2] for line in Path(header).read_text(encoding="ascii").splitlines() if line.startswith("#define __NR_")}
        checked = {name: numbers[column] for name, numbers in kernel.NUMBERS.items() if known.get(name, "").isdigit()}
        self.assertEqual({name: int(known[name]) for name in checked}, checked)
        self.assertGreater(len(checked), 45)


class Talk(unittest.TestCase):
    """Answers of proxies."""

    def _judged(self, data, own=0, closed=False, methods=()):
        heard = talk.Heard(closed=closed)
        heard.answers, heard.rest = talk.parse(data, closed, methods)
        heard.late = not heard.answers and not closed
        return talk.judge(heard, own)

    DENIAL = b'HTTP/1.1 403 Forbidden\r\nX-Bottler-Denied: host\r\nContent-Length: 56\r\n\r\n{"error": "blocked by bottler egress", "reason": "none"}'

    def test_refusals(self):
        """Egress in its words, pipelock in its own, and the end of the connection."""
        self.assertEqual(Outcome("denied", "403 host: none"), self._judged(self.DENIAL))
        self.assertEqual("denied", self._judged(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 12\r\n\r\nblocked: dlp").verdict)
        self.assertEqual("denied", self._judged(b"", closed=True).verdict)
        self.assertEqual("error", self._judged(b"").verdict)

    def test_no_refusals(self):
        """An upstream's own 403, a 200, bytes of anybody, a second answer."""
        self.assertEqual("open", self._judged(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").verdict)
        self.assertEqual("open", self._judged(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").verdict)
        self.assertEqual("open", self._judged(b"SSH-2.0-OpenSSH\r\n").verdict)
        self.assertEqual("open", self._judged(self.DENIAL + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").verdict)
        self.assertEqual("open", self._judged(self.DENIAL + b"\0\0\0\x04").verdict)
        self.assertEqual("open", self._judged(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").verdict)
        self.assertEqual("open", self._judged(b"HTTP/1.1 200 OK\r\n\r\n", methods=("CONNECT",)).verdict)

    def test_a_claimed_refusal(self):
        """The header alone, on somebody else's body, is none."""
        self.assertEqual("open", self._judged(b"HTTP/1.1 403 No\r\nX-Bottler-Denied: host\r\nContent-Length: 2\r\n\r\n{}{").verdict)

    def test_failures(self):
        """What egress let pass and the upstream dropped is not refused."""
        self.assertEqual("error", self._judged(b'HTTP/1.1 502 Bad Gateway\r\nContent-Length: 36\r\n\r\n{"error": "failed at bottler egress"}').verdict)

    def test_own(self):
        """The allowed request in front must be answered, all others refused."""
        answered = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        self.assertEqual("denied", self._judged(answered + self.DENIAL, 1).verdict)
        self.assertEqual("open", self._judged(answered + answered, 1).verdict)
        self.assertEqual("error", self._judged(self.DENIAL, 1).verdict)
        self.assertEqual("error", self._judged(b"", 1, True).verdict)

    def test_bodies(self):
        """By length, in chunks, until the end, and none."""
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        self.assertEqual(([b"abc"], b""), ([answer.body for answer in talk.parse(chunked, False)[0]], talk.parse(chunked, False)[1]))
        self.assertEqual([], talk.parse(chunked[:-3], False)[0])
        self.assertEqual(b"abc", talk.parse(b"HTTP/1.1 200 OK\r\n\r\nabc", True)[0][0].body)
        both = talk.parse(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n" + self.DENIAL, False, ("HEAD",))
        self.assertEqual([200, 403], [answer.status for answer in both[0]])


class Tls(unittest.TestCase):
    """The TLS client, with OpenSSL as its peer."""

    def _server(self, protocols=("http/1.1",), names=None):
        directory = tempfile.TemporaryDirectory(prefix="probe-test-")
        self.addCleanup(directory.cleanup)
        pem = Path(directory.name) / "leaf.pem"
        pem.write_bytes(support.make_leaf(support.make_ca("test"), ["a.example.com"]))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        context.set_alpn_protocols(list(protocols))
        if names is not None:
            context.sni_callback = lambda connection, name, _: names.append(name)
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def serve():
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client:
                    try:
                        with context.wrap_socket(client, server_side=True) as tls:
                            tls.sendall(tls.recv(100000)[::-1])
                            tls.recv(10)
                    except OSError:
                        pass

        threading.Thread(target=serve, daemon=True).start()
        return listener.getsockname()

    def _client(self, where, extensions, **options):
        return tls13.Client(socket.create_connection(where, timeout=support.DEADLINE), extensions, **options)

    def test_handshake(self):
        """Completes, in one record or forty, carries data, and says who it wants."""
        names = []
        where = self._server(names=names)
        for pieces in (1, 40):
            with self._client(where, [tls13.server_names(b"a.example.com"), tls13.alpn(b"h2", b"http/1.1")], pieces=pieces) as client:
                client.handshake()
                client.sendall(b"hello")
                self.assertEqual((b"olleh", "http/1.1"), (client.recv(100), client.protocol))
        self.assertEqual(["a.example.com"] * 2, names)

    def test_any_name(self):
        """Names that no library sends are sent, and arrive."""
        names = []
        where = self._server(names=names)
        for name in (b"203.0.113.7", b"a.example.com.", b"*.example.com", b"a b"):
            with self._client(where, [tls13.server_names(name)]) as client:
                client.handshake()
        with self._client(where, []) as client:
            client.handshake()
        self.assertEqual(["203.0.113.7", "a.example.com.", "*.example.com", "a b", None], names)

    def test_refusals(self):
        """An alert, and the end of the connection; something else is neither."""
        where = self._server()
        with self._client(where, [tls13.server_names(b"a"), tls13.server_names(b"b")]) as client:
            self.assertRaises(tls13.Alert, client.handshake)
        for said, raised in ((b"", tls13.Alert), (b"HTTP/1.1 403 Forbidden\r\n\r\n", tls13.Strange)):
            with socket.create_server(("127.0.0.1", 0)) as listener:
                with self._client(listener.getsockname(), []) as client:
                    peer, _ = listener.accept()
                    peer.recv(65536)
                    peer.sendall(said)
                    peer.close()
                    self.assertRaises(raised, client.handshake)


class Rules(unittest.TestCase):
    """What the probe believes to be allowed is what the proxy allows: compared with its own decision."""

    ROUTES = (
        Route("a.example.com", (), False),
        Route("a.example.com", (Match((("prefix", "/v1"),), ("GET",), ()),), False),
        Route("a.example.com", (Match((("prefix", "/v1/"),), (), ()),), True),
        Route("a.example.com", (Match((("exact", "/v1"),), ("POST", "HEAD"), ()),), False),
        Route("a.example.com", (Match((), ("GET", "DELETE"), ()), Match((("exact", "/w"),), ("PUT",), ())), False),
        Route("a.example.com", (Match((), (), (("X-Team", "acme"),)), Match((("prefix", "/"),), ("GET",), ())), False),
        Route("a.example.com", (Match((("exact", "/x"),), ("POST",), ()), Match((("prefix", "/y"),), ("GET",), (("X-Mode", "safe"), ("X-Team", "b")))), True),
        Route("a.example.com", (Match((("prefix", "/p"),), ("POST",), ()),), False),
    )

    def _decided(self, route, request):
        import head
        import policy
        import routes
        matches = tuple(routes.Match(match.paths, match.methods, tuple((name.lower().encode(), value.encode()) for name, value in match.headers)) for match in route.matches)
        table = routes.Table({route.host: routes.Route(route.host, matches, "Bearer" if route.credential else "", "EGRESS_TOKEN_0" if route.credential else "")})
        lines = [f"{request.method} {request.path} HTTP/1.1".encode(), f"Host: {request.host}".encode()]
        lines += [f"{name}: {value}".encode() for name, value in request.headers]
        return policy.decide_inside(head.parse_head(lines), policy.Tunnel(route.host, tls=True, hello=True, sni=route.host), table)

    def test_against_the_policy(self):
        """Harmless requests are allowed; paths and methods that should be denied are."""
        asked = 0
        for route in self.ROUTES:
            request = route.harmless(common.NONCE)
            if request is None:
                self.assertEqual(("POST",), route.matches[0].methods)
                continue
            self.assertTrue(self._decided(route, request).allow, (route, request))
            path, method = route.denied_path(common.NONCE), route.denied_method(request)
            if path is not None:
                self.assertEqual("path", self._decided(route, Request(route.host, request.method, path, request.headers)).rule)
                asked += 1
            if method is not None:
                self.assertEqual("method", self._decided(route, Request(route.host, method, request.path, request.headers)).rule)
                asked += 1
        self.assertEqual(8, asked)


if __name__ == "__main__":
    unittest.main()

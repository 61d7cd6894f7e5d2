# SPDX-License-Identifier: Apache-2.0
"""The real proxy between raw bytes and a recording upstream: what passes, and what does not."""
import hashlib
import json
import socket
import ssl
import threading
import unittest
from pathlib import Path

import support
from bench import Bench
from support import TOKEN, exchange, respond, wait_until


class Allowed(Bench):
    """What passes, and how."""

    def test_credential(self):
        """Ours arrives, the agent's do not."""
        agent = "Authorization: Bearer agent-own\r\nX-Api-Key: agent-key\r\nCookie: agent-cookie\r\nProxy-Authorization: Basic agent\r\nX-Kept: kept\r\nAccept-Encoding: gzip\r\n"
        response, body = self.proxy.ask("cred.example.com", path="/v1/x?q=1", head=agent)
        self.assertEqual((200, "/v1/x"), (response.status, json.loads(body)["path"]))
        host, fields, lines, _ = self.last_request()
        self.assertEqual("cred.example.com", host)
        self.assertEqual([b"GET /v1/x?q=1 HTTP/1.1", b"Host: cred.example.com", b"X-Kept: kept", b"Accept-Encoding: identity", b"Authorization: Bearer " + TOKEN], lines)
        self.assertNotIn(b"agent", b"".join(self.upstream.raw[self.before[1]:]).replace(b"X-Kept", b""))
        self.assertEqual(b"identity", fields[b"accept-encoding"])
        self.proxy.wait_for("decision", self.line, verdict="allow", host="cred.example.com", method="GET", path="/v1/x")

    def test_scheme_token(self):
        """The other scheme; nothing on an unauthenticated host, where Authorization is stripped all the same."""
        self.assertEqual(200, self.proxy.ask("rules.example.com", path="/one")[0].status)
        self.assertEqual(b"token " + TOKEN, self.last_request()[1][b"authorization"])
        self.assertEqual(200, self.proxy.ask("open.example.com", head="Authorization: Bearer agent\r\nX-Api-Key: k\r\n")[0].status)
        self.assertNotIn(b"authorization", self.last_request()[1])
        self.assertEqual(b"k", self.last_request()[1][b"x-api-key"])

    def test_bodies(self):
        """Small, large (streamed) and chunked bodies arrive whole."""
        for size in (3, 3 << 20):
            body = b"b" * size
            response, _ = self.proxy.ask("api.example.com", "POST", "/repos/acme/x", f"Content-Length: {size}\r\n", body)
            self.assertEqual((200, body), (response.status, self.last_request()[3]))
        response, _ = self.proxy.ask("api.example.com", "POST", "/repos/acme/x", "Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        self.assertEqual(200, response.status)
        self.assertEqual(b"abcde", b"".join(self.last_request()[3].split(b"\r\n")[1:-2:2]))

    def test_upload_streams(self):
        """A body without a length goes upstream while it comes in."""
        with self.proxy.tunnel("api.example.com") as sock:
            sock.sendall(b"POST /repos/acme/x HTTP/1.1\r\nHost: api.example.com\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nfirstpart\r\n")
            wait_until(lambda: b"firstpart" in b"".join(self.upstream.raw[self.before[1]:]), "the first part of the body")
            sock.sendall(b"4\r\nlast\r\n0\r\n\r\n")
            self.assertEqual(200, respond(sock).status)

    def test_trailers(self):
        """Trailers are dropped on the way up."""
        response, _ = self.proxy.ask("api.example.com", "POST", "/repos/acme/x", "Transfer-Encoding: chunked\r\nTrailer: X-T\r\n", b"3\r\nabc\r\n0\r\nX-T: trailing\r\n\r\n")
        self.assertEqual(200, response.status)
        self.assertNotIn(b"railing", b"".join(self.upstream.raw[self.before[1]:]))

    def test_old_client(self):
        """CONNECT in HTTP/1.0 without a Host header, as old clients send it."""
        with self.proxy.dial() as sock:
            sock.sendall(b"CONNECT OPEN.example.com:443 HTTP/1.0\r\n\r\n")
            self.assertEqual(200, respond(sock, "CONNECT").status)
            with ssl.create_default_context(cafile=self.proxy.ca).wrap_socket(sock, server_hostname="open.example.com") as tunnel:
                tunnel.sendall(b"GET /old HTTP/1.0\r\nHost: Open.Example.Com\r\n\r\n")
                self.assertEqual(200, respond(tunnel).status)
        self.assertIn(b"Host: open.example.com", self.last_request()[2])

    def test_expect(self):
        """Expect: 100-continue is answered by the proxy."""
        with self.proxy.tunnel("api.example.com") as sock:
            sock.sendall(b"POST /repos/acme/x HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
            self.assertTrue(sock.recv(100).startswith(b"HTTP/1.1 100 "))
            sock.sendall(b"ok")
            self.assertEqual(200, respond(sock).status)

    def test_keep_alive(self):
        """Requests on one connection are judged one by one, a denial in between hurts nobody."""
        with self.proxy.tunnel("api.example.com") as sock:
            for path, status in (("/repos/acme/1", 200), ("/evil", 403), ("/repos/acme/2", 200)):
                sock.sendall(f"GET {path} HTTP/1.1\r\nHost: api.example.com\r\n\r\n".encode())
                response = respond(sock)
                response.read()
                self.assertEqual(status, response.status)
        paths = [lines[0].split()[1] for _, lines, _ in self.upstream.requests[-2:]]
        self.assertEqual([b"/repos/acme/1", b"/repos/acme/2"], paths)
        # pipelock ends the tunnels that it looks into at any moment after a response: each request has its own.
        self.assertEqual(self.before[0] + 2, self.upstream.accepted)

    def test_pipelined(self):
        """A denied request behind an allowed one, in one packet."""
        with self.proxy.tunnel("api.example.com") as sock:
            sock.sendall(b"GET /repos/acme/first HTTP/1.1\r\nHost: api.example.com\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
            for status in (200, 403):
                response = respond(sock)
                response.read()
                self.assertEqual(status, response.status)
        self.assertNotIn(b"/smuggled", b"".join(self.upstream.raw[self.before[1]:]))

    def test_redaction(self):
        """A reflected credential is masked in headers and bodies, in every spelling, across chunks."""
        response, body = self.proxy.ask("cred.example.com", path="/v1/reflect")
        self.assertEqual("Bearer " + "*" * len(TOKEN), response.headers["X-Echo"])
        self.assertTrue(body.startswith(b"<" + b"*" * len(TOKEN) + b">"), body)
        self.assertTrue(body.endswith(b"|end"))
        for piece in (TOKEN, b"Zx81", support.base64.b64encode(TOKEN)[:8], b"qW%2Be"):
            self.assertNotIn(piece, body)
        self.assertIn(TOKEN, b"".join(self.upstream.raw[self.before[1]:]))

    def test_encoded_response(self):
        """A compressed answer on a credentialed route cannot be searched, so it is not delivered; elsewhere it is."""
        response, body = self.proxy.ask("cred.example.com", path="/v1/gzip")
        self.assertEqual((502, "response-encoding"), (response.status, json.loads(body)["rule"]))
        response, body = self.proxy.ask("open.example.com", path="/gzip")
        self.assertEqual((200, b"hello none"), (response.status, support.gzip.decompress(body)))

    def test_streaming(self):
        """Events arrive one by one, on open and on credentialed routes, where they are masked."""
        for host, path, second in (("open.example.com", "/sse", b"data: none\n\n"), ("cred.example.com", "/v1/sse", b"data: " + b"*" * len(TOKEN) + b"\n\n")):
            self.upstream.gate.clear()
            with self.proxy.tunnel(host) as sock:
                sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
                response = respond(sock)
                self.assertEqual("text/event-stream", response.headers["Content-Type"])
                self.assertEqual(b"data: one\n\n", response.read(11))
                self.upstream.gate.set()
                self.assertEqual(second, response.read())

    def test_large_download(self):
        """A response above the body limit passes, with bounded memory."""
        def resident():
            status = Path(f"/proc/{self.proxy.process.pid}/status").read_text()
            return int(status.split("VmHWM:")[1].split()[0])

        before = resident()
        with self.proxy.tunnel("open.example.com") as sock:
            sock.sendall(b"GET /big HTTP/1.1\r\nHost: open.example.com\r\n\r\n")
            response, size = respond(sock), 0
            while data := response.read(1 << 20):
                size += len(data)
        self.assertEqual(100 << 20, size)
        self.assertLess(resident() - before, 40 << 10)

    def test_redirect(self):
        """A redirect is the client's to follow, and judged anew."""
        response, _ = self.proxy.ask("cred.example.com", path="/v1/redirect")
        self.assertEqual((302, "https://evil.example.net/"), (response.status, response.headers["Location"]))
        sock, response = self.proxy.connect("evil.example.net:443")
        sock.close()
        self.assertEqual(403, response.status)

    def test_leaf(self):
        """The agent's strict clients accept the certificate: AKI is there. h2 is not offered."""
        with self.proxy.tunnel("open.example.com", alpn=["h2", "http/1.1"]) as sock:
            self.assertEqual("http/1.1", sock.selected_alpn_protocol())
            leaf = support.x509.load_der_x509_certificate(sock.getpeercert(True))
        authority = support.x509.load_pem_x509_certificate(self.proxy.ca.read_bytes())
        identifier = leaf.extensions.get_extension_for_class(support.x509.AuthorityKeyIdentifier).value.key_identifier
        self.assertEqual(authority.extensions.get_extension_for_class(support.x509.SubjectKeyIdentifier).value.digest, identifier)

    def test_upstream_refuses(self):
        """When pipelock refuses the host, the agent is told so."""
        self.denied("pipelock", *self.proxy.ask("late.example.com"))
        self.proxy.wait_for("decision", self.line, verdict="deny", rule="pipelock", status=403)

    def test_parallel(self):
        """Requests at the same time."""
        results = []

        def ask(number):
            results.append(self.proxy.ask("cred.example.com", path=f"/v1/{number}")[0].status)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(60)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(support.DEADLINE)
        self.assertEqual([200] * 60, results)

    def test_late_protocol_switch(self):
        """A 101 from the upstream is cut off."""
        with self.proxy.tunnel("open.example.com") as sock:
            sock.sendall(b"GET /switch HTTP/1.1\r\nHost: open.example.com\r\n\r\n")
            self.assertEqual(b"", sock.recv(100))


class Denied(Bench):
    """What does not pass: each with an answer, a record, and nothing upstream."""

    def tearDown(self):
        """After every test."""
        self.nothing_upstream()

    def refuse(self, rule, host="api.example.com", method="GET", path="/repos/acme/", head="", body=b"", sni=""):
        """A request in a tunnel that is denied by `rule`."""
        shown = self.denied(rule, *self.proxy.ask(host, method, path, head, body, sni))
        self.proxy.wait_for("decision", self.line, verdict="deny", rule=rule, status=403)
        return shown

    def test_unknown_host(self):
        """CONNECT to a host outside the table, before anybody resolves it."""
        sock, response = self.proxy.connect("secret-data.evil.example.net:443")
        with sock:
            shown = self.denied("host", response, response.read())
            self.assertEqual("Forbidden by bottler egress: no route allows this host", response.reason)
            self.assertEqual(b"", sock.recv(1))
        self.assertEqual("secret-data.evil.example.net", shown["host"])
        self.proxy.wait_for("decision", self.line, verdict="deny", rule="host", host="secret-data.evil.example.net", port=443, method="CONNECT", status=403)

    def test_connect_targets(self):
        """Ports, addresses, odd spellings."""
        for target, rule in [("api.example.com:22", "port"), ("api.example.com:80", "port"), ("api.example.com:8443", "port"), ("169.254.169.254:443", "host"),
                             ("2852039166:443", "host"), ("[::ffff:169.254.169.254]:443", "host"), ("localhost:443", "host"), ("api.example.com.:443", "host"),
                             ("evil.api.example.com:443", "host"), ("_egress.local:443", "host")]:
            with self.subTest(target=target):
                sock, response = self.proxy.connect(target)
                with sock:
                    self.denied(rule, response, response.read())

    def test_path(self):
        """Outside the prefix, beside it, and through it."""
        shown = self.refuse("path", path="/repos/other/x?secret=query")
        self.assertEqual(("/repos/other/x", "GET", "api.example.com"), (shown["path"], shown["method"], shown["host"]))
        self.assertEqual([{"type": "prefix", "value": "/repos/acme/"}], shown["nearest"]["paths"])
        self.refuse("path", path="/repos/acmeevil/x")
        for path in ("/repos/acme/../x", "/repos/acme/%2e%2e/x", "/repos/acme//x", "/repos/acme/%2fx", "/repos/acme/\\x", "/repos/acme/%00"):
            self.refuse("path-syntax", path=path)
        self.assertNotIn("secret=query", b"".join(self.proxy.lines).decode())

    def test_method(self):
        """Another method, another case, a body with it."""
        self.assertEqual(["GET", "POST"], self.refuse("method", method="DELETE")["nearest"]["methods"])
        self.refuse("method", method="get")
        self.refuse("method", method="TRACE", host="open.example.com", path="/")
        self.refuse("method", method="PUT", head="Content-Length: 5\r\n", body=b"hello")
        self.refuse("method", method="PUT", head=f"Content-Length: {2 << 20}\r\n", body=b"x" * (2 << 20))
        self.refuse("method", method="PUT", head="Transfer-Encoding: chunked\r\n", body=b"5\r\nhello\r\n0\r\n\r\n")
        self.refuse("method-override", method="POST", head="X-HTTP-Method-Override: DELETE\r\n")

    def test_matches(self):
        """A rule with a header."""
        self.refuse("header", "rules.example.com", path="/two")

    def test_heads(self):
        """Raw heads in which two programs could read different things."""
        for raw in [
            b"GET http://evil.example.net/x HTTP/1.1\r\nHost: open.example.com\r\n\r\n", b"GET https://open.example.com/x HTTP/1.1\r\nHost: open.example.com\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: evil.example.net\r\n\r\n", b"GET / HTTP/1.1\r\nHost: open.example.com\r\nHost: evil.example.net\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: open.example.com\r\nhost: open.example.com\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: [\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: open.example.com:80\r\n\r\n", b"GET  / HTTP/1.1\r\nHost: open.example.com\r\n\r\n", b"GET\t/ HTTP/1.1\r\nHost: open.example.com\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: open.example.com\r\n folded: x\r\n\r\n", b"GET / HTTP/1.1\r\nHost: open.example.com\r\nX: a\rHost: evil\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: open.example.com\r\nX: \x00\r\n\r\n", b"GET /\xc3\xa9 HTTP/1.1\r\nHost: open.example.com\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: open.example.com\r\nHost : evil\r\n\r\n", b"POST / HTTP/1.1\r\nHost: open.example.com\r\nContent-Length: 1_0\r\n\r\n0123456789",
            b"POST / HTTP/1.1\r\nHost: open.example.com\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: open.example.com\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", b"POST / HTTP/1.1\r\nHost: open.example.com\r\nContent-Length: x\r\n\r\n",
            b"OPTIONS * HTTP/1.1\r\nHost: open.example.com\r\n\r\n", b"CONNECT evil.example.net:443 HTTP/1.1\r\nHost: open.example.com\r\n\r\n", b"GET / HTTP/0.9\r\nHost: open.example.com\r\n\r\n",
            b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\nHost: open.example.com\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: open.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n\r\n",
        ]:
            with self.subTest(raw=raw[:70]):
                line = len(self.proxy.lines)
                response, body = exchange(self.proxy.tunnel("open.example.com"), "GET", raw)
                self.assertIn(response.status, (400, 403))
                self.assertIn("rule", json.loads(body))
                self.proxy.wait_for("decision", line, verdict="deny")

    def test_early_data(self):
        """What follows a denied CONNECT in the same packet goes nowhere; a ClientHello in pieces is not taken for something else."""
        with self.proxy.dial() as sock:
            sock.sendall(b"CONNECT evil.example.net:443 HTTP/1.1\r\n\r\nCONNECT open.example.com:443 HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nHost: open.example.com\r\n\r\n")
            response = respond(sock, "CONNECT")
            self.denied("host", response, response.read())
            self.assertEqual(b"", sock.recv(1))
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = ssl.create_default_context(cafile=self.proxy.ca).wrap_bio(incoming, outgoing, server_hostname="open.example.com")
        with self.assertRaises(ssl.SSLWantReadError):
            tls.do_handshake()
        sock, response = self.proxy.connect("open.example.com:443")
        with sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in outgoing.read():
                sock.sendall(bytes((byte,)))
            self.assertEqual(b"\x16\x03", sock.recv(2))

    def test_endless_head(self):
        """A head that does not end is cut off, in a tunnel and before."""
        for sock in (self.proxy.dial(), self.proxy.tunnel("open.example.com")):
            with sock:
                sock.sendall(b"GET /x HTTP/1.1\r\nHost: open.example.com\r\nX: " + b"a" * 80000)
                response = respond(sock)
                self.assertEqual((400, "head"), (response.status, json.loads(response.read())["rule"]))
                self.assertEqual(b"", sock.recv(1))

    def test_endless_pipeline(self):
        """Requests in advance are bounded while one is under way."""
        self.upstream.gate.clear()
        sock, response = self.proxy.connect("open.example.com:443")
        with support.ssl.create_default_context(cafile=self.proxy.ca).wrap_socket(sock, server_hostname="open.example.com") as tunnel:
            self.assertEqual(200, response.status)
            tunnel.sendall(b"GET /sse HTTP/1.1\r\nHost: open.example.com\r\n\r\n")
            respond(tunnel).read(11)
            with self.assertRaises((ConnectionError, ssl.SSLError)):
                for _ in range(200):
                    tunnel.sendall(b"GET /y HTTP/1.1\r\nHost: open.example.com\r\n\r\n" * 1000)
        self.upstream.gate.set()
        self.assertNotIn(b"/y", b"".join(self.upstream.raw))
        self.before = self.upstream.mark()

    def test_http2_preface(self):
        """HTTP/2 without negotiation is cut off, and recorded."""
        with self.proxy.tunnel("open.example.com") as sock:
            sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
            self.assertEqual(b"", sock.recv(100))
        self.proxy.wait_for("decision", self.line, verdict="deny", rule="head")

    def test_server_name(self):
        """Another server name, or none."""
        self.refuse("sni", sni="evil.example.net")
        self.refuse("sni", sni="open.example.com")
        self.refuse("sni", sni=None)

    def test_not_tls(self):
        """After CONNECT there is TLS or nothing."""
        for raw in (b"SSH-2.0-OpenSSH_9.2\r\n", b"GET / HTTP/1.1\r\nHost: open.example.com\r\n\r\n", bytes(range(256)), b"\x00\x00\x00\x00", b"EHLO x\r\n"):
            with self.subTest(raw=raw[:20]):
                sock, response = self.proxy.connect("open.example.com:443")
                self.assertEqual(200, response.status)
                self.denied("not-tls", *exchange(sock, "GET", raw))

    def test_not_http(self):
        """Inside the TLS there is HTTP or nothing; no second TLS."""
        for raw in (b"SSH-2.0-OpenSSH_9.2\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x00\x01\x02\x03\x04"):
            with self.subTest(raw=raw[:20]):
                self.denied("not-http", *exchange(self.proxy.tunnel("open.example.com"), "GET", raw))

    def test_proxy_port(self):
        """The proxy port takes CONNECT and the introspection."""
        for raw, rule in [
            (b"GET /fetch?url=http://evil.example.net HTTP/1.1\r\nHost: open.example.com\r\n\r\n", "target-form"), (b"GET /metrics HTTP/1.1\r\nHost: open.example.com\r\n\r\n", "target-form"),
            (b"GET / HTTP/1.1\r\nHost: mitm.it\r\n\r\n", "target-form"), (b"GET http://mitm.it/ HTTP/1.1\r\nHost: mitm.it\r\n\r\n", "scheme"),
            (b"POST /api/v1/killswitch HTTP/1.1\r\nHost: pipelock:8888\r\nContent-Length: 2\r\n\r\n{}", "target-form"), (b"GET http://open.example.com/ HTTP/1.1\r\nHost: open.example.com\r\n\r\n", "scheme"),
            (b"GET http://169.254.169.254/latest HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n", "scheme"), (b"GET https://open.example.com/ HTTP/1.1\r\nHost: open.example.com\r\n\r\n", "scheme"),
            (b"GET http://open.example.com:443/ HTTP/1.1\r\nHost: open.example.com\r\n\r\n", "scheme"), (b"POST http://_egress.local/allowlist HTTP/1.1\r\nHost: _egress.local\r\n\r\n", "method"),
            (b"SSH-2.0-OpenSSH_9.2\r\n", "not-http"), (b"\x05\x01\x00", "not-http"), (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "not-http"),
        ]:
            with self.subTest(raw=raw[:60]):
                self.denied(rule, *self.proxy.plain(raw))
                self.proxy.wait_for("decision", self.line, verdict="deny", rule=rule)
        response, body = self.proxy.plain(b"GET / HTTP/1.1\r\n\r\n")
        self.assertEqual((400, "head", "head"), (response.status, json.loads(body)["rule"], response.headers["X-Bottler-Denied"]))

    def test_git_push(self):
        """A word about git-gate."""
        self.assertIn("git-gate", self.refuse("git-push", "open.example.com", path="/a.git/info/refs?service=git-receive-pack")["hint"])
        self.refuse("git-push", "open.example.com", "POST", "/a.git/git-receive-pack", "Content-Length: 4\r\n", b"0000")

    def test_websocket(self):
        """The handshake is refused, on an allowed path and on a denied one."""
        upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n"
        self.refuse("upgrade", head=upgrade)
        self.refuse("path", path="/x", head=upgrade)

    def test_introspection(self):
        """The table, without credentials."""
        response, body = self.proxy.plain(b"GET http://_egress.local/allowlist HTTP/1.1\r\nHost: _egress.local\r\n\r\n")
        self.assertEqual(200, response.status)
        shown = json.loads(body)
        self.assertEqual({"open.example.com", "api.example.com", "cred.example.com", "rules.example.com", "late.example.com"}, {route["host"] for route in shown["routes"]})
        self.assertEqual(hashlib.sha256(support.ROUTES.encode()).hexdigest(), shown["routes_sha256"])
        for secret in (TOKEN, b"EGRESS_TOKEN"):
            self.assertNotIn(secret, body)
        response, body = self.proxy.plain(b"GET http://_egress.local/other HTTP/1.1\r\nHost: _egress.local\r\n\r\n")
        self.assertEqual((404, {"error": "no such page"}), (response.status, json.loads(body)))

    def test_log(self):
        """The log is lines of JSON, whatever the agent writes; no secret is in it; standard error is empty."""
        self.refuse("path-syntax", path="/%0a{%22event%22:%22canary%22}\\n%1b[31m" + "x" * 9000)
        for line in self.proxy.lines:
            self.assertLessEqual(len(line), 4096)
            self.assertIsInstance(json.loads(line), dict)
        self.assertNotIn(TOKEN, b"".join(self.proxy.lines))


if __name__ == "__main__":
    unittest.main()

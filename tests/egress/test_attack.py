# SPDX-License-Identifier: Apache-2.0
"""The real proxy under an agent that means harm, and with an upstream that answers oddly."""
import base64
import json
import random
import socket
import ssl
import struct
import unittest

import support
from bench import Bench
from support import TOKEN, raw_path, respond, wait_until


class First:
    """A socket whose first answer must not be an interim one."""

    def __init__(self, sock):
        self._sock = sock

    def makefile(self, *_arguments, **_options):
        """The stream, after a look at its first line."""
        stream = self._sock.makefile("rb")
        line = stream.peek(20)
        if line.startswith(b"HTTP/1.1 1"):
            raise AssertionError(line)
        return stream


def until_closed(sock):
    """Everything that arrives until the peer closes."""
    data = b""
    try:
        while part := sock.recv(65536):
            data += part
    except (ConnectionError, ssl.SSLError):
        pass
    return data


def hello(name, mutate=None):
    """A ClientHello for a server name, as bytes."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname = False
    try:
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        pass
    data = outgoing.read()
    return mutate(data) if mutate else data


def request(path="/", method="GET", host="open.example.com", head=""):
    """A request head."""
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{head}\r\n".encode("latin-1")


class Heads(Bench):
    """Spellings of a head that two programs read differently."""

    def test_line_ends(self):
        """Lines end with CR LF, all of them; an empty line before a request is passed over."""
        for raw in (b"GET /lf HTTP/1.1\nHost: open.example.com\n\n", b"GET /lf HTTP/1.1\r\nHost: open.example.com\n\r\n",
                    b"GET /lf HTTP/1.1\r\nHost: open.example.com\r\nX: y\nHost: evil.example.net\r\n\r\n"):
            with self.subTest(raw=raw):
                with self.proxy.tunnel("open.example.com") as sock:
                    sock.sendall(raw)
                    response = respond(sock)
                    self.assertEqual((400, "head"), (response.status, json.loads(response.read())["rule"]))
                    self.assertEqual(b"", until_closed(sock))
        self.nothing_upstream()
        with self.proxy.tunnel("open.example.com") as sock:
            for line_end, status in ((b"", 200), (b"\r\n", 200), (b"\n", 400)):
                sock.sendall(line_end + request("/after-empty-line"))
                response = respond(sock)
                response.read()
                self.assertEqual(status, response.status)

    def test_line_ends_of_connect(self):
        """The same for CONNECT."""
        with self.proxy.dial() as sock:
            sock.sendall(b"CONNECT open.example.com:443 HTTP/1.1\nHost: open.example.com:443\n\n")
            self.assertTrue(until_closed(sock).startswith(b"HTTP/1.1 400 "))

    def test_names_that_servers_confuse(self):
        """Framing and host under a name that CGI, WSGI and their like take for it; fields that only the first program reads."""
        for field in ("Transfer_Encoding: chunked", "Content_Length: 3", "Content.Length: 3", "HO_ST: evil.example.net", "Content-Encoding: identity\r\nContent-Encoding: gzip",
                      "Content-Length: 03", "Content-Length: 3\r\nContent_Length: 4"):
            with self.subTest(field=field):
                self.denied("head", *self.proxy.ask("open.example.com", "POST", head=field + "\r\n"))
        self.nothing_upstream()

    def test_framing_is_written_anew(self):
        """The upstream is told the length of the body in the plainest words, whatever the agent's were."""
        for head, body, field in (("tRANSFER-eNCODING:\tCHUNKED \r\n", b"3\r\nabc\r\n0\r\n\r\n", b"Transfer-Encoding: chunked"), ("CONTENT-length:3\t\r\n", b"abc", b"Content-Length: 3")):
            with self.subTest(head=head):
                self.assertEqual(200, self.proxy.ask("open.example.com", "POST", head=head, body=body)[0].status)
                self.assertEqual([b"POST / HTTP/1.1", b"Host: open.example.com", field, b"Accept-Encoding: identity"], self.last_request()[2])

    def test_left_out_under_any_spelling(self):
        """What is left out is left out with dashes, underscores, dots, in any case."""
        head = "".join(f"{name}: agent-own\r\n" for name in (
            "X_Api_Key", "X.Api.Key", "x-API-key", "PRIVATE_TOKEN", "Job-Token", "X_Forwarded_Host", "X-Forwarded-For", "X_Original_URL", "X-REWRITE-URL", "Proxy_Authorization",
            "Authorization", "authorization", "X-Amz-Security-Token", "X-Amz-Date", "DD-APPLICATION-KEY", "X-Functions-Key", "Sudo", "X-WEBAUTH-USER", "Impersonate-User", "Signature",
            "Cookie", "Cookie2", "X-Pipelock-Agent", "Pipelock-Mediation", "X-Session-Id", "DPoP", "Cf-Access-Client-Id", "X-SSL-Client-Cert", "X-Remote-User", "X-Honeycomb-Team"))
        self.assertEqual(200, self.proxy.ask("cred.example.com", path="/v1/x", head=head + "X-Kept: kept\r\nIdempotency-Key: kept\r\n")[0].status)
        self.assertEqual([b"GET /v1/x HTTP/1.1", b"Host: cred.example.com", b"X-Kept: kept", b"Idempotency-Key: kept", b"Accept-Encoding: identity", b"Authorization: Bearer " + TOKEN],
                         self.last_request()[2])

    def test_path_by_header(self):
        """Where a path rule holds, no field names another path."""
        for field in ("Destination: https://api.example.com/secret", "X-Amz-Copy-Source: /other/secret", "x_goog_copy_source: b/o", "X-Copy-From: /c/o", "x-ms-rename-source: /x"):
            with self.subTest(field=field):
                self.denied("path-override", *self.proxy.ask("api.example.com", "POST", "/repos/acme/x", field + "\r\n"))
        self.nothing_upstream()
        self.assertEqual(200, self.proxy.ask("open.example.com", head="Destination: https://open.example.com/y\r\n")[0].status)

    def test_rule_header_once(self):
        """A header that a rule asks for cannot be given a second time under a spelling that a server merges with it."""
        self.assertEqual(200, self.proxy.ask("rules.example.com", path="/two", head="X-Mode: safe\r\n")[0].status)
        for field in ("X-Mode: safe\r\nX_Mode: evil", "X-Mode: safe\r\nX-Mode: safe", "X_Mode: safe"):
            with self.subTest(field=field):
                self.denied("header", *self.proxy.ask("rules.example.com", path="/two", head=field + "\r\n"))

    def test_query_credentials(self):
        """A credential of the agent's own in the query, or in a parameter of the path, of a credentialed host."""
        for target in ("?key=agent", "?token=agent", "?a=b&private_token=agent", "?X-Amz-Signature=agent", "?x=1;access_token=agent", "?sig=agent", "?acces%73_token=agent",
                       "?access%255ftoken=agent", "?access.token=agent", "?access_token[]=agent", "?%61pi-Key=agent", "?x=AIzaagent", "?AWSAccessKeyId=agent", "/y;JSESSIONID=agent", "/y;access_token=agent"):
            with self.subTest(target=target):
                self.denied("query-credential", *self.proxy.ask("cred.example.com", path="/v1" + target))
        self.nothing_upstream()
        for target in ("?page_token=2", "?keyword=x", "?tokens=5", "/key?sigma=1", "?nextPageToken=x"):
            with self.subTest(target=target):
                self.assertEqual(200, self.proxy.ask("cred.example.com", path="/v1" + target)[0].status)
        self.assertEqual(200, self.proxy.ask("open.example.com", path="/?access_token=agent")[0].status)

    def test_old_git_push(self):
        """A push by WebDAV, as git did before it had its own protocol for HTTP."""
        for method, path in (("PUT", "/a.git/objects/ab/cdef"), ("LOCK", "/a.git/refs/heads/main"), ("MOVE", "/a.git/objects/ab/cd_x"), ("MKCOL", "/a%2Egit/objects/ab"), ("POST", "/a/git%252dreceive-pack")):
            with self.subTest(method=method, path=path):
                self.assertIn("git-gate", self.denied("git-push", *self.proxy.ask("open.example.com", method, path))["hint"])
        self.nothing_upstream()
        self.assertEqual(200, self.proxy.ask("open.example.com", "GET", "/a.git/objects/info/packs")[0].status)

    def test_what_to_ask_for(self):
        """A denial that a route would lift says which, as a route is written."""
        sock, response = self.proxy.connect("new.example.org:443")
        with sock:
            self.assertEqual({"host": "new.example.org"}, self.denied("host", response, response.read())["ask"])
        for method, path, rule in (("GET", "/repos/other/x?q=1", "path"), ("DELETE", "/repos/acme/x", "method")):
            shown = self.denied(rule, *self.proxy.ask("api.example.com", method, path))
            self.assertEqual({"host": "api.example.com", "path_allowlist": [path.partition("?")[0]], "methods": [method]}, shown["ask"])
        self.assertIsNone(self.denied("path-syntax", *self.proxy.ask("api.example.com", "GET", "/repos/acme/../x"))["ask"])


class Denials(Bench):
    """The answer to what is refused, on the wire."""

    def test_head(self):
        """No body follows the answer to HEAD; the connection goes on."""
        for first in (request("/evil", "HEAD", "api.example.com"), request("/repos/acme/%2e", "HEAD", "api.example.com")):
            with self.subTest(first=first):
                with self.proxy.tunnel("api.example.com") as sock:
                    sock.sendall(first + request("/repos/acme/after", host="api.example.com"))
                    self.assertEqual(403, respond(sock, "HEAD").status)
                    response = respond(sock)
                    self.assertEqual((200, "/repos/acme/after"), (response.status, json.loads(response.read())["path"]))
        with self.proxy.dial() as sock:
            sock.sendall(b"HEAD http://_egress.local/allowlist HTTP/1.1\r\nHost: _egress.local\r\nConnection: close\r\n\r\n")
            self.assertTrue(until_closed(sock).endswith(b"\r\n\r\n"))

    def test_body_not_waited_for(self):
        """A denial comes at once, whatever body was announced, and nobody is asked to go on."""
        for head in ("Content-Length: 1000000\r\n", "Content-Length: 10\r\nExpect: 100-continue\r\n", "Transfer-Encoding: chunked\r\n"):
            with self.subTest(head=head):
                with self.proxy.tunnel("api.example.com") as sock:
                    sock.sendall(request("/evil", "POST", "api.example.com", head))
                    response = respond(First(sock))
                    self.denied("path", response, response.read())
                    self.assertEqual("close", response.headers["Connection"])
                    sock.sendall(b"5\r\nhello\r\n0\r\n\r\n" if "chunked" in head else b"x" * 10)
        self.nothing_upstream()

    def test_large_body_of_a_denial(self):
        """Who sends on is read to the end, into nothing."""
        before = self.proxy.resident()
        with self.proxy.tunnel("api.example.com") as sock:
            sock.sendall(request("/evil", "POST", "api.example.com", f"Content-Length: {60 << 20}\r\n"))
            for _ in range(60):
                sock.sendall(b"x" * (1 << 20))
            response = respond(sock)
            self.denied("path", response, response.read())
            self.assertEqual(b"", until_closed(sock))
        self.assertLess(self.proxy.resident() - before, 16 << 10)
        self.nothing_upstream()

    def test_half_closed(self):
        """A peer that has closed its side, at every stage, brings nothing upstream that is not whole."""
        with self.proxy.dial() as sock:
            sock.sendall(b"CONNECT open.example.com:443 HTTP/1.1\r\nHost: open.exa")
            sock.shutdown(socket.SHUT_WR)
            self.assertEqual(b"", until_closed(sock))
        sock, _ = self.proxy.connect("open.example.com:443")
        with sock:
            sock.shutdown(socket.SHUT_WR)
            self.assertEqual(b"", until_closed(sock))
        before = self.proxy.files()
        for _ in range(30):
            with self.proxy.tunnel("open.example.com") as tunnel:
                tunnel.sendall(b"GET /half HTTP/1.1\r\nHost: open.example.com\r\n")
                socket.socket.shutdown(tunnel, socket.SHUT_WR)
                self.assertEqual(b"", until_closed(tunnel))
        wait_until(lambda: self.proxy.files() <= before, "the end of all sockets")
        self.nothing_upstream()

    def test_second_connect(self):
        """A CONNECT behind a CONNECT, in plain and inside TLS."""
        sock, _ = self.proxy.connect("open.example.com:443")
        with sock:
            sock.sendall(b"CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com:443\r\n\r\n")
            response = respond(sock)
            self.denied("not-tls", response, response.read())
        with self.proxy.tunnel("open.example.com") as tunnel:
            tunnel.sendall(b"CONNECT api.example.com:443 HTTP/1.1\r\nHost: open.example.com\r\n\r\n")
            response = respond(tunnel)
            self.assertIn(response.status, (400, 403))
            self.assertIn("rule", json.loads(response.read()))
        self.nothing_upstream()

    def test_many_connects(self):
        """Denied hosts by the hundred: each is answered, memory stays, the next allowed request passes."""
        before = self.proxy.resident()
        for number in range(300):
            sock, response = self.proxy.connect(f"{number}.{'a' * 60}.example.net:443")
            sock.close()
            self.assertEqual(403, response.status)
        self.assertLess(self.proxy.resident() - before, 8 << 10)
        self.nothing_upstream()


class Handshakes(Bench):
    """TLS between the agent and the proxy."""

    def test_early_hello(self):
        """A ClientHello in the packet of the CONNECT is TLS like any other."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = ssl.create_default_context(cafile=self.proxy.ca).wrap_bio(incoming, outgoing, server_hostname="open.example.com")
        with self.assertRaises(ssl.SSLWantReadError):
            tls.do_handshake()
        with self.proxy.dial() as sock:
            sock.sendall(b"CONNECT open.example.com:443 HTTP/1.1\r\nHost: open.example.com:443\r\n\r\n" + outgoing.read())
            self.assertEqual(200, respond(sock, "CONNECT").status)
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    incoming.write(sock.recv(65536))
            tls.write(request("/early"))
            sock.sendall(outgoing.read())
            wait_until(lambda: b"GET /early HTTP/1.1" in b"".join(self.upstream.raw), "the request")

    def test_names(self):
        """A server name that is not the host's, however it is spelled, in the bytes of the hello."""
        name = b"open.example.com"
        data = hello(name.decode())
        at = data.index(name)
        for other in (b"api.example.com\0", b"open.example.com"[:-1] + b"\n", b"open.example.co\0", b"open\0example.com", b"OPEN.example.net", b"open.example.co\xed", b"a" * 16, b"1.2.3.4.5.6.7.8.", b"[::1]:443:443:44"):
            with self.subTest(other=other):
                sock, response = self.proxy.connect("open.example.com:443")
                self.assertEqual(200, response.status)
                with sock:
                    sock.sendall(data[:at] + other[:16] + data[at + 16:])
                    self.assertIn(sock.recv(1), (b"\x16", b"\x15", b""))
        self.assertEqual([], self.proxy.events("error"))
        self.nothing_upstream()

    def test_only_h2(self):
        """Who speaks nothing but HTTP/2 is refused; h2c is an option that nobody takes."""
        with self.proxy.tunnel("open.example.com", alpn=["h2"]) as sock:
            self.assertIsNone(sock.selected_alpn_protocol())
            sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
            self.assertEqual(b"", sock.recv(100))
        with self.proxy.dial() as sock:
            sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
            self.assertIn(b"400", until_closed(sock)[:20])
        self.nothing_upstream()
        response, _ = self.proxy.ask("open.example.com", head="Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n")
        self.assertEqual(200, response.status)
        self.assertEqual([b"GET / HTTP/1.1", b"Host: open.example.com", b"Accept-Encoding: identity"], self.last_request()[2])

    def test_spoiled(self):
        """Hellos with random bytes in them: the proxy lives, nothing goes upstream, no exception is left over."""
        chance = random.Random("hello")
        data = hello("open.example.com")
        for _ in range(60):
            spoiled = bytearray(data)
            for _ in range(chance.randrange(1, 6)):
                spoiled[chance.randrange(5, len(spoiled))] = chance.randrange(256)
            sock, _ = self.proxy.connect("open.example.com:443")
            with sock:
                sock.sendall(bytes(spoiled))
                sock.shutdown(socket.SHUT_WR)
                until_closed(sock)
        self.assertIsNone(self.proxy.process.poll())
        self.assertEqual([], self.proxy.events("error"))
        self.nothing_upstream()


class Bounds(Bench):
    """What an agent can make the proxy keep."""

    LIMIT = 24 << 10  # KiB

    def flood(self, sock, first, part, count=1200):
        """Sends without end; the peer must close, and must not have kept it."""
        before = self.proxy.resident()
        with sock, self.assertRaises((ConnectionError, ssl.SSLError)):
            sock.sendall(first)
            for _ in range(count):
                sock.sendall(part)
            raise AssertionError(f"{count * len(part)} bytes were taken")
        self.assertLess(self.proxy.resident() - before, self.LIMIT)

    def test_trailers(self):
        """Trailers without end."""
        self.flood(self.proxy.tunnel("open.example.com"), request(method="POST", head="Transfer-Encoding: chunked\r\n") + b"3\r\nabc\r\n0\r\n", b"X-T: " + b"t" * 60000 + b"\r\n")

    def test_chunk_header(self):
        """A chunk's header without end."""
        self.flood(self.proxy.tunnel("open.example.com"), request(method="POST", head="Transfer-Encoding: chunked\r\n") + b"3;", b"e" * 60000)

    def test_trailers_of_a_denial(self):
        """The same in a request that was denied."""
        self.flood(self.proxy.tunnel("api.example.com"), request("/evil", "POST", "api.example.com", "Transfer-Encoding: chunked\r\n") + b"0\r\n", b"X-T: " + b"t" * 60000 + b"\r\n")

    def test_hello(self):
        """A ClientHello of 16 MiB."""
        record = b"\x16\x03\x01" + struct.pack("!H", 16000)
        self.flood(self.proxy.connect("open.example.com:443")[0], record + b"\x01\xff\xff\xff" + b"h" * 15996, record + b"h" * 16000)

    def test_upload_into_a_stuck_upstream(self):
        """Who uploads faster than the upstream takes it is made to wait."""
        self.upstream.stuck = True
        self.upstream.gate.clear()
        before = self.proxy.resident()
        with self.proxy.tunnel("open.example.com") as sock:
            sock.sendall(request(method="POST", head="Transfer-Encoding: chunked\r\n"))
            sock.settimeout(2)
            with self.assertRaises(TimeoutError):
                for _ in range(3000):
                    sock.sendall(b"10000\r\n" + b"u" * 65536 + b"\r\n")
            self.assertLess(self.proxy.resident() - before, self.LIMIT)
        self.upstream.stuck = False
        self.upstream.gate.set()

    def test_idle_and_slow(self):
        """Two hundred connections that say nothing, and fifty that say it slowly, hinder nobody."""
        idle = [self.proxy.dial() for _ in range(200)]
        slow = [self.proxy.dial() for _ in range(50)]
        try:
            for at, byte in enumerate(b"CONNECT open.example.com:443 HTTP/1.1\r\nX: "):
                for sock in slow:
                    sock.sendall(bytes((byte,)))
                if at % 20 == 0:
                    self.assertEqual(200, self.proxy.ask("open.example.com", path=f"/{at}")[0].status)
        finally:
            for sock in idle + slow:
                sock.close()

    def test_connections(self):
        """There is an end to the connections, it is said once, and it passes."""
        held = []
        try:
            while True:
                sock = self.proxy.dial()
                held.append(sock)
                if len(held) > 512 and self.refused(sock):
                    break
                self.assertLess(len(held), 520)
            self.proxy.wait_for("decision", self.line, verdict="deny", rule="connections")
        finally:
            for sock in held:
                sock.close()

        def passes():
            try:
                return self.proxy.ask("open.example.com")[0].status == 200
            except (OSError, support.http.client.HTTPException):
                return False

        wait_until(passes, "an answer after the others have gone")
        self.assertEqual(1, sum(event["rule"] == "connections" for event in self.proxy.events("decision")))

    def test_all_at_once(self):
        """Every connection there can be, each sending what it can to an upstream that takes nothing: it fits the container's 512 MiB."""
        self.upstream.stuck = True
        self.upstream.gate.clear()
        held = []
        try:
            for _ in range(500):
                sock = self.proxy.tunnel("open.example.com")
                sock.sendall(request(method="POST", head="Transfer-Encoding: chunked\r\n") + b"7fffffff\r\n")
                sock.setblocking(False)
                held.append(sock)
            sent = 1
            while sent:  # until nobody takes anything more
                sent = sum(map(self.pushed, held))
            self.assertLess(self.proxy.resident("VmHWM"), 448 << 10)
        finally:
            self.upstream.stuck = False
            self.upstream.gate.set()
            for sock in held:
                sock.close()

    @staticmethod
    def pushed(sock):
        """How many bytes a connection takes now."""
        try:
            return sock.send(b"u" * 32768)
        except (OSError, ssl.SSLError):
            return 0

    @staticmethod
    def refused(sock):
        """Whether the peer closes; it has got to the connections before this one first."""
        try:
            return sock.recv(1) == b""
        except TimeoutError:
            return False
        except ConnectionError:
            return True


class Answers(Bench):
    """An upstream that answers oddly, on a host whose credential the proxy adds."""

    def ask(self, answer, method="GET"):
        """Everything that the agent gets for an answer of these bytes."""
        with self.proxy.tunnel("cred.example.com") as sock:
            sock.sendall(request(raw_path(answer), method, "cred.example.com", "Connection: close\r\n"))
            return until_closed(sock)

    def hidden(self, got):
        """The credential is nowhere, in no spelling."""
        for spelling in (TOKEN, TOKEN[:8], TOKEN.hex().encode(), base64.b64encode(TOKEN)[:10], base64.b64encode(b"x" + TOKEN)[2:10], base64.b64encode(b"xx" + TOKEN)[4:12], b"%2FqW"):
            self.assertNotIn(spelling.lower(), got.lower())

    def test_everywhere(self):
        """In the status text, names and values of fields, cookies, challenges, redirects, trailers."""
        got = self.ask(b"HTTP/1.1 200 @TOKEN@\r\nX-@TOKEN@: x\r\nX-Own: <@TOKEN@>\r\nSet-Cookie: s=@TOKEN@; Path=/\r\nLocation: /?t=@TOKEN@\r\nWWW-Authenticate: Bearer realm=\"@TOKEN@\"\r\nLink: <@TOKEN@>\r\n"
                       b"Transfer-Encoding: chunked\r\nTrailer: X-T\r\nConnection: close\r\n\r\n4\r\nbody\r\n0\r\nX-T: @TOKEN@\r\n\r\n".replace(b"X-@TOKEN@: x\r\n", b""))
        self.assertTrue(got.startswith(b"HTTP/1.1 200 " + b"*" * len(TOKEN)), got)
        self.assertIn(b"4\r\nbody\r\n0\r\n\r\n", got)
        self.assertEqual(5, got.count(b"*" * len(TOKEN)))
        self.assertNotIn(b"set-cookie", got.lower())
        self.hidden(got)

    def test_spellings(self):
        """In mixed and nested spellings, cut into chunks at every place."""
        text = TOKEN.decode()
        spellings = {
            "percent": "".join(f"%{ord(char):02x}" if at % 2 else f"%{ord(char):02X}" for at, char in enumerate(text)),
            "twice": "".join(f"%25{ord(char):02X}" for char in text),
            "json": "".join(f"\\u{ord(char):04x}" if not char.isalnum() else char for char in text),
            "slash": text.replace("/", "\\/"),
            "html": text.replace("+", "&#43;").replace("=", "&#x3D;").replace("/", "&#047;"),
            "hex": TOKEN.hex().upper(),
            "colons": TOKEN.hex(":"),
            "mime": base64.encodebytes(b"user-name-that-is-long-enough-for-a-second-line:" + TOKEN).decode(),
            "urlsafe": base64.urlsafe_b64encode(b"u:" + TOKEN).decode(),
            "base64-percent": base64.b64encode(b"??>" + TOKEN).decode().replace("+", "%2B").replace("/", "%2f").replace("=", "%3D"),
        }
        for name, spelling in spellings.items():
            for size in (1, 5, 1000):
                with self.subTest(name=name, size=size):
                    body = f"<{spelling}>".encode()
                    chunks = b"".join(b"%x\r\n%s\r\n" % (len(body[at:at + size]), body[at:at + size]) for at in range(0, len(body), size))
                    got = self.ask(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + chunks + b"0\r\n\r\n").partition(b"\r\n\r\n")[2]
                    plain = b"".join(part for part in got.split(b"\r\n")[1::2])
                    self.assertEqual(len(body), len(plain), plain)
                    self.assertGreaterEqual(plain.count(b"*"), len(TOKEN), plain)
                    self.hidden(plain)

    def test_interim(self):
        """Interim answers are not answers: they are dropped, and the one behind them arrives."""
        for interim in (b"HTTP/1.1 103 Early Hints\r\nLink: <@TOKEN@>\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 @TOKEN@\r\nX: y\r\n\r\n"):
            with self.subTest(interim=interim):
                got = self.ask(interim + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
                self.assertTrue(got.startswith(b"HTTP/1.1 200 OK\r\n"), got)
                self.assertTrue(got.endswith(b"\r\n\r\nok"), got)

    def test_encodings(self):
        """What cannot be searched is not delivered, by whichever field it says so, and not where there is no body."""
        for field in (b"Content-Encoding: gzip", b"Content-Encoding: identity\r\nContent-Encoding: br", b"Content-Encoding: identity, gzip", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: gzip",
                      b"Content-Encoding: GZIP", b"Content_Encoding: gzip\r\nContent-Encoding: x"):
            with self.subTest(field=field):
                got = self.ask(b"HTTP/1.1 200 OK\r\n" + field + b"\r\nConnection: close\r\n\r\n0\r\n\r\n")
                self.assertIn(b"response-encoding", got)
                self.assertTrue(got.startswith(b"HTTP/1.1 502 "), got)
        got = self.ask(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\nConnection: close\r\n\r\n", "HEAD")
        self.assertTrue(got.startswith(b"HTTP/1.1 200 OK\r\n") and got.endswith(b"\r\n\r\n"), got)
        got = self.ask(b"HTTP/1.1 304 Not Modified\r\nContent-Encoding: gzip\r\nETag: x\r\nConnection: close\r\n\r\n")
        self.assertTrue(got.startswith(b"HTTP/1.1 304 ") and got.endswith(b"\r\n\r\n"), got)

    def test_framing(self):
        """Answers that two programs would end at different places don't arrive; nor do fields of ours."""
        for answer in (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                       b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", b"HTTP/2.0 200 OK\r\nX:\x00y\r\nbroken\r\n\r\n", b"ICY 200 OK\r\n\r\n", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nraw"):
            with self.subTest(answer=answer):
                got = self.ask(answer)
                self.assertTrue(got == b"" or got.startswith(b"HTTP/1.1 502 "), got)
                self.assertNotIn(b"raw", got)
        got = self.ask(b"HTTP/1.1 200 OK\r\nX-Bottler-Denied: path\r\nx-bottler-denied: host\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        self.assertNotIn(b"denied", got.lower())

    def test_second_answer(self):
        """Bytes behind an answer are nobody's: not the next request's either."""
        with self.proxy.tunnel("cred.example.com") as sock:
            sock.sendall(request(raw_path(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfake"), host="cred.example.com"))
            self.assertEqual(b"ok", respond(sock).read())
            sock.sendall(request("/v1/real", host="cred.example.com"))
            self.assertEqual("/v1/real", json.loads(respond(sock).read())["path"])

    def test_endless_head(self):
        """The head of an answer without end is cut off."""
        before = self.proxy.resident()
        with self.proxy.tunnel("cred.example.com") as sock:
            sock.sendall(request("/v1/endless", host="cred.example.com"))
            self.assertEqual(502, respond(sock).status)
        self.assertLess(self.proxy.resident() - before, 4 << 10)

    def test_not_on_other_hosts(self):
        """A redirect is not followed, and its target does not get the credential."""
        got = self.ask(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: https://open.example.com/x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        self.assertIn(b"Location: https://open.example.com/x\r\n", got)
        self.assertEqual(200, self.proxy.ask("open.example.com", path="/x", head="Authorization: Bearer agent\r\n")[0].status)
        self.assertNotIn(b"authorization", self.last_request()[1])


if __name__ == "__main__":
    unittest.main()

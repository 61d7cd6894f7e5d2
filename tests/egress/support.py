# SPDX-License-Identifier: Apache-2.0
"""What the tests of the egress proxy stand on: test CAs, a recording upstream proxy, the real proxy
process, and a client that speaks raw bytes. Everything is on loopback."""
import base64
import datetime
import gzip
import http.client
import json
import os
import re
import resource
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ROOT = Path(__file__).resolve().parent.parent.parent
SIDECAR = ROOT / "sidecars" / "egress"
DEADLINE = 60.0  # for waiting in vain
MUCH = 1 << 20  # fits into the buffers of the proxy's end
TOKEN = b"tok-Zx81/qW+e_9=secret"
HOSTS = ["api.example.com", "open.example.com", "cred.example.com", "rules.example.com", "late.example.com"]

sys.dont_write_bytecode = True
sys.path.insert(0, str(SIDECAR))
# Both ends of every connection are in this process.
MOST_FILES = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (MOST_FILES if 0 <= MOST_FILES < 4096 else 4096, MOST_FILES))


def make_ca(name):
    """(key, certificate) of a CA as the controller makes them: EC P-256."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = {"digital_signature": False, "content_commitment": False, "key_encipherment": False, "data_encipherment": False,
             "key_agreement": False, "key_cert_sign": True, "crl_sign": True, "encipher_only": False, "decipher_only": False}
    builder = _builder(subject, subject, key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return key, builder.sign(key, hashes.SHA256())


def make_leaf(authority, hosts):
    """PEM of a server certificate and its key."""
    ca_key, ca = authority
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "upstream")])
    builder = _builder(subject, ca.subject, key.public_key())
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return pem_cert(builder.sign(ca_key, hashes.SHA256())) + pem_key(key)


def _builder(subject, issuer, public_key):
    now = datetime.datetime.utcnow()
    return x509.CertificateBuilder(
        issuer_name=issuer, subject_name=subject, public_key=public_key, serial_number=x509.random_serial_number(),
        not_valid_before=now - datetime.timedelta(days=1), not_valid_after=now + datetime.timedelta(days=30))


def pem_key(key):
    """A private key as PEM."""
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def pem_cert(cert):
    """A certificate as PEM."""
    return cert.public_bytes(serialization.Encoding.PEM)


def wait_until(condition, what):
    """Waits for a condition, with a deadline."""
    end = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not in time: {what}")
        time.sleep(0.01)


def raw_path(answer):
    """The path to which the upstream answers with these very bytes, @TOKEN@ replaced by the credential it was sent."""
    return "/v1/raw/" + base64.urlsafe_b64encode(answer).decode()


class Upstream:
    """A proxy in pipelock's place: takes CONNECT, terminates TLS, records every byte and answers by path."""

    def __init__(self, directory, authority):
        self.raw = []  # every byte string that arrived, in the clear or decrypted
        self.requests = []  # (host, head lines, body)
        self.accepted = 0
        self.gate = threading.Event()
        self.stuck = False  # accepts, and answers no CONNECT
        pem = directory / "upstream-leaf.pem"
        pem.write_bytes(make_leaf(authority, HOSTS))
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(pem)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def mark(self):
        """What has arrived up to now."""
        return self.accepted, len(self.raw)

    def close(self):
        """Ends the listener."""
        self.gate.set()
        self._listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        try:
            head, _ = self._head(client, b"")
            found = re.match(rb"CONNECT ([a-z0-9.-]+):443 HTTP/1\.1", head)
            if not found:
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nDIRECT")
                return
            host = found.group(1).decode()
            if self.stuck:
                self.gate.wait(4 * DEADLINE)
                return
            if host == "late.example.com":
                client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                return
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            tunnel = self._tls.wrap_socket(client, server_side=True)
            rest = b""
            with tunnel:
                while True:
                    rest = self._request(tunnel, host, rest)
        except (OSError, EOFError):
            pass
        finally:
            client.close()

    def _receive(self, sock):
        data = sock.recv(65536)
        if not data:
            raise EOFError
        self.raw.append(data)
        return data

    def _head(self, sock, data):
        while b"\r\n\r\n" not in data:
            data += self._receive(sock)
        head, _, rest = data.partition(b"\r\n\r\n")
        return head, rest

    def _request(self, sock, host, rest):
        head, rest = self._head(sock, rest)
        lines = head.split(b"\r\n")
        fields = {line.partition(b":")[0].lower(): line.partition(b":")[2].strip() for line in lines[1:]}
        early = b"/early " in lines[0]  # answered before its body has come
        if early:
            self._answer(sock, lines, fields, b"")
        if fields.get(b"transfer-encoding") == b"chunked":
            while not rest.endswith(b"0\r\n\r\n"):
                rest += self._receive(sock)
            body, rest = rest, b""
        else:
            size = int(fields.get(b"content-length", b"0"))
            while len(rest) < size:
                rest += self._receive(sock)
            body, rest = rest[:size], rest[size:]
        self.requests.append((host, lines, body))
        if not early:
            self._answer(sock, lines, fields, body)
        return rest

    def _answer(self, sock, lines, fields, body):
        path = lines[0].split(b" ")[1].partition(b"?")[0].decode()
        token = fields.get(b"authorization", b"none").rpartition(b" ")[2]
        if "/raw/" in path:
            answer = base64.urlsafe_b64decode(path.rpartition("/")[2])
            sock.sendall(answer.replace(b"@TOKEN@", token))
            if b"Connection: close" in answer:
                raise EOFError
        elif path.endswith("/endless"):
            sock.sendall(b"HTTP/1.1 200 OK\r\n")
            for _ in range(100):
                sock.sendall(b"X-Long: " + b"l" * 10000 + b"\r\n")
        elif path.endswith("/sse"):
            self._sse(sock, token)
        elif path.endswith("/reflect"):
            self._reflect(sock, token)
        elif path.endswith("/gzip"):
            data = gzip.compress(b"hello " + token)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
        elif path.endswith("/switch"):
            sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        elif path.endswith("/big"):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (100 << 20))
            for _ in range(1600):
                sock.sendall(b"x" * 65536)
        elif path.endswith("/much"):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % MUCH + b"x" * MUCH)
        elif path.endswith("/redirect"):
            sock.sendall(b"HTTP/1.1 302 Found\r\nLocation: https://evil.example.net/\r\nContent-Length: 0\r\n\r\n")
        else:
            data = json.dumps({"path": path, "bytes": len(body)}).encode()
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(data) + data)

    def _sse(self, sock, token):
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for event in (b"data: one\n\n", b"data: " + token + b"\n\n"):
            sock.sendall(b"%x\r\n%s\r\n" % (len(event), event))
            self.gate.wait(DEADLINE)
        sock.sendall(b"0\r\n\r\n")

    @staticmethod
    def _reflect(sock, token):
        parts = [b"<" + token[:7], token[7:] + b">", base64.b64encode(token), b"|", base64.b64encode(b"u:" + token), b"|",
                 base64.urlsafe_b64encode(b"x:" + token), b"|", _quote(token), b"|end"]
        sock.sendall(b"HTTP/1.1 200 OK\r\nX-Echo: Bearer " + token + b"\r\nTransfer-Encoding: chunked\r\n\r\n")
        for part in parts:
            sock.sendall(b"%x\r\n%s\r\n" % (len(part), part))
            time.sleep(0)
        sock.sendall(b"0\r\n\r\n")


def _quote(token):
    """Percent-encoding of every byte that is not a letter or a digit."""
    return b"".join(bytes((byte,)) if chr(byte).isalnum() or chr(byte) in "_.-~" else b"%%%02X" % byte for byte in token)


ROUTES = """\
log: 1
routes:
  - host: open.example.com
  - host: api.example.com
    path_allowlist:
      - /repos/acme/
    methods:
      - GET
      - POST
  - host: cred.example.com
    path_allowlist:
      - /v1
    auth_scheme: Bearer
    token_env: EGRESS_TOKEN_0
  - host: rules.example.com
    matches:
      - paths:
          - type: exact
            value: /one
        methods:
          - GET
      - headers:
          - name: X-Mode
            value: safe
    auth_scheme: token
    token_env: EGRESS_TOKEN_0
  - host: late.example.com
"""


class Proxy:
    """The real proxy: the launcher of the image, with other addresses."""

    def __init__(self, directory, upstream_port, authority, trust, command=None):
        self.etc = directory
        self.lines = []
        self.stderr = b""
        self._new = threading.Condition()
        self._reader = self._errors = None  # what reads the log, and the rest
        for name in ("ca", "tokens"):
            (directory / name).mkdir()
        (directory / "ca" / "egress-ca.pem").write_bytes(pem_key(authority[0]) + pem_cert(authority[1]))
        (directory / "ca" / "pipelock-ca.pem").write_bytes(pem_cert(trust[1]))
        self.ca = directory / "agent-ca.pem"
        self.ca.write_bytes(pem_cert(authority[1]))
        self._command = command or [str(SIDECAR / "egress")]
        self._upstream = upstream_port
        self.process = None
        self.port = 0

    def put(self, routes=ROUTES, generation="a" * 64, tokens=None):
        """What the controller uploads."""
        if routes is not None:
            (self.etc / "routes.yaml").write_text(routes)
        (self.etc / "generation").write_text(generation + "\n")
        for slot, value in (tokens if tokens is not None else {"EGRESS_TOKEN_0": TOKEN}).items():
            (self.etc / "tokens" / slot).write_bytes(value)

    def start(self):
        """Starts the process and waits for its first canary."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        env = {"PATH": os.environ["PATH"], "BOTTLER_ETC": str(self.etc), "BOTTLER_LISTEN": f"127.0.0.1:{self.port}",
               "BOTTLER_UPSTREAM": f"http://127.0.0.1:{self._upstream}", "TMPDIR": str(self.etc)}
        self.process = subprocess.Popen(self._command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._errors = threading.Thread(target=self._read_errors, daemon=True)
        self._reader.start()
        self._errors.start()
        self.wait_for("canary")
        return self

    def _read(self):
        for line in self.process.stdout:
            with self._new:
                self.lines.append(line)
                self._new.notify_all()

    def _read_errors(self):
        self.stderr = self.process.stderr.read()

    def events(self, kind=None):
        """The log so far."""
        return [event for event in map(json.loads, list(self.lines)) if kind in (None, event["event"])]

    def wait_for(self, kind, after=0, **fields):
        """The first event of a kind with these fields after the line number `after`."""
        end = time.monotonic() + DEADLINE
        with self._new:
            while True:
                ended = not self._reader.is_alive()  # then there are no lines but these
                for event in map(json.loads, self.lines[after:]):
                    if event["event"] == kind and all(event.get(key) == value for key, value in fields.items()):
                        return event
                if ended:
                    raise AssertionError(f"ended with {self.process.wait(DEADLINE)} before {kind}: {self.lines} {self.stderr}")
                if time.monotonic() > end:
                    raise AssertionError(f"no {kind} {fields} in {self.lines[after:]} {self.stderr}")
                self._new.wait(0.2)

    def hangup(self, kind="canary"):
        """SIGHUP, and the event that follows."""
        after = len(self.lines)
        self.process.send_signal(signal.SIGHUP)
        return self.wait_for(kind, after)

    def stop(self):
        """SIGINT, which waits for nothing; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        code = self.process.wait(DEADLINE)
        self._reader.join(DEADLINE)  # all of the log is in `lines`
        self._errors.join(DEADLINE)
        self.process.stdout.close()
        self.process.stderr.close()
        return code

    # -- the agent's side --------------------------------------------------------------------------

    def dial(self):
        """A plain connection to the proxy port, from another address than the proxy's own."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE, source_address=("127.0.0.2", 0))

    def connect(self, target, head=""):
        """CONNECT: (socket, response)."""
        sock = self.dial()
        try:
            sock.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{head}\r\n".encode())
            return sock, respond(sock, "CONNECT")
        except (OSError, http.client.HTTPException):
            sock.close()
            raise

    def tunnel(self, host, sni="", alpn=None):
        """A TLS connection to `host` through the proxy; `sni` None sends no server name."""
        sock, response = self.connect(f"{host}:443")
        if response.status != 200:
            raise AssertionError(f"CONNECT {host}: {response.status}")
        context = ssl.create_default_context(cafile=self.ca)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.check_hostname = sni is not None
        if alpn:
            context.set_alpn_protocols(alpn)
        try:
            return context.wrap_socket(sock, server_hostname=None if sni is None else sni or host)
        except (OSError, ValueError):
            sock.close()
            raise

    def ask(self, host, method="GET", path="/", head="", body=b"", sni=""):
        """One request in a tunnel: (response, body)."""
        return exchange(self.tunnel(host, sni), method, f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{head}\r\n".encode("latin-1") + body)

    def resident(self, kind="VmRSS"):
        """KiB of memory that the process holds; `VmHWM`: has held at most."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split(kind + ":")[1].split()[0])

    def listens(self):
        """Whether anybody could connect."""
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
        return any(line[1] == f"0100007F:{self.port:04X}" and line[3] == "0A" for line in lines)

    def files(self):
        """How many files the process has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def plain(self, raw):
        """Raw bytes to the proxy port: (response, body)."""
        return exchange(self.dial(), "GET", raw)


def exchange(sock, method, raw):
    """Sends raw bytes, reads one response: (response, body)."""
    with sock:
        sock.sendall(raw)
        response = respond(sock, method)
        return response, response.read()


def respond(sock, method="GET"):
    """The response that is next on a socket. Unbuffered, so that nothing after a CONNECT's head is lost."""
    response = http.client.HTTPResponse(_Unbuffered(sock), method=method)
    response.begin()
    return response


class _Unbuffered:
    """Lets HTTPResponse read from a socket without reading ahead."""

    def __init__(self, sock):
        self._sock = sock

    def makefile(self, _mode):
        """The stream."""
        return self._sock.makefile("rb", buffering=0)

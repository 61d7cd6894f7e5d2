#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the real pipelock does with each edit of a running file.

usage: pipelock_reload.py PROGRAM FILE TABLE CA

FILE is a rendered pipelock.yaml with every key in it, its CA's two files beside it. TABLE has a line for each key: path,
change, answer, and the values (JSON) from which and to which it is edited. For each line pipelock is started on the
first, the file is changed to the second, and what pipelock does must be the line's answer:

  applies   it logs a success with the hash of the new file
  ignores   the same, and what it does is as before
  refuses   it logs no success

For the keys of SHOWN what it does is looked at too. Runs inside an engine of engine.sh, where api.example.com is its
upstream, whose CA is the file CA. Prints one line a key and ends with 1 when one of them did something else.
"""

import concurrent.futures
import hashlib
import json
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

DEADLINE = 10
WORKERS = 3
HOST = "api.example.com"
CREDENTIAL = "ghp_" + "aB3dE6gH9jK2" * 3


def put(text, path, value):
    """The YAML text (block style, as bottler writes it) with the value at a dotted path; JSON is YAML too."""
    lines, at, parts = text.splitlines(), 0, path.split(".")
    for depth, part in enumerate(parts):
        wanted = re.compile("  " * depth + re.escape(part) + ":( |$)")
        while not wanted.match(lines[at]):
            at += 1
            if at == len(lines) or (depth and not lines[at].startswith("  " * depth)):
                raise KeyError(path)
        at += depth + 1 < len(parts)
    inner, end = "  " * (len(parts) - 1), at + 1
    while end < len(lines) and lines[end].startswith((inner + "- ", inner + " ")):
        end += 1
    lines[at:end] = [f"{inner}{parts[-1]}: {json.dumps(value)}"]
    return "\n".join(lines) + "\n"


class Pipelock:
    """One running program, its file, and the lines that it has logged."""

    def __init__(self, program, directory, port, text):
        self.directory, self.port, self.file = directory, port, directory / "pipelock.yaml"
        self.write(text)
        self.log = directory / "log"
        with open(self.log, "wb") as out, open(directory / "stderr", "wb") as err:
            self.process = subprocess.Popen(
                [program, "run", "--config", str(self.file)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=directory,
                env={"HOME": str(directory), "SSL_CERT_FILE": str(directory / "upstream.pem")},
            )

    def write(self, text):
        """Replaces the file in one step; returns the hash that a confirmation has."""
        new = self.file.with_suffix(".new")
        new.write_text(text, encoding="ascii")
        new.rename(self.file)
        return hashlib.sha256(text.encode("ascii")).hexdigest()

    def entries(self):
        """The JSON lines of its log so far."""
        with open(self.log, "rb") as lines:
            return [json.loads(line) for line in lines if line.startswith(b"{") and line.endswith(b"\n")]

    def wait(self, found, what):
        """The first entry for which found() holds."""
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            for entry in self.entries():
                if found(entry):
                    return entry
            if self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode} before {what}: {self.said()}")
            time.sleep(0.02)
        raise AssertionError(f"no {what}: {self.said()}")

    def reload(self, text):
        """Changes the file; what pipelock says to it: applies or refuses."""
        digest = self.write(text)
        deadline = time.monotonic() + DEADLINE
        # It sees the change by itself. A signal ends it while it isn't ready for one, which can be later than it says that
        # it has started; so one follows only when nothing was seen.
        signal_at = time.monotonic() + 1
        while time.monotonic() < deadline:
            for entry in self.entries():
                if entry.get("event") == "config_reload" and entry.get("config_hash") == digest:
                    return "applies" if entry.get("status") == "success" else "refuses"
                if entry.get("event") == "error" and entry.get("method") == "CONFIG_RELOAD":
                    return "refuses"
            if b"config reload failed" in self.log.with_name("stderr").read_bytes():
                return "refuses"
            if time.monotonic() > signal_at:
                self.process.send_signal(signal.SIGHUP)
                signal_at = deadline
            time.sleep(0.02)
        raise AssertionError(f"no answer: {self.said()}")

    def said(self):
        """The end of what it wrote."""
        return (self.log.read_text() + self.log.with_name("stderr").read_text())[-600:]

    def stop(self):
        """Ends it."""
        self.process.kill()
        self.process.wait()

    # ---- asking it -------------------------------------------------------------------------------

    def fetch(self, url):
        """The status and body of a request to its fetch handler."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        query = urllib.parse.urlencode({"url": url})
        try:
            with opener.open(f"http://127.0.0.1:{self.port}/fetch?{query}", timeout=DEADLINE) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def tunnel(self):
        """A TLS connection to the upstream through it; a number: the status with which it was refused."""
        plain = socket.create_connection(("127.0.0.1", self.port), DEADLINE)
        plain.sendall(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            piece = plain.recv(1)
            assert piece, f"CONNECT: {head!r}"
            head += piece
        status = int(head.split()[1])
        if status != 200:
            plain.close()
            return status
        context = ssl.create_default_context(cafile=str(self.directory / "ca.pem"))
        return context.wrap_socket(plain, server_hostname=HOST)


def post(tunnel):
    """The status of a request with a credential in its body: one for each tunnel, which it mostly ends after one."""
    body = f"note={CREDENTIAL}".encode()
    tunnel.sendall(f"POST /x HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    answer = tunnel.recv(4096)
    tunnel.close()
    return int(answer.split()[1])


# ---- what it does before and after, where its word doesn't say it ---------------------------------


def listener(pipelock):
    """Another address: it listens on the old one."""
    yield
    for port, wanted in ((pipelock.port, True), (pipelock.port + 1, False)):
        with socket.socket() as s:
            assert (s.connect_ex(("127.0.0.1", port)) == 0) == wanted, f"port {port}"


def timeout(pipelock):
    """From 1 to 120 seconds: what takes longer than 1 fails as before."""
    yield
    status, body = pipelock.fetch(f"https://{HOST}/events?count=2&gap=1.3")
    assert status != 200 and b"imeout" in body + pipelock.log.read_bytes(), (status, body)


def log(pipelock):
    """Without blocked requests, or another format: they are logged, as JSON."""
    yield
    pipelock.fetch("https://blocked.example.org/")
    pipelock.wait(lambda e: e.get("event") == "blocked", "entry of a blocked request")


def open_tunnel_action(pipelock):
    """Between warn and block: a tunnel that is open goes on as it began, a new one does not."""
    began, tunnel = post(pipelock.tunnel()), pipelock.tunnel()
    yield
    assert post(tunnel) == began, "the open tunnel has changed"
    assert {began, post(pipelock.tunnel())} == {200, 403}, "a new tunnel has not"


def open_tunnel_host(pipelock):
    """A host is gone: its open tunnel stays, a new one is refused."""
    began, tunnel = post(pipelock.tunnel()), pipelock.tunnel()
    yield
    assert post(tunnel) == began, "the open tunnel is gone"
    assert pipelock.tunnel() == 403, "a new tunnel is not refused"


SHOWN = {
    ("fetch_proxy.listen", "ignores"): listener,
    ("fetch_proxy.timeout_seconds", "ignores"): timeout,
    ("logging.format", "ignores"): log,
    ("logging.include_blocked", "ignores"): log,
    ("request_body_scanning.action", "applies"): open_tunnel_action,
    ("api_allowlist", "applies"): open_tunnel_host,
}


def edit(program, base, upstream_ca, number, path, answer, before, after):
    """One line of the table; returns what is wrong, or None."""
    port = 21000 + 2 * number
    with tempfile.TemporaryDirectory(prefix="pipelock-reload-") as name:
        directory = pathlib.Path(name)
        for file in ("ca.pem", "ca-key.pem"):
            shutil.copy(base.with_name(file), directory / file)
        (directory / "upstream.pem").write_bytes(pathlib.Path(upstream_ca).read_bytes())
        text = put(base.read_text().replace("/etc/bottler/", f"{name}/"), "fetch_proxy.listen", f"127.0.0.1:{port}")
        texts = []
        for value in (before, after):
            spelled = value.replace("PORT+1", str(port + 1)).replace("PORT", str(port)).replace("DIR", name)
            texts.append(put(text, path, json.loads(spelled)))
        pipelock = Pipelock(program, directory, port, texts[0])
        try:
            pipelock.wait(lambda entry: entry.get("event") == "startup", "start")
            shown = SHOWN.get((path, answer), lambda _: iter((None,)))(pipelock)
            next(shown)
            said = pipelock.reload(texts[1])
            wanted = "applies" if answer == "ignores" else answer
            assert said == wanted, f"it {said}"
            next(shown, None)
        except (AssertionError, OSError) as error:
            return f"{type(error).__name__}: {error}"
        finally:
            pipelock.stop()
    return None


def main():
    program, base, table, upstream_ca = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    rows = []
    with open(table, encoding="ascii") as lines:
        for line in lines:
            if not line.startswith("#"):
                path, _, answer, before, after = line.rstrip("\n").split("\t")
                rows.append((path, answer, before, after))
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        jobs = [pool.submit(edit, program, base, upstream_ca, n, *row) for n, row in enumerate(rows)]
        for row, job in zip(rows, jobs):
            wrong = job.result()
            bad += wrong is not None
            print(f"{'not ok' if wrong else 'ok'} {row[0]} {row[1]}{': ' + wrong if wrong else ''}", flush=True)
    print(f"{len(rows)} edits, {bad} of them with another answer")
    return 1 if bad or not rows else 0


if __name__ == "__main__":
    sys.exit(main())

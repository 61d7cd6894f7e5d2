#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An agent that never rests, and what is to be read from its record.

usage: traffic.py run FILE         as the agent's command: allowed and denied requests in turns, for ever
       traffic.py flows FILE T     succeeds when the last requests of both kinds since T went as they should
       traffic.py report FILE T    prints the longest time without an answer since T; fails when a denied one was answered

FILE has a JSON object a line: at, end (seconds since the epoch), kind, id, status (0: no answer), error. Kinds:
`allowed`, and five that must get nothing: `path`, `host`, `secret`, `direct` (past the proxy), `dns`.
"""
import functools
import http.client
import itertools
import json
import os
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.parse

TIMEOUT = 3
PATIENCE = 0.5
PAUSE = 0.1
UPSTREAM = "198.51.100.10"
SECRET = "note=ghp_" + "aB3dE6gH9jK2" * 3
ENOUGH = 4


# ---- inside the agent ----------------------------------------------------------------------------


@functools.cache
def trust():
    """Reading a bundle of roots takes longer than a request."""
    return ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])


def request(host, method, path, body=None):
    """The status of a request through the proxy, on a connection of its own."""
    proxy = urllib.parse.urlsplit(os.environ["https_proxy"])
    connection = http.client.HTTPSConnection(proxy.hostname, proxy.port, timeout=TIMEOUT, context=trust())
    connection.set_tunnel(host, 443)
    try:
        connection.request(method, path, body=body)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def direct(number):
    """Past the proxy: to the upstream's address. Nobody says no, so it is not waited for."""
    with socket.create_connection((UPSTREAM, 443), PATIENCE) as plain:
        plain.sendall(b"denied-%d" % number)
        return 200


def query(name):
    """A question to the engine's resolver; 200 when it has an answer for it."""
    labels = b"".join(struct.pack("B", len(part)) + part.encode() for part in name.split("."))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(PATIENCE)
        udp.sendto(b"\x12\x34\1\0\0\1\0\0\0\0\0\0" + labels + b"\0\0\1\0\1", ("127.0.0.11", 53))
        answer = udp.recv(512)
    return 200 if answer[3] & 15 == 0 and answer[7] else 0


KINDS = {
    "path": lambda n: request("api.example.com", "GET", f"/denied/{n}"),
    "host": lambda n: request(f"denied-{n}.example.org", "GET", "/"),
    "secret": lambda n: request("api.example.com", "POST", f"/repos/acme/denied-{n}", SECRET),
    "direct": direct,
    "dns": lambda n: query(f"denied-{n}.example.net"),
}


def attempt(out, lock, kind, number, action):
    """One of them, and its line."""
    at, status, error = time.time(), 0, None
    try:
        status = action(number)
    except (OSError, http.client.HTTPException, ValueError) as failure:
        error = f"{type(failure).__name__}: {failure}"
    entry = {"at": at, "end": time.time(), "kind": kind, "id": number, "status": status, "error": error}
    with lock:
        out.write(json.dumps(entry) + "\n")


def run(path):
    """A loop for each kind, side by side."""
    lock = threading.Lock()

    def loop(out, kind, action):
        for number in itertools.count():
            attempt(out, lock, kind, number, action)
            time.sleep(PAUSE)

    with open(path, "a", encoding="ascii", buffering=1) as out:
        for kind, action in KINDS.items():
            threading.Thread(target=loop, args=(out, kind, action), daemon=True).start()
        loop(out, "allowed", lambda n: request("api.example.com", "GET", f"/repos/acme/{n}"))


# ---- outside -------------------------------------------------------------------------------------


def entries(path, since, kinds):
    """The whole lines of these kinds that ended after `since`."""
    with open(path, encoding="ascii") as lines:
        found = [json.loads(line) for line in lines if line.endswith("\n")]
    return [entry for entry in found if entry["end"] >= since and entry["kind"] in kinds]


def flows(path, since):
    """The last allowed ones that began after `since` were answered, and every kind of the denied has been tried."""
    allowed = [entry for entry in entries(path, since, ("allowed",)) if entry["at"] > since]
    last = allowed[-ENOUGH:]
    if len(last) < ENOUGH or any(entry["status"] != 200 for entry in last):
        return f"not yet: {last[-1:]}"
    tried = {entry["kind"] for entry in entries(path, since, KINDS)}
    return None if tried == set(KINDS) else f"not yet tried: {set(KINDS) - tried}"


def report(path, since):
    """Seconds between two answers to allowed requests, at most; and nothing for the denied."""
    answered = [entry for entry in entries(path, since, KINDS) if 200 <= entry["status"] < 300]
    if answered:
        return f"answered: {answered[:5]}"
    ends = [entry["end"] for entry in entries(path, 0, ("allowed",)) if entry["status"] == 200]
    before = [end for end in ends if end <= since][-1:]
    after = [end for end in ends if end > since]
    times = [*before, *after]
    print(f"{max(later - earlier for earlier, later in zip(times, times[1:])):.1f}")
    return None


def main():
    verb, path = sys.argv[1:3]
    if verb == "run":
        run(path)
        return 0
    wrong = {"flows": flows, "report": report}[verb](path, float(sys.argv[3]))
    if wrong:
        print(wrong, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

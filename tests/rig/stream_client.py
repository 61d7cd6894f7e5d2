# SPDX-License-Identifier: Apache-2.0
"""What streams and crowds look like from inside an agent, or without a proxy where the environment names none.

usage: python3 - events HOST COUNT GAP       when each server-sent event arrived, in seconds since the request
       python3 - follow HOST GAP ENOUGH      the same, until the file ENOUGH is there
       python3 - fetch HOST BYTES FILL       size, sha256, seconds of a download
       python3 - upload HOST BYTES           size and sha256 as sent, and what the upstream says it got
       python3 - crowd HOST COUNT            COUNT requests at once: how many got their own answer, what the others got
       python3 - sequence HOST COUNT         COUNT requests on one connection, the same, and how long each took
       python3 - visits HOST COUNT           the same, each on a connection of its own
       python3 - visitors HOST COUNT ENOUGH  COUNT at once, each with one request after the other on connections of their
                                             own, until the file ENOUGH is there: the same, and the longest in seconds

Prints one JSON object.
"""
import collections
import hashlib
import http.client
import json
import os
import ssl
import sys
import threading
import time
import urllib.parse

BLOCK = 1 << 16
TIMEOUT = 300
CONTEXT = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])  # reading a bundle takes longer than a request


def connect(host):
    """A connection to the host through the proxy that the environment names, or straight to it."""
    if not os.environ.get("https_proxy"):
        return http.client.HTTPSConnection(host, 443, timeout=TIMEOUT, context=CONTEXT)
    proxy = urllib.parse.urlsplit(os.environ["https_proxy"])
    connection = http.client.HTTPSConnection(proxy.hostname, proxy.port, timeout=TIMEOUT, context=CONTEXT)
    connection.set_tunnel(host, 443)
    return connection


def events(host, count, gap, enough=None):
    connection, began, arrived = connect(host), time.monotonic(), []
    connection.request("GET", f"/events?count={count}&gap={gap}", headers={"Accept": "text/event-stream"})
    answer = connection.getresponse()
    for line in answer:
        if line.startswith(b"id: "):
            assert int(line[4:]) == len(arrived), line
            arrived.append(round(time.monotonic() - began, 3))
            if enough and os.path.exists(enough):
                break
    gaps = [later - earlier for earlier, later in zip(arrived, arrived[1:])]
    return {"status": answer.status, "events": len(arrived), "first": arrived[0], "last": arrived[-1],
            "longest_gap": max(gaps)}


def follow(host, gap, enough):
    return events(host, 1000000, gap, enough)


def fetch(host, size, fill):
    connection, began, digest, got = connect(host), time.monotonic(), hashlib.sha256(), 0
    connection.request("GET", f"/big?bytes={size}&fill={fill}")
    answer = connection.getresponse()
    while block := answer.read(BLOCK):
        digest.update(block)
        got += len(block)
    return {"status": answer.status, "bytes": got, "sha256": digest.hexdigest(), "seconds": round(time.monotonic() - began, 3)}


def upload(host, size):
    line = b"the quick brown fox jumps over the lazy dog\n"
    body = (line * (int(size) // len(line) + 1))[: int(size)]
    connection, began = connect(host), time.monotonic()
    connection.request("PUT", "/repos/acme/upload", body=body, headers={"Content-Type": "application/octet-stream"})
    answer = connection.getresponse()
    said = answer.read()
    got = json.loads(said)["body"] if answer.status == 200 else said.decode("utf-8", "replace")[:300]
    return {"status": answer.status, "sent": {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()}, "got": got,
            "seconds": round(time.monotonic() - began, 3)}


def ask(connection, path):
    """200 with its own path in it, or what else it was."""
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status == 200 and json.loads(body)["path"] == path:
            return "own answer"
        return f"{answer.status} {body[:200]!r}"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"{type(error).__name__}: {error}"


def crowd(host, count):
    outcomes, barrier, began = collections.Counter(), threading.Barrier(int(count)), time.monotonic()

    def one(number):
        connection = connect(host)
        barrier.wait()
        outcomes[ask(connection, f"/crowd/{number}")] += 1
        connection.close()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(int(count))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"outcomes": outcomes, "seconds": round(time.monotonic() - began, 3)}


def one_by_one(count, connection_for, path):
    """Outcomes and times of COUNT requests, each on what connection_for() gives."""
    outcomes, times, began = collections.Counter(), [], time.monotonic()
    for number in range(int(count)):
        start = time.perf_counter()
        outcomes[ask(connection_for(), f"{path}{number}")] += 1
        times.append(time.perf_counter() - start)
    times.sort()
    at = {name: round(1000 * times[int(len(times) * share)], 2) for name, share in (("p50", 0.5), ("p99", 0.99))}
    return {"outcomes": outcomes, "seconds": round(time.monotonic() - began, 3), "ms": at}


def sequence(host, count):
    connection = connect(host)
    return one_by_one(count, lambda: connection, "/sequence/")


def visits(host, count):
    connections = []

    def fresh():
        while connections:
            connections.pop().close()
        connections.append(connect(host))
        return connections[0]

    return one_by_one(count, fresh, "/visits/")


def visitors(host, count, enough):
    outcomes, longest = collections.Counter(), [0.0]

    def one(number):
        visit = 0
        while not os.path.exists(enough):
            connection, start = connect(host), time.monotonic()
            outcomes[ask(connection, f"/visitor/{number}/{visit}")] += 1
            connection.close()
            longest[0] = max(longest[0], time.monotonic() - start)
            visit += 1

    threads = [threading.Thread(target=one, args=(number,)) for number in range(int(count))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"outcomes": outcomes, "longest": round(longest[0], 3)}


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))

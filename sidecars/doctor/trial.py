# SPDX-License-Identifier: Apache-2.0
"""What a container on an internal network can do: the trial of `bottler doctor`.

Runs in a throw-away container; reads /bottler-doctor/input.json and writes one JSON object. Tries the
addresses that it is told, and one name at the resolver that the engine gives. The name is in the top-level
domain .invalid, which no resolver knows: an answer that says so has been outside, anything else has not.
"""

import ctypes
import errno
import json
import os
import socket
import struct
import threading
import time

INPUT = "/bottler-doctor/input.json"
TIMEOUT_S = 3.0
RESOLVER = ("127.0.0.11", 53)
NOERROR, NXDOMAIN = 0, 3


def own_addresses():
    """The container's IPv4 addresses, as text."""
    found = set()
    try:
        with open("/proc/net/fib_trie", encoding="ascii") as table:
            lines = [line.strip() for line in table]
    except OSError:
        return found
    for before, line in zip(lines, lines[1:]):
        if line.startswith("/32 host LOCAL") and before.startswith("|--"):
            found.add(before.split()[1])
    return found


def has_default_route():
    with open("/proc/net/route", encoding="ascii") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return any(row[1] == "00000000" and row[7] == "00000000" for row in rows if len(row) > 7)


def ipv6_addresses():
    try:
        with open("/proc/net/if_inet6", encoding="ascii") as table:
            rows = [line.split() for line in table]
    except OSError:
        return []
    return sorted(
        f"{socket.inet_ntop(socket.AF_INET6, bytes.fromhex(row[0]))} on {row[5]}" for row in rows if row[5] != "lo"
    )


def status():
    """/proc/self/status as a mapping."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as lines:
        return dict(line.rstrip("\n").split(":\t", 1) for line in lines if ":\t" in line)


def open_calls():
    """Ways around network namespaces and filters that older profiles let through, and newer ones don't."""
    io_uring_setup = 425  # of every architecture
    refused = (errno.EPERM, errno.ENOSYS, errno.EACCES)
    libc = ctypes.CDLL(None, use_errno=True)
    found = []
    if libc.syscall(io_uring_setup, 0, None) >= 0 or ctypes.get_errno() not in refused:
        found.append("io_uring")
    try:
        socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close()
        found.append("vsock")
    except OSError:
        pass
    return found


def dial(address, port, nonce):
    """What became of a connection: whether something of the host answered, and what was seen."""
    began = time.monotonic()
    with socket.socket() as sock:
        sock.settimeout(TIMEOUT_S)
        try:
            sock.connect((address, port))
            sock.sendall(nonce.encode())
            return True, f"{address}:{port} took a connection"
        except OSError as problem:
            # A refusal is an answer, too: the address is somebody's.
            name = errno.errorcode.get(problem.errno, "timeout")
            took = (time.monotonic() - began) * 1000
            return problem.errno == errno.ECONNREFUSED, f"{address}:{port} {name} after {took:.0f} ms"


def try_host(addresses, ports, nonce):
    seen = []
    lock = threading.Lock()

    def one(address, port):
        outcome = dial(address, port, nonce)
        with lock:
            seen.append(outcome)

    threads = [threading.Thread(target=one, args=(a, p), daemon=True) for a in addresses for p in ports]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answered = sorted(text for ok, text in seen if ok)
    return bool(answered), (answered or sorted(text for _, text in seen) or ["no address to try"])[0]


def query(name):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">HHHHHH", 0x4242, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)


def try_dns(name):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(2 * TIMEOUT_S)
        try:
            sock.connect(RESOLVER)
            sock.send(query(name))
            answer = sock.recv(4096)
        except OSError as problem:
            return False, errno.errorcode.get(problem.errno, "no answer") if problem.errno else "no answer"
    code = answer[3] & 15 if len(answer) >= 4 else -1
    names = {NOERROR: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", NXDOMAIN: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
    return code in (NOERROR, NXDOMAIN), f"answers {names.get(code, code)}"


def main():
    with open(INPUT, encoding="utf-8") as text:
        told = json.load(text)
    mine = own_addresses()
    names = []
    resolver = threading.Thread(target=lambda: names.append(try_dns(told["name"])), daemon=True)
    resolver.start()
    host, host_evidence = try_host([a for a in told["addresses"] if a not in mine], told["ports"], told["nonce"])
    resolver.join()
    dns, dns_evidence = names[0]
    now = status()
    print(
        json.dumps(
            {
                "host": host,
                "hostEvidence": host_evidence,
                "dns": dns,
                "dnsEvidence": dns_evidence,
                "route": has_default_route(),
                "ipv6": ipv6_addresses(),
                "seccomp": int(now.get("Seccomp", "-1")),
                "noNewPrivileges": now.get("NoNewPrivs") == "1",
                "openCalls": open_calls(),
                "capabilities": int(now.get("CapBnd", "1"), 16) != 0,
                "uid": os.getuid(),
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Spellings of requests through the whole chain, for spelling.bats.

spelling.py send            in the agent: sends every case of standard input (JSON), prints the statuses (JSON)
spelling.py cases DIR       prints the cases of a corpus that can be sent, with what the oracle says of each
spelling.py check DIR CASES STATUSES LOG SINCE       compares with what the upstream has recorded since line SINCE
"""
import json
import os
import socket
import ssl
import sys
from pathlib import Path
from urllib.parse import urlsplit

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")  # that the upstream answers
HOSTS = ("open.example.com", "api.example.com", "cred.example.com")


def oracle(tests):
    """The oracle of the egress proxy's tests."""
    sys.path.insert(0, str(Path(tests)))
    import oracle as module  # pylint: disable=import-outside-toplevel

    return module


def cases(tests):
    """Every case of the corpus that is a request in TLS to one of the hosts, and could be sent as it is."""
    judge = oracle(tests).judge
    for path in sorted((Path(tests) / "corpus").glob("*.json")):
        for number, case in enumerate(json.loads(path.read_text())):
            sent = case["kind"] == "inside" and case["tls"] and case["sni"] == case["host"] in HOSTS
            if sent and case["lines"][0] and not any("\n" in line or line in ("", "\r") for line in case["lines"]):
                broken = judge({**case, "lines": [line.encode("latin-1") for line in case["lines"]]})
                yield {"name": f"{path.stem}[{number}]", "host": case["host"], "lines": case["lines"], "broken": sorted(broken)}


def send(case, proxy, context):
    """The status of one request, in a tunnel of its own; 0 when none came."""
    raw = "\r\n".join(case["lines"]).encode("latin-1") + b"\r\nConnection: close\r\n\r\n"
    lower = raw.lower()
    if b"\r\ntransfer-encoding: chunked" in lower:
        raw += b"0\r\n\r\n"
    elif b"\r\ncontent-length: 3\r\n" in lower:
        raw += b"abc"
    try:
        with socket.create_connection(proxy, 20) as plain:
            plain.sendall(f"CONNECT {case['host']}:443 HTTP/1.1\r\nHost: {case['host']}:443\r\n\r\n".encode())
            if b" 200 " not in plain.recv(4096).split(b"\r\n")[0]:
                return 0
            with context.wrap_socket(plain, server_hostname=case["host"]) as sock:
                sock.sendall(raw)
                data = b""
                while b"\r\n" not in data or data.startswith(b"HTTP/1.1 100"):
                    part = sock.recv(65536)
                    if not part:
                        return 0
                    data = (data + part).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
                return int(data.split(b" ")[1])
    except (OSError, ValueError):
        return 0


def send_all():
    """Sends what is on standard input."""
    url = urlsplit(os.environ["HTTPS_PROXY"])
    context = ssl.create_default_context()
    print(json.dumps([send(case, (url.hostname, url.port), context) for case in json.load(sys.stdin)]))


def check(tests, sent, statuses, log, since):
    """Whether what arrived is what the oracle allows, spelled as it was where a path rule holds."""
    module, wrong = oracle(tests), []
    with open(log, encoding="ascii") as stream:
        records = [record for record in map(json.loads, list(stream)[int(since):]) if record["event"] == "request"]
    for record in records:
        lines = [f"{record['method']} {record['path']} HTTP/1.1"] + [f"{name}: {value}" for name, value in record["headers"]]
        broken = module.judge({"kind": "inside", "tls": True, "host": record["sni"], "sni": record["sni"], "lines": [line.encode("latin-1") for line in lines]})
        if broken or record["host"] != record["sni"]:
            wrong.append(["arrived", sorted(broken), lines])
    arrived = {(record["host"], f"{record['method']} {record['path']}") for record in records}
    allowed = 0
    for case, status in zip(json.loads(Path(sent).read_text()), json.loads(Path(statuses).read_text()), strict=True):
        method = case["lines"][0].split(" ")[0]
        if case["broken"] and status not in (0, 400, 403, 413):
            wrong.append(["not refused", status, case])
        elif not case["broken"] and method in METHODS and module.HOSTS[case["host"]][0]:
            allowed += 1
            if status != 200 or (case["host"], case["lines"][0].rpartition(" ")[0]) not in arrived:
                wrong.append(["did not arrive as it was", status, case])
    print(json.dumps({"sent": len(json.loads(Path(sent).read_text())), "arrived": len(records), "allowed": allowed, "wrong": wrong}, indent=1))


if __name__ == "__main__":
    if sys.argv[1] == "send":
        send_all()
    elif sys.argv[1] == "cases":
        print(json.dumps(list(cases(sys.argv[2]))))
    else:
        check(*sys.argv[2:])

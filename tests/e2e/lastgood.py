# SPDX-License-Identifier: Apache-2.0
"""lastgood.py SOCKET FILE BOTTLE: cuts a manifest after every byte, in place, and waits each time until bottler has listed
it; prints how often that was, how often a part of the bottle had another container, and how often the bottle had another
generation. At the end the file is whole again."""

import http.client
import json
import os
import socket
import sys
import time

SOCKET, FILE, BOTTLE = sys.argv[1:4]
DEADLINE_S = 20


class Unix(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(SOCKET)


def get():
    unix = Unix("localhost")
    unix.request("GET", "/v1/bottles")
    value = json.load(unix.getresponse())
    unix.close()
    return value


def listings(value):
    return value["controller"]["source"]["listings"]


def bottle(value):
    [item] = [i for i in value["items"] if i["metadata"]["name"] == BOTTLE]
    return item


def containers(value):
    return {c["role"]: c["containerId"] for c in bottle(value)["status"]["components"]}


def write(data):
    fd = os.open(FILE, os.O_WRONLY | os.O_TRUNC)
    os.write(fd, data)
    os.close(fd)


def listed(before):
    deadline = time.monotonic() + DEADLINE_S
    while True:
        value = get()
        if listings(value) > before:
            return value
        if time.monotonic() > deadline:
            sys.exit("no listing within %d s" % DEADLINE_S)
        time.sleep(0.01)


def main():
    with open(FILE, "rb") as f:
        whole = f.read()
    value = get()
    ids, generation = containers(value), bottle(value)["metadata"]["generation"]
    cuts = other_containers = other_generations = 0
    for n in [*range(len(whole) - 1, -1, -1), len(whole)]:
        write(whole[:n])
        value = listed(listings(value))
        cuts += 1
        other_containers += containers(value) != ids
        other_generations += bottle(value)["metadata"]["generation"] != generation
    print(cuts, other_containers, other_generations)


main()

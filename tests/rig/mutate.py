#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a container or a network again, as it was but for one difference: what somebody else could have done to it.

usage: mutate.py container NAME PATCH [INSPECTED]   same name, labels, networks, addresses, aliases and files of ours; started
       mutate.py network NAME PATCH                 same name, labels and members, with their addresses and aliases

PATCH is a JSON merge patch (RFC 7386) of the body of the engine's create request. With INSPECTED, a file with what the engine
said of the container before, it is made again as it was then. DOCKER_HOST names the engine, by its socket.
"""
import http.client
import json
import os
import socket
import sys
import urllib.parse

API = "/v1.41"
FILES = ("/etc/bottler",)


class Engine(http.client.HTTPConnection):
    """The engine's API on its socket."""

    def __init__(self):
        super().__init__("engine")
        self.path = os.environ["DOCKER_HOST"].removeprefix("unix://")

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self.path)

    def ask(self, method, path, body=None, kind="application/json", wanted=range(200, 400)):
        """The answer's bytes."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.request(method, API + path, body, {"Content-Type": kind, "Connection": "close"})
        response = self.getresponse()
        data = response.read()
        self.close()
        if response.status not in wanted:
            raise SystemExit(f"{method} {path}: {response.status}: {data.decode(errors='replace').strip()}")
        return data

    def get(self, path):
        """The answer, parsed."""
        return json.loads(self.ask("GET", path))


def patched(value, patch):
    """`value` with the merge patch."""
    if not isinstance(patch, dict):
        return patch
    out = dict(value) if isinstance(value, dict) else {}
    for key, item in patch.items():
        if item is None:
            out.pop(key, None)
        else:
            out[key] = patched(out.get(key), item)
    return out


def endpoint(settings):
    """What to say on connecting to have the same address and names again."""
    config = {"Aliases": [alias for alias in settings.get("Aliases") or [] if len(alias) != 12]}
    if settings.get("IPAddress"):
        config["IPAMConfig"] = {"IPv4Address": settings["IPAddress"]}
    return config


def container(engine, name, patch, inspected=None):
    """Makes a container again."""
    old = engine.get(f"/containers/{name}/json")
    if inspected:
        with open(inspected, encoding="utf-8") as file:
            old = json.load(file)[0]
    archives = []
    for path in FILES:
        archives.append(engine.ask("GET", f"/containers/{name}/archive?path={urllib.parse.quote(path)}"))
    networks = old["NetworkSettings"]["Networks"]
    # The first network; its id in NetworkMode is out of date when it was made again.
    first = next((key for key, item in networks.items() if old["HostConfig"]["NetworkMode"] == item["NetworkID"]), next(iter(networks)))
    body = {**old["Config"], "HostConfig": {**old["HostConfig"], "NetworkMode": first}}
    body["NetworkingConfig"] = {"EndpointsConfig": {first: endpoint(networks[first])}}
    body = patched(body, patch)
    engine.ask("DELETE", f"/containers/{name}?force=1&v=1")
    made = json.loads(engine.ask("POST", f"/containers/create?name={name}", body))["Id"]
    if body["HostConfig"]["NetworkMode"] == first:
        for key, item in networks.items():
            if key != first:
                engine.ask("POST", f"/networks/{key}/connect", {"Container": made, "EndpointConfig": endpoint(item)})
    for path, archive in zip(FILES, archives):
        engine.ask("PUT", f"/containers/{made}/archive?path={urllib.parse.quote(os.path.dirname(path))}", archive, "application/x-tar")
    engine.ask("POST", f"/containers/{made}/start", b"")


def network(engine, name, patch):
    """Makes a network again."""
    old = engine.get(f"/networks/{name}")
    members = {}
    for member in old["Containers"]:
        members[member] = engine.get(f"/containers/{member}/json")["NetworkSettings"]["Networks"][old["Name"]]
        engine.ask("POST", f"/networks/{name}/disconnect", {"Container": member, "Force": True})
    engine.ask("DELETE", f"/networks/{name}")
    body = {key: old[key] for key in ("Name", "Driver", "EnableIPv6", "IPAM", "Internal", "Attachable", "Options", "Labels")}
    engine.ask("POST", "/networks/create", patched(body, patch))
    for member, settings in members.items():
        engine.ask("POST", f"/networks/{old['Name']}/connect", {"Container": member, "EndpointConfig": endpoint(settings)})


def main():
    verb, name, patch, *rest = sys.argv[1:]
    {"container": container, "network": network}[verb](Engine(), name, json.loads(patch), *rest)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""What the bottle's proxy allows, by its own word, and requests that are just on this side of it or beyond.

The proxy is asked as an agent would ask it: GET http://_egress.local/allowlist.
"""
import json
from dataclasses import dataclass

HARMLESS = ("GET", "HEAD")
OTHER_METHODS = ("DELETE", "PUT", "PATCH", "POST", "PROPFIND", "MKCOL", "MOVE", "COPY", "LOCK", "REPORT", "PURGE", "LINK")
_NEVER = ("CONNECT", "TRACE", "TRACK", "PRI")


@dataclass(frozen=True)
class Match:
    """One way to be allowed."""

    paths: tuple  # of (type, value)
    methods: tuple
    headers: tuple  # of (name, value)

    def covers(self, path):
        """Whether the path part holds."""
        return not self.paths or any(_on(kind, value, path) for kind, value in self.paths)


@dataclass(frozen=True)
class Request:
    """A request that is allowed and changes nothing."""

    host: str
    method: str
    path: str
    headers: tuple

    @property
    def fields(self):
        """Its header lines beside Host."""
        return "".join(f"{name}: {value}\r\n" for name, value in self.headers)


@dataclass(frozen=True)
class Route:
    """What is allowed at one host. No matches: everything."""

    host: str
    matches: tuple
    credential: bool

    @property
    def has_paths(self):
        """Whether a path rule applies to this host: then paths must be plain."""
        return any(match.paths for match in self.matches)

    @property
    def has_methods(self):
        """Whether a method rule applies to this host."""
        return any(match.methods for match in self.matches)

    def harmless(self, nonce, methods=HARMLESS):
        """A Request that this route allows, or None."""
        if not self.matches:
            return Request(self.host, methods[0], f"/bottler-probe-{nonce}", ())
        for match in self.matches:
            method = next((item for item in methods if not match.methods or item in match.methods), None)
            if method is not None:
                return Request(self.host, method, _below(match.paths, nonce), match.headers)
        return None

    def denied_path(self, nonce):
        """A plain path that no rule covers, or None."""
        path = f"/bottler-probe-{nonce}/denied"
        if not self.matches or any(match.covers(path) for match in self.matches):
            return None
        return path

    def denied_method(self, request):
        """A method that no rule allows on the path of a request that is allowed, or None."""
        covering = [match for match in self.matches if match.covers(request.path)]
        if not covering or any(not match.methods for match in covering):
            return None
        taken = {method for match in covering for method in match.methods}
        return next((method for method in OTHER_METHODS if method not in taken), None)


def _on(kind, value, path):
    """Whether a path falls under a rule."""
    if kind == "exact" or path == value:
        return path == value
    return path.startswith(value if value.endswith("/") else value + "/")


def _below(paths, nonce):
    """A path under one of the rules; with the nonce where the rule leaves room for it."""
    if not paths:
        return f"/bottler-probe-{nonce}"
    for kind, value in paths:
        if kind != "exact":
            return f"{value}{'' if value.endswith('/') else '/'}bottler-probe-{nonce}"
    return paths[0][1]


def parse(body):
    """The routes in the answer of the introspection. Raises ValueError or KeyError."""
    shown = json.loads(body)
    found = []
    for entry in shown["routes"]:
        matches = tuple(
            Match(tuple((path["type"], path["value"]) for path in match.get("paths", ())), tuple(match.get("methods", ())),
                  tuple((header["name"], header["value"]) for header in match.get("headers", ())))
            for match in entry.get("matches", ()))
        found.append(Route(entry["host"], matches, entry.get("credential") != "none"))
    return found


def suitable(routes, nonce):
    """(route, harmless request) of the routes that have one; those without a credential first."""
    found = [(route, route.harmless(nonce)) for route in routes]
    return sorted(((route, request) for route, request in found if request is not None), key=lambda pair: pair[0].credential)


def refused_everywhere(method):
    """Whether the proxy takes this method from nobody."""
    return method.upper() in _NEVER

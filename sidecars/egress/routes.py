# SPDX-License-Identifier: Apache-2.0
"""The route table: bytes of routes.yaml to a Table, or a RouteError that says what is wrong.

The file comes from the controller; everything about it that is not exactly as agreed is an error,
because a table that is half understood is worse than the last one that was understood.
"""
import re
from dataclasses import dataclass, field

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, DocumentStartEvent

from head import canonical_host
from paths import path_error

MAX_BYTES = 1 << 20
MAX_ROUTES = 16384
MAX_DEPTH = 16
INTROSPECTION_HOST = "_egress.local"
CANARY_HOST = "bottler-canary.invalid"
RESERVED_HOSTS = (INTROSPECTION_HOST, CANARY_HOST)
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,100}")
_SLOT = re.compile(r"EGRESS_TOKEN_(?:0|[1-9][0-9]{0,3})")
_VALUE = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?")
_NEVER = ("CONNECT", "TRACE")


class RouteError(Exception):
    """routes.yaml or a file beside it is not acceptable. `args[0]` says where and why."""


@dataclass(frozen=True)
class Match:
    """One way to be allowed: every part that is not empty must hold."""

    paths: tuple = ()  # of (kind, value)
    methods: tuple = ()
    headers: tuple = ()  # of (name in lower case, value), bytes


@dataclass(frozen=True)
class Route:
    """What is allowed at one host. No matches: everything."""

    host: str
    matches: tuple = ()
    scheme: str = ""  # Bearer, token, or empty when no credential is injected
    slot: str = ""

    @property
    def has_paths(self):
        """Whether a path rule applies to this host."""
        return any(match.paths for match in self.matches)

    @property
    def has_methods(self):
        """Whether a method rule applies to this host."""
        return any(match.methods for match in self.matches)


@dataclass(frozen=True)
class Table:
    """All routes, by canonical host, in the order of the file."""

    routes: dict = field(default_factory=dict)
    log: int = 0

    @property
    def slots(self):
        """The token slots that the routes name, each once, in order."""
        return tuple(dict.fromkeys(route.slot for route in self.routes.values() if route.slot))


def parse_table(raw):
    """The Table in the bytes of a routes.yaml. Raises RouteError."""
    if len(raw) > MAX_BYTES:
        raise RouteError(f"the file is longer than {MAX_BYTES} bytes")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise RouteError("the file is not UTF-8") from None
    document = _load(text)
    top = _mapping(document, "the file", {"log", "routes"}, {"routes"})
    level = top.get("log", 0)
    if type(level) is not int or level not in (0, 1, 2):
        raise RouteError("log: must be 0, 1 or 2")
    entries = _list(top["routes"], "routes", empty=True)
    if len(entries) > MAX_ROUTES:
        raise RouteError(f"routes: more than {MAX_ROUTES}")
    routes = {}
    for number, entry in enumerate(entries):
        route = _route(entry, f"routes[{number}]")
        if route.host in routes:
            raise RouteError(f"routes[{number}].host: {route.host} appears twice")
        routes[route.host] = route
    return Table(routes, level)


def _load(text):
    """The plain value of a YAML text with one document, no anchors, aliases, tags or duplicate keys."""
    try:
        documents = depth = 0
        for event in YAML(typ="safe", pure=True).parse(text):
            depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise RouteError("nested too deep")
            documents += isinstance(event, DocumentStartEvent)
            if isinstance(event, AliasEvent) or getattr(event, "anchor", None):
                raise RouteError("anchors and aliases are not allowed")
            if getattr(event, "tag", None):
                raise RouteError("tags are not allowed")
        if documents != 1:
            raise RouteError("the file must hold exactly one document")
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        raise RouteError(f"{line}not valid YAML ({type(error).__name__})") from None
    except (RecursionError, ValueError):
        raise RouteError("not valid YAML") from None


def _mapping(value, where, known, required):
    """`value` as a mapping with known string keys only, all required ones there."""
    if not isinstance(value, dict):
        raise RouteError(f"{where}: must be a mapping")
    for key in value:
        if not isinstance(key, str) or key not in known:
            raise RouteError(f"{where}: unknown key {str(key)[:40]!r}")
    for key in sorted(required - set(value)):
        raise RouteError(f"{where}: {key} is missing")
    return value


def _list(value, where, empty=False):
    """`value` as a list, not empty unless allowed."""
    if not isinstance(value, list):
        raise RouteError(f"{where}: must be a list")
    if not value and not empty:
        raise RouteError(f"{where}: must not be empty")
    return value


def _text(value, where):
    """`value` as a string."""
    if not isinstance(value, str):
        raise RouteError(f"{where}: must be a string")
    return value


def _route(entry, where):
    """One entry of the list of routes."""
    known = {"host", "path_allowlist", "methods", "matches", "auth_scheme", "token_env"}
    entry = _mapping(entry, where, known, {"host"})
    host = canonical_host(_text(entry["host"], f"{where}.host"))
    if host is None or host != entry["host"]:
        raise RouteError(f"{where}.host: must be a plain DNS name in lower case")
    if host in RESERVED_HOSTS:
        raise RouteError(f"{where}.host: {host} is reserved")
    if "matches" in entry and ("path_allowlist" in entry or "methods" in entry):
        raise RouteError(f"{where}: matches stands instead of path_allowlist and methods")
    scheme, slot = _auth(entry, where)
    if "matches" in entry:
        items = _list(entry["matches"], f"{where}.matches")
        found = tuple(_match(item, f"{where}.matches[{number}]") for number, item in enumerate(items))
    else:
        found = _simple(entry, where)
    return Route(host, found, scheme, slot)


def _auth(entry, where):
    """(scheme, slot), both or neither."""
    if ("auth_scheme" in entry) != ("token_env" in entry):
        raise RouteError(f"{where}: auth_scheme and token_env go together")
    if "auth_scheme" not in entry:
        return "", ""
    scheme = _text(entry["auth_scheme"], f"{where}.auth_scheme")
    if scheme not in ("Bearer", "token"):
        raise RouteError(f"{where}.auth_scheme: must be Bearer or token")
    slot = _text(entry["token_env"], f"{where}.token_env")
    if not _SLOT.fullmatch(slot):
        raise RouteError(f"{where}.token_env: must be EGRESS_TOKEN_ and a number")
    return scheme, slot


def _simple(entry, where):
    """The matches that path_allowlist and methods stand for."""
    paths, methods = (), ()
    if "path_allowlist" in entry:
        items = _list(entry["path_allowlist"], f"{where}.path_allowlist")
        paths = tuple(("prefix", _path(item, f"{where}.path_allowlist[{n}]")) for n, item in enumerate(items))
    if "methods" in entry:
        methods = _methods(entry["methods"], f"{where}.methods")
    return (Match(paths, methods),) if paths or methods else ()


def _match(entry, where):
    """One entry of matches."""
    entry = _mapping(entry, where, {"paths", "methods", "headers"}, set())
    if not entry:
        raise RouteError(f"{where}: must not be empty")
    paths, methods, headers = (), (), ()
    if "paths" in entry:
        items = _list(entry["paths"], f"{where}.paths")
        paths = tuple(_path_rule(item, f"{where}.paths[{number}]") for number, item in enumerate(items))
    if "methods" in entry:
        methods = _methods(entry["methods"], f"{where}.methods")
    if "headers" in entry:
        items = _list(entry["headers"], f"{where}.headers")
        headers = tuple(_header(item, f"{where}.headers[{number}]") for number, item in enumerate(items))
    return Match(paths, methods, headers)


def _path_rule(entry, where):
    """(kind, value) of one entry of paths."""
    entry = _mapping(entry, where, {"type", "value"}, {"type", "value"})
    kind = _text(entry["type"], f"{where}.type")
    if kind not in ("exact", "prefix"):
        raise RouteError(f"{where}.type: must be exact or prefix")
    return kind, _path(entry["value"], f"{where}.value")


def _path(value, where):
    """A path that a rule may name: it must be one that a request could have."""
    error = path_error(_text(value, where))
    if error:
        raise RouteError(f"{where}: {error}")
    return value


def _methods(value, where):
    """A list of methods, exact."""
    items = tuple(_text(item, f"{where}[{number}]") for number, item in enumerate(_list(value, where)))
    for number, item in enumerate(items):
        if not _TOKEN.fullmatch(item):
            raise RouteError(f"{where}[{number}]: is not a method")
        if item.upper() in _NEVER:
            raise RouteError(f"{where}[{number}]: {item.upper()} is never allowed")
    return tuple(dict.fromkeys(items))


def _header(entry, where):
    """(name in lower case, value) of one entry of headers."""
    entry = _mapping(entry, where, {"name", "value"}, {"name", "value"})
    name, value = _text(entry["name"], f"{where}.name"), _text(entry["value"], f"{where}.value")
    if not _TOKEN.fullmatch(name):
        raise RouteError(f"{where}.name: is not a header name")
    if not _VALUE.fullmatch(value):
        raise RouteError(f"{where}.value: must be visible ASCII")
    return name.lower().encode(), value.encode()

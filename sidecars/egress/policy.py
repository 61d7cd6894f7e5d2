# SPDX-License-Identifier: Apache-2.0
"""The decision: a parsed head, where it arrived, and the table, to allow or deny.

Pure: no I/O, no clock, no proxy. What is not plainly allowed is denied, with a rule that names the
check, a sentence, the nearest thing that is allowed, and what to do.
"""
import difflib
import json
import re
from dataclasses import dataclass
from typing import Optional

import paths
from head import body_size, merged, split_authority
from routes import INTROSPECTION_HOST, Route, Table

_COMPARED = 200  # hosts that a denial looks through for a similar one
_NEVER = ("CONNECT", "TRACE", "TRACK", "PRI")
# Names of fields as head.merged gives them, and of parameters without anything but letters and digits.
_METHOD_OVERRIDES = {
    b"xhttpmethodoverride", b"xhttpmethod", b"xmethodoverride", b"xmethod", b"httpmethodoverride", b"methodoverride",
}
_PATH_OVERRIDE_ENDS = (b"copysource", b"copyfrom", b"renamesource", b"movesource", b"objectmanifest")
_QUERY_CREDENTIALS = {
    "accesskey", "accesskeyid", "accesstoken", "apikey", "apitoken", "appkey", "applicationkey", "assertion", "auth",
    "authkey", "authorization", "authtoken", "awsaccesskeyid", "bearer", "bearertoken", "clientassertion",
    "clientsecret", "googleaccessid", "idtoken", "jobtoken", "jsessionid", "jwt", "key", "oauthsignature", "oauthtoken",
    "passwd", "password", "personalaccesstoken", "phpsessid", "privatetoken", "refreshtoken", "secret", "secretkey",
    "sessionid", "sessiontoken", "sig", "signature", "subscriptionkey", "ocpapimsubscriptionkey", "token", "usertoken",
    "xamzcredential", "xamzsecuritytoken", "xamzsignature", "xapikey", "xgoogcredential", "xgoogsignature",
}
_METHOD_PARAMETER = re.compile(r"[_.\[ ]method(?:$|[^0-9a-z])|x[-_. ]http[-_. ]method")
_SEE = f"GET http://{INTROSPECTION_HOST}/allowlist through this proxy lists what is allowed"
_ASK = f"{_SEE}; if the task needs more, ask the owner of this bottle for a route"


@dataclass
class Tunnel:
    """What is known of a client connection after its CONNECT was allowed."""

    host: str
    tls: bool = False  # the agent's TLS handshake is finished
    hello: bool = False  # a ClientHello was seen
    sni: Optional[str] = None
    head: Optional[object] = None  # of the allowed request that is under way
    revoked: bool = False  # a reload has taken away what it was for


@dataclass(frozen=True)
class Decision:
    """The answer to one request. `route` is set when it is allowed."""

    allow: bool
    rule: str
    reason: str = ""
    hint: str = ""
    nearest: Optional[object] = None
    ask: Optional[dict] = None  # the route that would lift the denial
    host: str = ""
    port: int = 443
    method: str = ""
    path: str = ""
    status: int = 403
    route: Optional[Route] = None


class _Denied(Exception):
    """Carries rule, reason, hint, nearest and ask out of the checks."""

    def __init__(self, rule, reason, hint="", nearest=None, ask=None):
        super().__init__(rule)
        self.rule, self.reason, self.hint, self.nearest, self.ask = rule, reason, hint, nearest, ask


def decide_connect(head, table):
    """The Decision about a CONNECT: its target is a known host and port 443."""
    host, port = split_authority(head.target)
    shown = {"host": host or head.target.rpartition(":")[0], "port": port or 0, "method": head.method}
    try:
        if head.method != "CONNECT":
            raise _Denied("head", "the method is not spelled CONNECT")
        if host is None or port is None:
            raise _Denied("host", "the CONNECT target is not a plain host name and a port", _ASK)
        route = _route(table, host)
        if port != 443:
            raise _Denied("port", "only port 443 is reachable", f"use https://{host}/ on port 443",
                          {"host": host, "port": 443})
        _check_connect_head(head, host)
    except _Denied as denied:
        return _refusal(denied, shown)
    return Decision(True, "connect", route=route, status=200, **shown)


def _check_connect_head(head, host):
    """A CONNECT has no body, and its Host header, when there is one, names the same target."""
    if body_size(head) != 0:
        raise _Denied("head", "a CONNECT request with a body")
    names = head.values(b"host")
    if names and split_authority(_ascii(names[0])) not in ((host, None), (host, 443)):
        raise _Denied("host-header", "the Host header differs from the CONNECT target")


def decide_outside(head, table):
    """The Decision about a request that reached the proxy port without a tunnel.

    The one that is allowed is the introspection (rule `introspection`), which is never forwarded.
    """
    shown = {"host": "", "port": 0, "method": head.method, "path": head.path}
    try:
        scheme, mark, rest = head.target.partition("://")
        if head.target.startswith("/") or not mark:
            raise _Denied("target-form", "a request to the proxy itself",
                          f"send it through the proxy, with CONNECT; {_SEE}")
        authority, slash, path = rest.partition("/")
        path = slash + path
        shown.update(host=authority, port=80 if scheme.lower() == "http" else 443, path=path.partition("?")[0] or "/")
        if scheme.lower() != "http":
            raise _Denied("scheme", "an absolute https URL outside a tunnel",
                          "use CONNECT, as clients do with HTTPS_PROXY")
        if authority.lower() not in (INTROSPECTION_HOST, f"{INTROSPECTION_HOST}:80"):
            raise _Denied("scheme", "plain http is not carried: only https routes exist", f"use https://; {_SEE}")
        shown.update(host=INTROSPECTION_HOST, port=80)
        if head.method not in ("GET", "HEAD"):
            raise _Denied("method", "the introspection answers GET only", _SEE, {"methods": ["GET"]})
    except _Denied as denied:
        return _refusal(denied, shown)
    return Decision(True, "introspection", status=200 if path.partition("?")[0] == "/allowlist" else 404, **shown)


def decide_inside(head, tunnel, table):
    """The Decision about a request inside the tunnel of an allowed CONNECT."""
    shown = {"host": tunnel.host, "port": 443, "method": head.method, "path": head.path}
    try:
        _check_channel(tunnel)
        _check_target(head, tunnel.host)
        if head.method.upper() in _NEVER:
            raise _Denied("method", "this method is never allowed")
        content_type = b"".join(head.values(b"content-type"))
        if paths.git_push(head.method, head.path, head.query, content_type):
            raise _Denied("git-push", "git pushes over HTTP are not carried",
                          "push to the git-gate remote of this bottle (git://git-gate:9418/NAME.git) instead")
        route = _route(table, tunnel.host)
        rule = _check_route(head, route)
        _check_overrides(head, route)
        if any(value.lower() == b"websocket" for value in head.values(b"upgrade")):
            raise _Denied("upgrade", "WebSocket upgrades are not carried", "use the HTTP form of this API")
    except _Denied as denied:
        return _refusal(denied, shown)
    return Decision(True, rule, route=route, status=200, **shown)


def _check_channel(tunnel):
    """The request came in TLS whose server name is the CONNECT target."""
    if not tunnel.tls:
        raise _Denied("not-tls", "the tunnel does not carry TLS", f"speak TLS to {tunnel.host} after CONNECT")
    if not tunnel.sni:
        raise _Denied("sni", "the TLS handshake names no server", f"send the server name {tunnel.host} (SNI)")
    if tunnel.sni.lower() != tunnel.host:
        raise _Denied("sni", "the TLS server name differs from the CONNECT target",
                      f"send the server name {tunnel.host} (SNI)")


def _check_target(head, host):
    """Origin form, and exactly one Host that is the CONNECT target."""
    if not head.target.startswith("/"):
        raise _Denied("target-form", "inside a tunnel the request target must begin with a slash")
    names = head.values(b"host")
    if len(names) != 1:
        raise _Denied("host-header", "the request must have exactly one Host header")
    if split_authority(_ascii(names[0])) not in ((host, None), (host, 443)):
        raise _Denied("host-header", "the Host header differs from the CONNECT target", f"send Host: {host}")


def _route(table, host):
    """The route of `host`."""
    route = table.routes.get(host)
    if route is None:
        near = difflib.get_close_matches(host, list(table.routes)[:_COMPARED], n=1, cutoff=0.7)
        reason = "no route allows this host" if table.routes else "no routes are loaded, so everything is denied"
        raise _Denied("host", reason, _ASK, {"host": near[0]} if near else None, {"host": host})
    return route


def _check_route(head, route):
    """The name of the rule of `route` that allows this request."""
    if not route.matches:
        return "route"
    if route.has_paths:
        error = paths.path_error(head.path)
        if error:
            raise _Denied("path-syntax", error, "send the plain, normalised path", nearest(head, route))
    on_path = [match for match in route.matches if _path_holds(match, head)]
    if not on_path:
        raise _Denied("path", "no rule of this host allows this path", _ASK, nearest(head, route), _wish(head, route))
    on_method = [match for match in on_path if not match.methods or head.method in match.methods]
    if not on_method:
        allowed = sorted({method for match in on_path for method in match.methods})
        raise _Denied("method", "no rule for this path allows this method", _ASK,
                      {"host": route.host, "methods": allowed}, _wish(head, route))
    names = head.names()
    for match in on_method:
        if all(head.values(name) == [value] and names.count(merged(name)) == 1 for name, value in match.headers):
            return f"matches[{route.matches.index(match)}]"
    names = sorted({name.decode() for match in on_method for name, _ in match.headers})
    raise _Denied("header", "no rule for this path and method fits the headers", _ASK,
                  {"host": route.host, "headers": names})


def _wish(head, route):
    """The route that would allow this request, as the manifest spells routes; None for a path that no rule can name."""
    if paths.path_error(head.path):
        return None
    return {"host": route.host, "path_allowlist": [head.path], "methods": [head.method]}


def _path_holds(match, head):
    """Whether the path part of `match` holds."""
    return not match.paths or any(paths.matches(kind, value, head.path) for kind, value in match.paths)


def _check_overrides(head, route):
    """Nothing in the request lets the upstream take it for another method, another path or another caller's."""
    names = head.names()
    if route.has_paths and any(name == b"destination" or name.endswith(_PATH_OVERRIDE_ENDS) for name in names):
        raise _Denied("path-override", "a header of the request names another path",
                      "the rules of this host are about paths, so only the request's own path may be named")
    query = paths.query_names(head.query)
    if route.has_methods:
        asked = any(_METHOD_PARAMETER.match(name) for name, _ in query)
        if asked or not _METHOD_OVERRIDES.isdisjoint(names):
            raise _Denied("method-override", "the request asks the server to take it for another method",
                          "send that method itself")
    if route.scheme:
        for name, value in query + paths.parameter_names(head.path):
            if _plain_parameter(name) in _QUERY_CREDENTIALS or value.startswith("AIza"):
                raise _Denied("query-credential", "a credential in the URL of a host whose credential the proxy adds",
                              "leave it out: the proxy adds the credential")


def _plain_parameter(name):
    """The name of a parameter as the laxest servers read it: no index, nothing but letters and digits."""
    return re.sub(r"[^0-9a-z]", "", name.partition("[")[0])


def nearest(head, route):
    """The rules of `route` whose paths are closest to the one asked for: at most three."""
    def closeness(value):
        return sum(1 for _ in _common(value, head.path))

    rules = {(kind, value) for match in route.matches for kind, value in match.paths}
    best = sorted(rules, key=lambda rule: (-closeness(rule[1]), rule[1]))[:3]
    return {"host": route.host, "paths": [{"type": kind, "value": value} for kind, value in best]}


def _common(one, other):
    """The common beginning of two strings."""
    for left, right in zip(one, other):
        if left != right:
            return
        yield left


def _ascii(value):
    """Bytes as text; what is not ASCII becomes a character that no host has."""
    return value.decode("ascii", errors="replace")


def _refusal(denied, shown):
    """The Decision that a _Denied stands for."""
    return Decision(False, denied.rule, denied.reason, denied.hint, denied.nearest, denied.ask, **shown)


def malformed(reason, host=""):
    """The Decision about a head that the strict parser refused, in a tunnel to `host` or before any."""
    return Decision(False, "head", reason, "send plain HTTP/1.1", host=host, port=443 if host else 0)


def gone(host):
    """The Decision about a request in a tunnel that a reload has ended."""
    return Decision(False, "host", "what this tunnel was for is no longer allowed", _ASK, host=host)


def failure():
    """The Decision when the proxy itself has failed: deny."""
    return Decision(False, "internal", "the egress proxy could not judge this request",
                    "try again; if it persists, tell the owner of this bottle")


def body_of(decision):
    """The JSON body of a denial, as bytes; everything in it is ASCII and of bounded length."""
    shown = {
        "error": "blocked by bottler egress",
        "rule": decision.rule,
        "reason": decision.reason,
        "host": decision.host[:255],
        "method": decision.method,
        "path": decision.path[:1024],
        "nearest": decision.nearest,
        "ask": decision.ask,
        "hint": decision.hint,
    }
    return (json.dumps(shown) + "\n").encode("ascii")


def allowlist(table: Table, digest: str, generation: str):
    """What the introspection shows: the table in memory, without credentials and their slots."""
    return {
        "routes_sha256": digest,
        "generation": generation,
        "routes": [_shown(route) for route in table.routes.values()],
    }


def _shown(route):
    """One route of the introspection."""
    shown = {"host": route.host, "port": 443, "credential": "added by the proxy" if route.scheme else "none"}
    if route.matches:
        shown["matches"] = [
            {
                key: value
                for key, value in (
                    ("paths", [{"type": kind, "value": path} for kind, path in match.paths]),
                    ("methods", list(match.methods)),
                    ("headers", [{"name": name.decode(), "value": value.decode()} for name, value in match.headers]),
                )
                if value
            }
            for match in route.matches
        ]
    return shown

# SPDX-License-Identifier: Apache-2.0
"""The mitmproxy addon: carries heads to the policy and answers back. It decides nothing itself.

Every hook is closed: an exception in it denies. A request is judged in `requestheaders`, before any
byte of it goes upstream; `http_connect` judges the host before anybody resolves it.
"""
import asyncio
import functools
import json
import os
import resource
import signal

from mitmproxy import http
from mitmproxy.proxy import layers

import activity
import canary
import drain
import forward
import policy
import routes
import shims
import store
from head import Head, HeadError, body_size, merged
from jsonlog import emit
from redact import StreamMasker

MAX_CLIENTS = 512  # fewer where the process may not open that many files
FILES_OF_A_CLIENT = 2
FILES_OF_OUR_OWN = 64
SPARE_CLIENTS = 16  # that only the proxy itself can use, for its canary
UPSTREAM_DEADLINE = 30.0  # seconds until pipelock has let a tunnel through and the upstream has shown its certificate
STREAM_ABOVE = 1 << 16
EXIT_BROKEN = 70
LINGER = 0.05  # seconds between an answer and the end of a connection that mitmproxy leaves open
_MARK = "bottler"
_TUNNEL = "bottler_tunnel"
_MASKER = "bottler-masker"  # that of the request, since a reload can change the credentials meanwhile


def closed(on_failure):
    """Makes a hook fail closed: an exception is logged by its type alone, and `on_failure(data)` denies."""

    def wrap(hook):
        @functools.wraps(hook)
        def guarded(self, data):
            try:
                return hook(self, data)
            except Exception as error:  # pylint: disable=broad-except
                emit("error", where=hook.__name__, error=type(error).__name__)
                return on_failure(data)

        return guarded

    return wrap


def _deny_flow(flow):
    """A flow that could not be judged is denied."""
    _answer(flow, policy.failure())


def _kill_flow(flow):
    """A flow that could not be finished is cut off."""
    if flow.killable:
        flow.kill()


def _no_tls(data):
    """A handshake that could not be judged does not happen."""
    data.ssl_conn = None


def _no_server(data):
    """A connection that could not be judged is not made."""
    data.server.error = "refused"


def _no_client(client):
    """A client that could not be judged is not served."""
    client.error = "refused"


def _answer(flow, decision):
    """Answers a flow in place of the upstream."""
    flow.request.stream = False
    flow.request.headers.pop("Expect", None)  # or mitmproxy would ask for the body first
    flow.metadata[_MARK] = "denied"
    headers = {
        "Content-Type": "application/json",
        "Cache-Control": "no-store",
        "X-Bottler-Denied": decision.rule.partition("[")[0],
    }
    if flow.request.method.upper() == "CONNECT":
        headers["Connection"] = "close"
    flow.response = http.Response.make(decision.status, policy.body_of(decision), headers)
    if flow.request.method.upper() == "CONNECT":
        flow.response.reason = f"Forbidden by bottler egress: {decision.reason}"  # all that most clients show of it


def _has_body(flow):
    """Whether a body can follow the head of this response."""
    return flow.request.method.upper() != "HEAD" and flow.response.status_code not in (204, 304)


def _is_encoded(headers):
    """Whether some field says that the body is not the plain bytes, whatever spelling of its name a client accepts."""
    for name, value in headers.fields:
        plain, said = merged(name), value.strip(b" \t").lower()
        if plain == b"contentencoding" and said not in (b"", b"identity"):
            return True
        if plain == b"transferencoding" and said not in (b"", b"identity", b"chunked"):
            return True
    return False


def max_clients():
    """How many clients the process can serve with the files that it may have open."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files == resource.RLIM_INFINITY:
        return MAX_CLIENTS
    return max(1, min(MAX_CLIENTS, (files - FILES_OF_OUR_OWN) // FILES_OF_A_CLIENT - SPARE_CLIENTS))


class Egress:
    """The state of one proxy process: its policy and its clients' tunnels."""

    name = "bottler-egress"

    def __init__(self, directory, upstream, listen, leave):
        """`directory`: where the controller's files are; `upstream`, `listen`: (host, port); `leave(code)` ends the process."""
        self.directory, self.upstream, self.listen = directory, upstream, listen
        self.policy = store.Policy()
        self.tunnels = {}
        self.clients = {}
        self.activity = activity.Activity()
        self.drain = drain.Drain(self, leave)
        self.max_clients = max_clients()
        self._full = False
        self._deadlines = {}  # of the upstream connection that is being made, by the client's id
        self.pending_reload = False
        self._canary_lock = asyncio.Lock()
        self._tasks = set()

    # -- the table --------------------------------------------------------------------------------

    def reload(self):
        """Reads the controller's files; on any error the last good policy stays. True when loaded."""
        try:
            fresh = store.load(self.directory)
        except store.Rejected as error:
            emit("routes_rejected", routes_sha256=error.digest, error=error.args[0])
            return False
        except Exception as error:  # pylint: disable=broad-except
            emit("routes_rejected", routes_sha256="", error=f"unexpected {type(error).__name__}")
            return False
        self.policy = fresh
        # Before it is told: the controller writes the next files only after that.
        store.forget(self.directory, fresh.table)
        self._cut_revoked()
        emit("routes_loaded", routes_sha256=fresh.digest, generation=fresh.generation, routes=len(fresh.table.routes))
        return True

    def _cut_revoked(self):
        """Closes the tunnels to what the table no longer allows: a host, or the request that is under way."""
        table = self.policy.table
        for client, tunnel in list(self.tunnels.values()):
            known = tunnel.host in table.routes
            if not known or tunnel.head and not policy.decide_inside(tunnel.head, tunnel, table).allow:
                tunnel.revoked = True
                shims.close_client(client)

    def running(self):
        """The proxy listens: take signals, prove that it denies."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self.hangup)
        loop.add_signal_handler(signal.SIGTERM, self.drain.begin)
        self.activity.start()
        if self.pending_reload:
            self.pending_reload = False
            self.reload()
        self._prove()

    def hangup(self):
        """SIGHUP. Nobody can ask a proxy that drains, the canary neither."""
        if self.reload() and not self.drain.begun:
            self._prove()

    def _prove(self):
        """Starts the canary for the policy of this moment."""
        task = asyncio.get_running_loop().create_task(self._canary(self.policy.generation))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _canary(self, generation):
        """One canary at a time; a proxy that does not deny it ends."""
        async with self._canary_lock:
            refused = await canary.denied(*self.listen)
        emit("canary", verdict="denied" if refused else "open", generation=generation)
        if not refused:
            os._exit(EXIT_BROKEN)

    # -- connections ------------------------------------------------------------------------------

    @closed(_no_client)
    def client_connected(self, client):
        """Bounds the number of clients; the canary's own connection always gets in."""
        spare = SPARE_CLIENTS if self._is_own(client) else 0
        if len(self.clients) >= self.max_clients + spare:
            client.error = "too many connections"
            if not self._full:
                self._full = True  # said once, until it has passed
                self._log(policy.Decision(False, "connections", "too many connections at once", status=0))
            return
        self.clients[client.id] = client

    def _is_own(self, client):
        """Whether a client is this very process, which asks itself for the canary."""
        return client.peername[0] == self.listen[0]

    def client_disconnected(self, client):
        """Forgets a client."""
        self.clients.pop(client.id, None)
        self.tunnels.pop(client.id, None)
        self.activity.end(client.id)
        self._in_time(client)
        if len(self.clients) < self.max_clients // 2:
            self._full = False

    @closed(_no_server)
    def server_connect(self, data):
        """There is one server: pipelock. It is not connected to for who has gone, or has just been cut off."""
        if tuple(data.server.address[:2]) != self.upstream:
            emit("error", where="server_connect", error="connection past the upstream proxy")
            data.server.error = "refused"
            return
        self._in_time(data.client)
        tunnel = self._tunnel(data.client)
        if data.client.id not in self.clients or tunnel is not None and tunnel.revoked:
            data.server.error = "refused"
            return
        self._deadlines[data.client.id] = asyncio.get_running_loop().call_later(
            UPSTREAM_DEADLINE, self._too_late, data.client)

    def tls_established_server(self, data):
        """The upstream is there."""
        self._in_time(data.context.client)

    def _in_time(self, client):
        """No upstream connection of this client is waited for any more."""
        waiting = self._deadlines.pop(client.id, None)
        if waiting:
            waiting.cancel()

    def _too_late(self, client):
        """The upstream connection of a client is given up; the agent gets a 502."""
        self._deadlines.pop(client.id, None)
        emit("error", where="upstream", error="no answer in time")
        shims.close_servers(client)

    def next_layer(self, nextlayer):
        """Lets only the layers through that the bottle needs: HTTP, CONNECT, TLS once, HTTP."""
        try:
            wrong = self._wrong_layer(nextlayer)
        except Exception as error:  # pylint: disable=broad-except
            emit("error", where="next_layer", error=type(error).__name__)
            wrong = policy.failure()
        if wrong:
            self._log(wrong)
            nextlayer.layer = shims.refuse_layer(nextlayer.context, policy.body_of(wrong), wrong.rule)

    def _wrong_layer(self, nextlayer):
        """The denial of what follows on this connection, or None when it may follow (or is not known yet)."""
        chosen = nextlayer.layer
        if chosen is None or len(nextlayer.context.layers) <= shims.PROXY_LAYERS:
            return None
        tunnel = self._tunnel(nextlayer.context.client)
        if tunnel is not None and not tunnel.hello:
            if isinstance(chosen, layers.ServerTLSLayer):
                return None
            if nextlayer.data_client() in (b"", b"\x16", b"\x16\x03"):
                nextlayer.context.layers.remove(chosen)  # too little yet to be told from TLS (9 and later do not wait)
                nextlayer.layer = None
                return None
            reason = "the tunnel does not carry TLS"
            return policy.Decision(False, "not-tls", reason, "speak TLS after CONNECT", host=tunnel.host, method="")
        if isinstance(chosen, layers.HttpLayer) and shims.looks_like_http(nextlayer.data_client()):
            return None
        host = tunnel.host if tunnel else ""
        return policy.Decision(False, "not-http", "the connection does not carry HTTP/1.1", "use HTTP",
                               host=host, port=443 if host else 0)

    # -- TLS with the agent -----------------------------------------------------------------------

    def tls_clienthello(self, data):
        """Notes the server name; the certificate is for a plain name only."""
        client = data.context.client
        tunnel = self._tunnel(client)
        if tunnel is None or tunnel.hello:
            return
        tunnel.hello = True
        tunnel.sni = client.sni
        name = (client.sni or "").lower()
        if name == tunnel.host or policy.split_authority(name) != (name, None):
            client.sni = tunnel.host

    @closed(_no_tls)
    def tls_start_client(self, data):
        """TLS happens inside an allowed CONNECT, once."""
        tunnel = self._tunnel(data.context.client)
        if tunnel is None or tunnel.tls or not tunnel.hello:
            data.ssl_conn = None

    def tls_established_client(self, data):
        """The handshake is finished."""
        tunnel = self._tunnel(data.context.client)
        if tunnel is not None and tunnel.hello:
            tunnel.tls = True

    def _tunnel(self, client):
        """The Tunnel of a client, also of one that has just gone; None before its CONNECT was allowed."""
        return getattr(client, _TUNNEL, None)

    # -- requests ---------------------------------------------------------------------------------

    @closed(_deny_flow)
    def http_connect(self, flow):
        """Judges the host before anybody resolves it."""
        head = self._head(flow)
        if isinstance(head, HeadError):
            decision = policy.malformed(head.args[0])
        elif self._tunnel(flow.client_conn) is not None:
            decision = policy.malformed("a CONNECT inside a tunnel")
        else:
            decision = policy.decide_connect(head, self.policy.table)
        if not decision.allow:
            self._deny(flow, decision)
            return
        flow.request.data.host = decision.host
        flow.request.data.port = decision.port
        flow.metadata[_MARK] = "allowed"
        tunnel = policy.Tunnel(decision.host)
        setattr(flow.client_conn, _TUNNEL, tunnel)
        if flow.client_conn.id in self.clients:  # it can have gone meanwhile
            self.tunnels[flow.client_conn.id] = (flow.client_conn, tunnel)
            self.activity.begin(flow.client_conn.id)

    def http_connect_upstream(self, flow):
        """Only the host of an allowed CONNECT is asked of pipelock. Anything else is a broken proxy.

        Where a reload has just taken the host away, pipelock is asked for what nobody allows: this hook has no other refusal.
        """
        tunnel = self._tunnel(flow.client_conn)
        if tunnel is None or (flow.request.host, flow.request.port) != (tunnel.host, 443):
            raise AssertionError("upstream CONNECT without a tunnel")
        host = routes.CANARY_HOST if tunnel.revoked else tunnel.host
        flow.request.authority = f"{host}:443"
        flow.request.headers["Host"] = f"{host}:443"

    @closed(_deny_flow)
    def requestheaders(self, flow):
        """The decision."""
        head = self._head(flow)
        tunnel = self._tunnel(flow.client_conn)
        if isinstance(head, HeadError):
            self._deny(flow, policy.malformed(head.args[0], tunnel.host if tunnel else ""))
        elif tunnel is None:
            self._outside(flow, head)
        elif tunnel.revoked:
            self._deny(flow, policy.gone(tunnel.host))
        else:
            self._inside(flow, head, tunnel)

    def _outside(self, flow, head):
        """A request to the proxy port itself."""
        decision = policy.decide_outside(head, self.policy.table)
        if not decision.allow:
            self._deny(flow, decision)
            return
        now = self.policy
        shown = {"error": "no such page"}
        if decision.status == 200:
            shown = policy.allowlist(now.table, now.digest, now.generation)
        self._log(decision)
        flow.metadata[_MARK] = "denied"
        headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        flow.response = http.Response.make(decision.status, (json.dumps(shown, indent=1) + "\n").encode(), headers)

    def _inside(self, flow, head, tunnel):
        """A request in a tunnel: denied, or written anew for the upstream."""
        now = self.policy
        decision = policy.decide_inside(head, tunnel, now.table)
        if not decision.allow:
            self._deny(flow, decision)
            return
        request, route = flow.request, decision.route
        if (request.scheme, request.host, request.port) != ("https", route.host, 443):
            raise AssertionError("the proxy has another target in mind")
        token = now.tokens[route.slot] if route.slot else b""
        fields = forward.upstream_fields(head, route.host, route.scheme, token)
        request.headers = http.Headers(fields)
        request.data.method = head.method.encode()
        request.data.path = head.target.encode()
        request.data.authority = b""
        size = body_size(head)
        request.stream = size is None or size > STREAM_ABOVE
        tunnel.head = head
        if flow.client_conn.id in self.clients:
            self.activity.begin(flow.client_conn.id)
        flow.metadata[_MARK] = "credentialed" if route.scheme else "allowed"
        flow.metadata[_MASKER] = now.masker
        self._log(decision)

    @closed(_deny_flow)
    def request(self, flow):
        """A request that nobody has judged does not leave."""
        if flow.response and flow.response.timestamp_end:  # it was answered before its end
            self.activity.end(flow.client_conn.id)
        if flow.metadata.get(_MARK) is None:
            _answer(flow, policy.failure())

    def _head(self, flow):
        """The head of a flow as our own parser has read it: a Head or a HeadError."""
        head = getattr(flow.request, shims.HEAD_ATTRIBUTE, None)
        if not isinstance(head, (Head, HeadError)):
            raise AssertionError("a request without a parsed head")
        return head

    def _deny(self, flow, decision):
        """Answers with the denial; nothing goes upstream."""
        _answer(flow, decision)
        if decision.host != routes.CANARY_HOST or not self._is_own(flow.client_conn):
            self._log(decision)

    def _log(self, decision):
        """The decision log: denials always, the rest from level 1."""
        if decision.allow and self.policy.table.log < 1:
            return
        emit("decision", verdict="allow" if decision.allow else "deny", rule=decision.rule, host=decision.host,
             port=decision.port, method=decision.method, path=decision.path, status=decision.status,
             reason=decision.reason)

    # -- responses --------------------------------------------------------------------------------

    @closed(_kill_flow)
    def responseheaders(self, flow):
        """Streams every response, masked where a credential was injected."""
        mark = flow.metadata.get(_MARK)
        if self.drain.begun:
            flow.response.headers["Connection"] = "close"
        if mark == "denied":
            return
        if mark is None or flow.response.status_code == 101:
            _kill_flow(flow)
            return
        flow.response.headers.pop("X-Bottler-Denied", None)
        if mark == "allowed":
            flow.response.stream = True
            return
        masker = flow.metadata[_MASKER]
        self._mask_head(flow.response, masker)
        if _has_body(flow) and _is_encoded(flow.response.headers):
            self._replace(flow)
            return
        flow.response.stream = StreamMasker(masker)

    @staticmethod
    def _mask_head(response, masker):
        """Masks the status text and the header fields of a response, and takes away its cookies.

        They would be a credential in the place of ours, good for other hosts of the same owner; here the agent's are left out.
        """
        fields = [(name, value) for name, value in response.headers.fields if b"cookie" not in merged(name)]
        response.headers = http.Headers([(masker.mask(name), masker.mask(value)) for name, value in fields])
        response.data.reason = masker.mask(response.data.reason)

    def _replace(self, flow):
        """An encoded body cannot be searched for the credential: the agent gets an explanation instead."""
        decision = policy.Decision(
            False, "response-encoding", "the upstream sent an encoded body although none was asked for",
            "the proxy cannot search it for the credential it adds", host=flow.request.host,
            method=flow.request.method, path=flow.request.path.partition("?")[0], status=502)
        self._log(decision)
        body = policy.body_of(decision)
        flow.response.status_code, flow.response.data.reason = 502, b"Bad Gateway"
        flow.response.headers = http.Headers([
            (b"Content-Type", b"application/json"), (b"Content-Length", str(len(body)).encode()),
            (b"X-Bottler-Denied", decision.rule.encode()), (b"Connection", b"close")])
        flow.response.stream = shims.once(body)

    @closed(_kill_flow)
    def response(self, flow):
        """Denies what mitmproxy answered without asking, ends a denied CONNECT, drops trailers."""
        mark = flow.metadata.get(_MARK)
        tunnel = self._tunnel(flow.client_conn)
        if tunnel is not None:
            tunnel.head = None
        if mark in (None, "denied") or flow.request.timestamp_end:  # else its body still comes
            self.activity.end(flow.client_conn.id)
        if mark is None:
            self._deny(flow, policy.malformed("a request that cannot be made here"))
        if mark != "allowed" and flow.request.method.upper() == "CONNECT":
            asyncio.get_running_loop().call_later(LINGER, shims.close_client, flow.client_conn)
        if mark == "credentialed" and flow.response.trailers:
            flow.response.trailers = None

    def error(self, flow):
        """A request has ended in another way."""
        self.activity.end(flow.client_conn.id)

    # -- what never happens -----------------------------------------------------------------------

    @closed(_kill_flow)
    def websocket_start(self, flow):
        """WebSockets are not carried."""
        _kill_flow(flow)

    @closed(_kill_flow)
    def tcp_start(self, flow):
        """Raw TCP is not carried."""
        _kill_flow(flow)

    @closed(_kill_flow)
    def tcp_message(self, flow):
        """Raw TCP is not carried."""
        flow.messages[-1].content = b""
        _kill_flow(flow)

    if shims.LOG_EVENTS:

        def add_log(self, entry):
            """mitmproxy's own errors: noted, without their text, which can hold what the agent sent."""
            if entry.level == "error":
                emit("error", where="mitmproxy", error=shims.error_kind(entry.msg))

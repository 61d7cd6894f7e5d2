# SPDX-License-Identifier: Apache-2.0
"""The places where mitmproxy itself must behave otherwise. Each is installed once, at the start.

Seen with 8.1.1 and read in the sources of 11, 12 and 13: the names used here exist in all of them.
A name that is missing stops the start, save where a function says otherwise.
"""
import contextlib
import logging
import os
import re

import h11
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from mitmproxy import addonmanager, certs, ctx, exceptions, http, log
from mitmproxy.addons import proxyserver
from mitmproxy.net.http import http1
from mitmproxy.proxy import commands, events, layer, server
from mitmproxy.proxy.layers.http import _events, _http1, HttpStream

import bounds
import policy
from head import HeadError, parse_head
from jsonlog import emit

HEAD_ATTRIBUTE = "bottler_head"
EXIT_BROKEN = 70
PROXY_LAYERS = 1
LOG_EVENTS = not hasattr(log, "MitmLogHandler")  # before version 9, log lines are addon events
_HTTP_START = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}(?: |\Z)")


def install(interceptor):
    """Puts every shim in place. Raises AttributeError when mitmproxy has changed under our feet.

    `interceptor`: the name that pipelock's CA signs with.
    """
    _one_exchange(interceptor)
    _strict_safecall()
    _strict_heads()
    _json_errors()
    bounds.install()
    _bodies()
    _answers_to_head()
    _crashes()
    _no_trailers()
    _authority_key_identifiers()
    _quiet_logging()


def _strict_safecall():
    """An exception that leaves a hook ends the process instead of letting the request through."""

    @contextlib.contextmanager
    def safecall():
        try:
            yield
        except (exceptions.AddonHalt, exceptions.OptionsError):
            raise
        except Exception as error:  # pylint: disable=broad-except
            emit("error", where="hook", error=type(error).__name__)
            os._exit(EXIT_BROKEN)

    if not callable(addonmanager.safecall):
        raise AttributeError("safecall")
    addonmanager.safecall = safecall


def _strict_heads():
    """Attaches to each request what our own parser makes of its raw head (a Head or a HeadError)."""
    original = http1.read_request_head

    def read_request_head(lines):
        try:
            request = original(lines)
        except ValueError:
            raise ValueError("the request head is malformed") from None
        try:
            parsed = parse_head(lines)
        except HeadError as error:
            parsed = error
        setattr(request, HEAD_ATTRIBUTE, parsed)
        return request

    http1.read_request_head = read_request_head


def _json_errors():
    """Errors that mitmproxy answers itself are JSON too, are logged, and repeat nothing of what was sent."""
    reasons = {
        400: "the request is not plain HTTP/1.1",
        413: "the request body is larger than the egress proxy takes",
        502: "the upstream did not answer, or refused the connection",
    }

    def make_error_response(status_code, message=""):
        rule, word = ("head", b"blocked by") if status_code < 500 else ("upstream", b"failed at")
        reason, hint = reasons.get(status_code, "the request failed"), ""
        if re.search(r"refused HTTP CONNECT request: 403\b", str(message)):
            status_code, rule, word = 403, "pipelock", b"blocked by"
            reason = "pipelock, the second proxy, does not allow this host"
            hint = "if the host was allowed just now, try again in some seconds"
        emit("decision", verdict="deny", rule=rule, host="", port=0, method="", path="",
             status=status_code, reason=reason)
        body = policy.body_of(policy.Decision(False, rule, reason, hint)).replace(b"blocked by", word, 1)
        headers = http.Headers(Connection="close", Content_Type="application/json")
        if status_code < 500:
            headers["X-Bottler-Denied"] = rule
        return http1.assemble_response(http.Response.make(status_code, body, headers))

    if not callable(_http1.make_error_response):
        raise AttributeError("make_error_response")
    _http1.make_error_response = make_error_response


def _bodies():
    """The body limit is for requests (responses are streamed). A denial does not wait for the body of what it denies:
    it is answered at once, and what still comes of the body is thrown away.
    """
    check, consume = HttpStream.check_body_size, HttpStream.state_consume_request_body
    begin, done = HttpStream.state_wait_for_request_headers, HttpStream.state_done

    def check_body_size(self, request):
        if not request:
            return False
        return (yield from check(self, request))

    def state_consume_request_body(self, event):
        if isinstance(event, _events.RequestData) and self.flow.response is not None:
            return
        yield from consume(self, event)

    def state_wait_for_request_headers(self, event):
        yield from begin(self, event)
        waits = self.client_state == self.state_consume_request_body and not event.end_stream
        if waits and self.flow.response is not None:
            self.flow.response.headers["Connection"] = "close"
            yield from self.client_state(_events.RequestEndOfMessage(self.stream_id))

    def state_done(self, event):
        if isinstance(event, (_events.RequestData, _events.RequestTrailers, _events.RequestEndOfMessage)):
            return
        yield from done(self, event)

    HttpStream.state_done = state_done
    HttpStream.check_body_size = check_body_size
    HttpStream.state_consume_request_body = state_consume_request_body
    HttpStream.state_wait_for_request_headers = state_wait_for_request_headers


def _answers_to_head():
    """An answer to HEAD has no body, whoever gives it."""
    original = _http1.Http1Server.send

    def send(self, event):
        if isinstance(event, _events.ResponseData) and self.request and self.request.method.upper() == "HEAD":
            return
        yield from original(self, event)

    _http1.Http1Server.send = send


def _crashes():
    """A connection whose handling has ended in an exception is closed: nobody knows what it would do next."""
    handler = getattr(proxyserver, "ProxyConnectionHandler", server.ConnectionHandler)  # the latter from version 9 on
    original = handler.log

    def note(self, message, *args, **kwargs):
        original(self, message, *args, **kwargs)
        if str(message).startswith("mitmproxy has crashed"):
            for connection, transport in list(self.transports.items()):
                if transport.handler:
                    self.close_connection(connection)

    handler.log = note


def _one_exchange(interceptor):
    """A tunnel in which pipelock terminates TLS carries one request: it ends them soon after the first response, and a
    request that is on its way then would be lost. Tunnels to the upstream itself are used again.
    """
    original = _http1.Http1Client.mark_done

    def mark_done(self, *, request=False, response=False):
        yield from original(self, request=request, response=response)
        finished = self.request is None and self.response is None and self.state == self.read_headers
        shown = self.conn.certificate_list
        if finished and shown and shown[0].issuer == interceptor:
            yield commands.CloseConnection(self.conn)
            self.state = self.done

    _http1.Http1Client.mark_done = mark_done


def _no_trailers():
    """Trailers are dropped, as a proxy may; mitmproxy gives up in the middle of the message instead."""
    original = _http1.make_body_reader

    class Reader:
        """A body reader that ends without trailers."""

        def __init__(self, reader):
            self._reader = reader
            self.read_eof = reader.read_eof

        def __call__(self, buf):
            event = self._reader(buf)
            return h11.EndOfMessage() if isinstance(event, h11.EndOfMessage) else event

    _http1.make_body_reader = lambda size: Reader(original(size))


def _authority_key_identifiers():
    """Leaf certificates carry an Authority Key Identifier: before 10.1.2 they lack it, and strict clients refuse them."""
    original = certs.dummy_cert
    if "AuthorityKeyIdentifier" in original.__code__.co_names:
        return

    def dummy_cert(privkey, cacert, *args, **kwargs):
        leaf = original(privkey, cacert, *args, **kwargs)._cert
        builder = x509.CertificateBuilder(
            issuer_name=leaf.issuer, subject_name=leaf.subject, public_key=leaf.public_key(),
            serial_number=leaf.serial_number,
            not_valid_before=leaf.not_valid_before, not_valid_after=leaf.not_valid_after)
        for extension in leaf.extensions:
            builder = builder.add_extension(extension.value, extension.critical)
        builder = builder.add_extension(_key_identifier(cacert), critical=False)
        return certs.Cert(builder.sign(private_key=privkey, algorithm=hashes.SHA256()))

    certs.dummy_cert = dummy_cert


def _key_identifier(cacert):
    """The Authority Key Identifier that names `cacert`."""
    try:
        subject = cacert.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(cacert.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(subject.value)


def _quiet_logging():
    """Python's logging writes nothing of its own; errors are noted by their kind alone."""

    class Handler(logging.Handler):
        """Turns an error record into an event without its text."""

        def emit(self, record):
            cause = record.exc_info[0] if record.exc_info else None
            emit("error", where=record.name, error=cause.__name__ if cause else error_kind(str(record.msg)))

    root = logging.getLogger()
    root.handlers[:] = [Handler(level=logging.ERROR)]
    logging.lastResort = None


def error_kind(text):
    """A word for an error text of mitmproxy: the type of the exception in it, or `error`."""
    found = re.findall(r"^([A-Za-z_][A-Za-z0-9_.]{0,80}(?:Error|Exception))\b", text, re.MULTILINE)
    if found:
        return found[-1]
    return "no TLS context" if text.startswith(("No TLS context", "No ")) and "context" in text else "error"


def looks_like_http(data):
    """Whether the first bytes of a connection can begin a request line."""
    return _HTTP_START.match(data) is not None


class _Refuse(layer.Layer):
    """A layer that answers once and closes."""

    def __init__(self, context, answer):
        super().__init__(context)
        self._answer = answer

    def _handle_event(self, event):
        if isinstance(event, events.Start):
            yield commands.SendData(self.context.client, self._answer)
            yield commands.CloseConnection(self.context.client)


def refuse_layer(context, body, rule):
    """The layer that answers with a 403 and closes the client's connection."""
    head = f"HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nX-Bottler-Denied: {rule}\r\n"
    head += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return _Refuse(context, head.encode("ascii") + body)


def once(body):
    """A body filter that replaces the whole upstream body by `body`."""
    rest = [body]

    def replace(_chunk):
        sent, rest[:] = rest[:], []
        return sent

    return replace


def stop_listening():
    """Has mitmproxy close its listening socket, soon."""
    ctx.options.update(server=False)


def close_client(client):
    """Closes a client's connection, after what was written to it. Nothing happens when it is gone."""
    handler = _handler_of(client)
    if handler and client in handler.transports:
        handler.close_connection(client)


def close_servers(client):
    """Closes the connections that were made, or are being made, for a client."""
    handler = _handler_of(client)
    for connection in list(handler.transports if handler else ()):
        if connection is not client:
            handler.close_connection(connection)


def _handler_of(client):
    """What mitmproxy serves a client with, or None when the client is gone."""
    addon = ctx.master.addons.get("proxyserver")
    handlers = getattr(addon, "connections", None) or getattr(addon, "_connections", {})
    return next((one for one in list(handlers.values()) if getattr(one, "client", None) is client), None)

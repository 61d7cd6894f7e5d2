# SPDX-License-Identifier: Apache-2.0
"""Bounds that mitmproxy does not have: how much of what a peer sends is kept before it is understood or passed on.

Each is installed once, at the start, as those in shims.py are. Whoever goes past one loses the connection;
who sends faster than the upstream takes it is made to wait.
"""
import asyncio
import collections
import re

from mitmproxy.proxy import commands, events, layer, server
from mitmproxy.proxy.layers import tls
from mitmproxy.proxy.layers.http import _http1, _upstream_proxy

from head import MAX_HEAD
from jsonlog import emit

MAX_HELLO = 1 << 16
MAX_RESPONSE_HEAD = 1 << 18
MAX_PIPELINED = 1 << 16
MAX_WAITING = 1 << 16  # bytes from one client that wait for its upstream
_EVENT = 256  # what an event costs beside its bytes
_HEAD_END = re.compile(rb"\n\r?\n")
_BARE_FEED = re.compile(rb"(?<!\r)\n")
_INTERIM = re.compile(rb"HTTP/1\.[01] 1(?!01)[0-9]{2}[ \r\n]")
_GATE = "bottler_gate"


def install():
    """Puts every bound in place. Raises AttributeError when mitmproxy has changed under our feet."""
    _request_heads()
    _response_heads()
    _bodies()
    _pipelined()
    _hellos()
    _waiting()
    _sockets()


def _request_heads():
    """A head that does not end is refused instead of being collected, and so is one whose lines end in a bare line feed."""
    shim = _http1.Http1Server
    original = shim.read_headers

    def read_headers(self, event):
        wrong = self.buf and _wrong_lines(self.buf)
        if not wrong:
            yield from original(self, event)
            if self.state == self.read_headers and len(self.buf) > MAX_HEAD:
                wrong = "the request head is too long"
        if wrong:
            yield commands.SendData(self.conn, _http1.make_error_response(400, wrong))
            yield commands.CloseConnection(self.conn)
            _forget(self)

    shim.read_headers = read_headers


def _wrong_lines(buffer):
    """What is wrong with the line ends of a head that is whole, or None. An empty line before it is taken out."""
    data = bytes(buffer)
    if data.startswith(b"\r\n"):
        buffer.maybe_extract_at_most(2)
        data = data[2:]
    end = _HEAD_END.search(data)
    if data.startswith(b"\n") or end and _BARE_FEED.search(data, 0, end.end()):
        return "a line of the head ends in a bare line feed"
    return None


def _response_heads():
    """The same for what the upstream answers, to a CONNECT as well. Interim responses are dropped: they are no answer."""
    client = _http1.Http1Client
    original = client.read_headers

    def read_headers(self, event):
        if isinstance(event, events.DataReceived) and self.request:
            while _INTERIM.match(bytes(self.buf)) and self.buf.maybe_extract_lines():
                pass
        yield from original(self, event)
        if self.state == self.read_headers and len(self.buf) > MAX_RESPONSE_HEAD:
            yield from _protocol_error(self, "the head of the response is too long")

    client.read_headers = read_headers
    proxy = _upstream_proxy.HttpUpstreamProxy
    original_handshake = proxy.receive_handshake_data

    def receive_handshake_data(self, data):
        if len(self.buf) > MAX_RESPONSE_HEAD:
            return False, "the upstream proxy's answer is too long"
        return (yield from original_handshake(self, data))

    proxy.receive_handshake_data = receive_handshake_data


def _bodies():
    """Between the parts of a body (sizes of chunks, trailers) no more is kept than a head may have."""
    shim = _http1.Http1Connection
    original = shim.read_body

    def read_body(self, event):
        yield from original(self, event)
        if self.state == self.read_body and len(self.buf) > MAX_HEAD:
            yield from _protocol_error(self, "the framing of the body is too long")

    shim.read_body = read_body


def _protocol_error(connection, text):
    """Ends a connection over a message that cannot be right."""
    yield commands.CloseConnection(connection.conn)
    kind = connection.ReceiveProtocolError
    yield _http1.ReceiveHttp(kind(connection.stream_id, text, kind.code))
    _forget(connection)


def _forget(connection):
    """Nothing more is read from a connection."""
    connection.buf.maybe_extract_at_most(len(connection.buf))
    connection.state = connection.done


def _pipelined():
    """Requests in advance, while one is under way, are few."""
    shim = _http1.Http1Server
    original = shim.wait

    def wait(self, event):
        yield from original(self, event)
        if len(self.buf) > MAX_PIPELINED:
            yield commands.CloseConnection(self.conn)
            _forget(self)

    shim.wait = wait


def _hellos():
    """A ClientHello is one that a client would send, not the 16 MiB that its length field can say."""
    shim = tls.ClientTLSLayer
    original = shim.receive_handshake_data

    def receive_handshake_data(self, data):
        if not self.client_hello_parsed and len(self.recv_buffer) + len(data) > MAX_HELLO:
            self.recv_buffer.clear()
            return False, "Cannot parse ClientHello: too long"
        return (yield from original(self, data))

    shim.receive_handshake_data = receive_handshake_data


def _waiting():
    """While something waits for the upstream, no more is read from the agent than a little.

    mitmproxy queues what arrives meanwhile, without end.
    """
    prepare = layer.Layer.__init__

    def __init__(self, context):
        prepare(self, context)
        if type(self._paused_event_queue) is not collections.deque:
            raise AttributeError("_paused_event_queue")
        self._paused_event_queue = _Queue(_gate(context.client))

    handle = server.ConnectionHandler.handle_connection

    async def handle_connection(self, connection):
        if connection is self.client:
            transport = self.transports[connection]
            transport.reader = _Patient(transport.reader, _gate(connection))
        await handle(self, connection)

    layer.Layer.__init__ = __init__
    server.ConnectionHandler.handle_connection = handle_connection


def _sockets():
    """A connection that is done with is closed, however its handling ended.

    8.1.1 leaves that of a peer which closed its side first to the collector, and what an exception says, too.
    """
    handle = server.ConnectionHandler.handle_client

    async def handle_client(self):
        try:
            await handle(self)
        finally:
            for transport in self.transports.values():
                if transport.writer:
                    transport.writer.close()
                task = transport.handler
                if task and task.done() and not task.cancelled() and task.exception():
                    emit("error", where="connection", error=type(task.exception()).__name__)

    server.ConnectionHandler.handle_client = handle_client


class _Gate:
    """Open while little waits for an upstream on behalf of one client."""

    def __init__(self):
        self.open = asyncio.Event()
        self.open.set()
        self._waiting = 0

    def change(self, size):
        """So much more waits; less, when negative."""
        self._waiting += size
        if self._waiting > MAX_WAITING:
            self.open.clear()
        else:
            self.open.set()


def _gate(client):
    """The gate of a client."""
    if not hasattr(client, _GATE):
        setattr(client, _GATE, _Gate())
    return getattr(client, _GATE)


class _Queue(collections.deque):
    """The events that wait for a layer."""

    def __init__(self, gate):
        super().__init__()
        self._gate = gate

    def append(self, event):
        """One more waits."""
        super().append(event)
        self._gate.change(_cost(event))

    def popleft(self):
        """The first one no longer waits."""
        event = super().popleft()
        self._gate.change(-_cost(event))
        return event


def _cost(event):
    """The bytes of memory that an event takes, about."""
    data = getattr(event, "data", b"")
    return _EVENT + (len(data) if isinstance(data, (bytes, bytearray)) else 0)


class _Patient:
    """A reader that reads while its gate is open."""

    def __init__(self, reader, gate):
        self._reader, self._gate = reader, gate

    async def read(self, size):
        """Some bytes, at most `size`; none at the end."""
        await self._gate.open.wait()
        return await self._reader.read(size)

# SPDX-License-Identifier: Apache-2.0
"""The end of the proxy on SIGTERM: it takes nobody new, finishes what is under way, and ends.

A proxy that is relieved by another one ends like this. A second SIGTERM ends it at once, and so does whoever kills it
because that takes too long.
"""
import asyncio
import contextlib
import ctypes
import os
import socket
import struct
from pathlib import Path

import shims
from jsonlog import emit

TICK = 0.05  # seconds between two looks
STAY = 2.0  # seconds that it goes on taking connections, see Drain
HANDSHAKE = 0.02  # seconds until connections that were being made are made
SILENCE = 1.0  # seconds that a new client has to say what it wants
EXIT_BROKEN = 70
# States of /proc/net/tcp.
LISTENS = "0A"
DELIVERED = {"05", "06", "07", LISTENS}  # FIN_WAIT2, TIME_WAIT, CLOSE: the other end has all, or can't be given any more


SO_ATTACH_FILTER = 26
# For the packets of a listening socket: flags = byte 13 of the TCP header; & (SYN | ACK); == SYN: dropped; else taken.
NO_SYN = struct.pack("HBBI" * 5, 0x30, 0, 0, 13, 0x54, 0, 0, 0x12, 0x15, 0, 1, 0x02, 6, 0, 0, 0, 6, 0, 0, 0xFFFFFFFF)


class Drain:
    """What the clients of `egress` have under way is finished; then `leave(code)` ends the process.

    At first new connections are still taken: a client that has tried the relief just before that listened comes here next, and
    curl is up to a second on the way between two addresses of a name.
    """

    def __init__(self, egress, leave):
        self.begun = False
        self._egress, self._leave = egress, leave
        self._task = None

    def begin(self):
        """SIGTERM."""
        if self.begun:
            self._leave(0)
        self.begun = True
        self._task = asyncio.get_running_loop().create_task(self._finish())
        self._task.add_done_callback(self._finished)

    def _finished(self, task):
        """There is nothing left to wait for, or the waiting has failed."""
        error = task.exception()
        if error:
            emit("error", where="drain", error=type(error).__name__)
        self._leave(EXIT_BROKEN if error else 0)

    async def _finish(self):
        """Returns when everybody has everything."""
        emit("draining", in_flight=self._egress.activity.in_flight())
        await asyncio.sleep(STAY)
        await self._close()
        now = asyncio.get_running_loop().time
        patience, idle = now() + SILENCE, []
        while True:
            await asyncio.sleep(TICK)
            before, idle = idle, [one for one in self._egress.clients.values() if self._is_idle(one, now() < patience)]
            for client in idle:
                if client in before:  # the end of an answer is written a moment after its request is over
                    shims.close_client(client)
            if not self._egress.clients and self._states() <= DELIVERED:
                return

    async def _close(self):
        """Takes no new connection, and resets none that the kernel has taken already.

        Who begins to connect right now tries again after a second, and is refused then.
        """
        program = ctypes.create_string_buffer(NO_SYN, len(NO_SYN))
        for listener in _listeners():
            with contextlib.suppress(OSError):
                listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", 5, ctypes.addressof(program)))
        await asyncio.sleep(HANDSHAKE)
        shims.stop_listening()
        while LISTENS in self._states():
            await asyncio.sleep(0)

    def _is_idle(self, client, patient):
        """Whether nothing is under way for a client, and nothing more is waited for."""
        silent = client.id not in self._egress.tunnels
        return not self._egress.activity.is_busy(client.id) and not (silent and patient)

    def _states(self):
        """The kernel's states of all connections with our port at this end."""
        port = f":{self._egress.listen[1]:04X}"
        lines = Path("/proc/self/net/tcp").read_text(encoding="ascii").splitlines()[1:]
        return {state for _, local, _, state, *_ in map(str.split, lines) if local.endswith(port)}


def _listeners():
    """The listening sockets of this process, each only until the next one."""
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            sock = socket.socket(fileno=int(name))
            try:
                if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    yield sock
            finally:
                sock.detach()

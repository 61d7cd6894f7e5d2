# SPDX-License-Identifier: Apache-2.0
"""The canary: the proxy asks itself, over its own listening socket, for what no table allows."""
import asyncio

from routes import CANARY_HOST

TIMEOUT = 10.0


async def denied(host, port):
    """Whether the proxy that listens at (host, port) refuses the canary in the way only ours does."""
    try:
        return await asyncio.wait_for(_ask(host, port), TIMEOUT)
    except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return False


async def _ask(host, port):
    """One CONNECT, and whether its answer is our 403."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(f"CONNECT {CANARY_HOST}:443 HTTP/1.1\r\nHost: {CANARY_HOST}:443\r\n\r\n".encode())
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()
    status, *fields = head.lower().split(b"\r\n")
    return status.split(b" ")[1:2] == [b"403"] and b"x-bottler-denied: host" in fields

# SPDX-License-Identifier: Apache-2.0
"""What the controller has put under /etc/bottler, read as one: routes, generation, tokens."""
import hashlib
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from jsonlog import emit
from redact import Masker
from routes import MAX_BYTES, RouteError, Table, parse_table

MAX_TOKEN = 8192
_GENERATION = re.compile(rb"[0-9a-f]{64}\n?")
_TOKEN = re.compile(rb"[\x21-\x7e]+")


@dataclass(frozen=True)
class Policy:
    """A table with the credentials it needs. The default one has no routes: everything is denied."""

    table: Table = field(default_factory=Table)
    digest: str = ""
    generation: str = ""
    tokens: dict = field(default_factory=dict, repr=False)
    masker: Optional[Masker] = None


class Rejected(Exception):
    """The files are not acceptable as a whole. `args[0]` says why, without any secret."""

    def __init__(self, reason, digest):
        super().__init__(reason)
        self.digest = digest


def load(directory):
    """The Policy in `directory` (a Path). Raises Rejected; nothing is ever half loaded."""
    digest = ""
    try:
        raw = _read(directory / "routes.yaml", MAX_BYTES)
        digest = hashlib.sha256(raw).hexdigest()
        table = parse_table(raw)
        generation = _read(directory / "generation", 128)
        if not _GENERATION.fullmatch(generation):
            raise RouteError("generation: must be one line of 64 hexadecimal digits")
        tokens = {slot: _token(directory, slot) for slot in table.slots}
    except RouteError as error:
        raise Rejected(error.args[0], digest) from None
    masker = Masker(sorted(set(tokens.values()))) if tokens else None
    return Policy(table, digest, generation.strip().decode(), tokens, masker)


def forget(directory, table):
    """Removes the credentials of slots that `table` does not name. What cannot be removed stays: it is of no use to anybody."""
    tokens = directory / "tokens"
    try:
        spare = sorted(name for name in os.listdir(tokens) if name not in table.slots)
        if not spare:
            return
        mode = stat.S_IMODE(os.stat(tokens).st_mode)
        os.chmod(tokens, mode | stat.S_IWUSR)
        try:
            for name in spare:
                os.unlink(tokens / name)
        finally:
            os.chmod(tokens, mode)
    except OSError as error:
        emit("error", where="tokens", error=error.strerror)


def _token(directory, slot):
    """The credential in a slot: visible ASCII, not empty."""
    value = _read(directory / "tokens" / slot, MAX_TOKEN)
    if not value:
        raise RouteError(f"{slot}: the token is empty")
    if not _TOKEN.fullmatch(value):
        raise RouteError(f"{slot}: the token holds a blank, control or non-ASCII byte")
    return value


def _read(path: Path, limit):
    """The bytes of a file of at most `limit` bytes."""
    try:
        with open(path, "rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise RouteError(f"{path.name}: {error.strerror}") from None
    if len(data) > limit:
        raise RouteError(f"{path.name}: longer than {limit} bytes")
    return data

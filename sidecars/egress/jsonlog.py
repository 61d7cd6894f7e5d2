# SPDX-License-Identifier: Apache-2.0
"""The log: one JSON object a line on standard output, ASCII, at most 4 KiB."""
import json
import os

MAX_LINE = 4096
_WATCH = {}


def line(event, **fields):
    """The line (bytes) of an event; long texts are cut until it fits."""
    limit = 1024
    while True:
        cut = {name: value[:limit] if isinstance(value, str) else value for name, value in fields.items()}
        encoded = json.dumps({"event": event, **cut}, ensure_ascii=True).encode("ascii") + b"\n"
        if len(encoded) <= MAX_LINE:
            return encoded
        if limit == 0:
            return json.dumps({"event": event}).encode("ascii") + b"\n"
        limit //= 2


def every(count, callback):
    """`callback` is called whenever `count` further lines have been written, the lines of `callback` itself among them."""
    _WATCH.update(count=count, left=count, callback=callback)


def emit(event, **fields):
    """Writes one event. A closed standard output is not an error: the decisions stand without it."""
    _write(line(event, **fields))
    if _WATCH:
        _WATCH["left"] -= 1
        if _WATCH["left"] <= 0:
            _WATCH["left"] = _WATCH["count"]
            _WATCH["callback"]()


def _write(data):
    """Writes bytes to standard output, as far as somebody takes them."""
    try:
        while data:
            data = data[os.write(1, data):]
    except OSError:
        pass

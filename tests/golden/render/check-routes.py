#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check-routes.py FILE…: the egress proxy's own reader accepts each rendered routes.yaml.

Needs ruamel.yaml, as mitmproxy does: with Debian's mitmproxy, run it with /usr/bin/python3.
"""
import sys
from pathlib import Path

sys.dont_write_bytecode = True
TOP = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(TOP / "sidecars" / "egress"))

from routes import RouteError, parse_table  # noqa: E402


def refused(raw):
    """The reader's words, or None when it accepts."""
    try:
        parse_table(raw)
    except RouteError as error:
        return error.args[0]
    return None


def main(files):
    """0 when every file is accepted, and a wrong one isn't."""
    if not files:
        sys.exit("usage: check-routes.py FILE…")
    if refused(b"routes: []\nno_such_key: 1\n") is None:
        sys.exit("check-routes: this reader accepts an unknown key")
    for name in files:
        raw = Path(name).read_bytes()
        why = refused(raw)
        if why is not None:
            sys.exit(f"check-routes: {name}: {why}")
        hosts = sum(line.startswith(b'- host: "') for line in raw.splitlines())
        if len(parse_table(raw).routes) != hosts:
            sys.exit(f"check-routes: {name}: read as another number of routes than {hosts}")
    print(f"check-routes: {len(files)} files accepted")


if __name__ == "__main__":
    main(sys.argv[1:])

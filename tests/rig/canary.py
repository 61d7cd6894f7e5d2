#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Where secrets are: searches files for canaries, in every spelling, and for their plain hashes.

usage: canary.py DIR PATH...

DIR holds one canary a file, so that none is an argument of anything. Every regular file at and below each PATH is
searched, byte by byte; symbolic links are not followed, `-` is standard input. Prints `NAME FORM PATH` for each find, and
last `searched N files, N bytes`.
"""
import base64
import hashlib
import os
import stat
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sniff import spellings  # noqa: E402

HASHES = ("md5", "sha1", "sha256", "sha512")


def forms(secret):
    """Byte strings that give a secret away, by name. Hexadecimal ones are in lower case."""
    out = {}
    for kind, wanted in spellings(secret).items():
        out.setdefault(wanted, kind)
        if kind.startswith("base64"):
            out.setdefault(wanted.replace(b"+", b"-").replace(b"/", b"_"), kind)
    out[secret.encode("utf-16-le")] = "utf-16"
    out[secret[::-1].encode()] = "reversed"
    for text in (secret, secret + "\n", "Bearer " + secret):
        for name in HASHES:
            digest = hashlib.new(name, text.encode()).digest()
            out[digest] = name
            out[digest.hex().encode()] = f"{name} in hex"
            out[base64.b64encode(digest).rstrip(b"=")] = f"{name} in base64"
    return out


def files(path):
    """The regular files at and below a path."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return
    if stat.S_ISREG(mode):
        yield path
    elif stat.S_ISDIR(mode):
        for base, _, names in os.walk(path):
            for name in names:
                yield from files(os.path.join(base, name))


def content(path):
    """The bytes of a file; none of one that went away or can't be read, as some of /proc can't."""
    try:
        if path == "-":
            return sys.stdin.buffer.read()
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def main():
    directory, *paths = sys.argv[1:]
    wanted = []
    for name in sorted(os.listdir(directory)):
        with open(os.path.join(directory, name), encoding="ascii") as file:
            wanted += [(name, form, text) for text, form in forms(file.read()).items()]
    count = size = 0
    for start in paths:
        for path in [start] if start == "-" else files(start):
            data = content(path)
            count, size = count + 1, size + len(data)
            lowered = data.lower()
            for name, form in sorted({(name, form) for name, form, text in wanted if text in data or text in lowered}):
                print(name, form.replace(" ", "-"), path)
    print(f"searched {count} files, {size} bytes")


if __name__ == "__main__":
    main()

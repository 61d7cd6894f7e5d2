#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the machine's own apt sources, reduced to its Debian release.

usage: sources.py CODENAME [FILE...]

Of one-line and deb822 files it keeps binary packages of CODENAME and its -updates, -security and
-backports suites, component main, and drops what is signed by a key other than Debian's: other
vendors' repositories have no place in a base image. Output is one-line style.
"""

import glob
import re
import sys

SUITES = ("", "-updates", "-security", "-backports")


def stanzas(text):
    """The fields of each enabled deb822 stanza; keys in lower case, values as word lists."""
    for block in re.split(r"\n\s*\n", text):
        fields, key = {}, None
        for line in block.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace() and key:
                fields[key] += line.split()
            elif ":" in line:
                key, _, value = line.partition(":")
                key = key.strip().lower()
                fields[key] = value.split()
        if fields.get("types") and fields.get("enabled", ["yes"])[0].lower() != "no":
            yield fields


def one_lines(text):
    """The same for one-line style."""
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#]+)", line)
        if match:
            options = dict(item.partition("=")[::2] for item in (match[1] or "").split())
            signed = [options["signed-by"]] if "signed-by" in options else []
            yield {
                "types": ["deb"],
                "uris": [match[2]],
                "suites": [match[3]],
                "components": match[4].split(),
                "signed-by": signed,
            }


def wanted(fields, codename):
    """The lines of one source that belong to the Debian release."""
    if "deb" not in fields["types"] or "main" not in fields.get("components", []):
        return
    signed = fields.get("signed-by", [])
    if signed and not all("debian-archive" in path for path in signed):
        return
    for uri in fields.get("uris", []):
        for suite in fields.get("suites", []):
            if any(suite == codename + end for end in SUITES) and "debian" in uri:
                yield f"deb {uri} {suite} main"


def main():
    codename = sys.argv[1]
    files = sys.argv[2:] or ["/etc/apt/sources.list"] + sorted(
        glob.glob("/etc/apt/sources.list.d/*.list") + glob.glob("/etc/apt/sources.list.d/*.sources")
    )
    lines = []
    for name in files:
        try:
            with open(name, encoding="utf-8") as file:
                text = file.read()
        except OSError:
            continue
        parse = stanzas if name.endswith(".sources") else one_lines
        for fields in parse(text):
            lines += [line for line in wanted(fields, codename) if line not in lines]
    if not any(line.split()[2] == codename for line in lines):
        sys.exit(f"no source for the suite {codename} in: {' '.join(files)}")
    print("\n".join(lines))


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Masking an injected credential where an upstream reflects it.

Masks have the length of what they cover, so that lengths announced earlier stay true and a body
can be masked while it streams.
"""
import base64
import json
import re
import urllib.parse


def spellings(token):
    """The byte strings under which `token` (bytes) could come back: plain, URL-encoded, JSON, hex, base64."""
    text = token.decode("latin-1")
    quoted = urllib.parse.quote(text, safe="", encoding="latin-1")
    escaped = json.dumps(text)[1:-1]
    found = {
        token,
        quoted.encode(),
        re.sub(r"%..", lambda code: code.group().lower(), quoted).encode(),
        urllib.parse.quote(text, safe="/", encoding="latin-1").encode(),
        escaped.encode(),
        escaped.replace("/", "\\/").encode(),
        token.hex().encode(),
        token.hex().upper().encode(),
    }
    for shift in range(3):
        core = _base64_core(token, shift)
        found.update((core, core.replace(b"+", b"-").replace(b"/", b"_")))
        found.add(urllib.parse.quote_from_bytes(core, safe="").encode())
    return sorted((item for item in found if len(item) >= min(4, len(token))), key=len, reverse=True)


def _base64_core(token, shift):
    """What base64 makes of `token` alone, wherever it stands at an offset of `shift` modulo 3 in a longer text."""
    encoded = base64.b64encode(b"\0" * shift + token).rstrip(b"=")
    start = (shift * 8 + 5) // 6
    end = (shift + len(token)) * 8 // 6
    return encoded[start:end]


class Masker:
    """Masks a set of credentials in bytes, whole or in a stream."""

    def __init__(self, tokens):
        """`tokens`: the credentials, as bytes, none empty."""
        self._spellings = sorted({item for token in tokens for item in spellings(token)}, key=len, reverse=True)
        self._pattern = re.compile(b"|".join(re.escape(item) for item in self._spellings))
        firsts = b"".join(sorted({re.escape(item[:1]) for item in self._spellings}))
        self._first = re.compile(b"[" + firsts + b"]")
        self._longest = len(self._spellings[0])

    def mask(self, data):
        """`data` with every spelling of every credential covered."""
        return self._pattern.sub(lambda found: b"*" * len(found.group()), data)

    def split(self, data):
        """(what can be passed on, what must wait): the second part could be the beginning of a credential."""
        start = max(0, len(data) - self._longest + 1)
        for found in self._first.finditer(data, start):
            rest = data[found.start():]
            if any(item.startswith(rest) for item in self._spellings):
                return data[:found.start()], rest
        return data, b""


class StreamMasker:
    """A filter for a streamed body: call it with each chunk, and with b"" at the end."""

    def __init__(self, masker):
        self._masker = masker
        self._held = b""

    def __call__(self, chunk):
        """The list of chunks that can go to the client now."""
        data = self._masker.mask(self._held + chunk)
        if chunk:
            data, self._held = self._masker.split(data)
        else:
            self._held = b""
        return [data] if data else []

# SPDX-License-Identifier: Apache-2.0
"""Masking an injected credential where an upstream reflects it.

A credential comes back in one of a few shapes: as it is, in hexadecimal digits, or inside something that was encoded in
base64, which has three alignments. Each shape is a sequence of units (characters, or pairs of digits), and each unit has
several spellings, since what is reflected is often escaped for a URL, a JSON string, a script or a page. So a shape is
matched unit by unit, whatever mixture of spellings an upstream uses.

Masks have the length of what they cover, so that lengths announced earlier stay true and a body
can be masked while it streams.
"""
import base64
import html
import re

_PROBED = 8  # units that the search looks at; the rest is compared only where these are found
_MIN_UNITS = 4  # of base64: shorter ones stand in every text
_LINE_ENDS = (b"", b"\n", b"\r\n", b"\\n", b"\\r\\n", b"%0A", b"%0a", b"%0D%0A", b"%0d%0a")
_DIGIT_GAPS = (b"", b":", b" ", b"-", b"\\x", b"%")
_NAMED = {ord(html.unescape(f"&{name};")): f"&{name};".encode() for name in ("amp", "lt", "gt", "quot", "apos")}
_PARTIAL = -1  # what a comparison says that the end of the data has cut short


def spellings(code):
    """The byte strings under which the character `code` could come back."""
    char = bytes((code,))
    found = {char}
    for digits in {f"{code:02x}", f"{code:02X}"} | {f"{code >> 4:x}{code & 15:X}", f"{code >> 4:X}{code & 15:x}"}:
        found.update(f"{start}{digits}".encode() for start in ("%", "%25", "\\u00", "\\x"))
        found.update(f"&#{x}{zeros}{digits};".encode() for x in "xX" for zeros in ("", "0", "00"))
    found.update(f"&#{zeros}{code};".encode() for zeros in ("", "0", "00"))
    if not char.isalnum():
        found.update((b"\\" + char, b"\\\\" + char))
    if code in _NAMED:
        found.add(_NAMED[code])
    return found


class _Shape:
    """A sequence of units; `gaps` are what can stand between two of them."""

    def __init__(self, units, gaps=(b"",)):
        """`units`: for each unit, the set of its spellings."""
        self._first = tuple(units[0])
        self._later = [tuple(gap + item for gap in gaps for item in unit) for unit in units[1:]]

    def probe(self):
        """A regular expression for the beginning of the shape."""
        return b"".join(_either(items) for items in [self._first] + self._later[:_PROBED - 1])

    def starts(self):
        """The bytes with which it can begin."""
        return {item[:1] for item in self._first}

    def end(self, data, at):
        """Where the shape ends that begins at `at`; None when none does, _PARTIAL when the data ends too early to say."""
        places, cut = {at}, False
        for items in [self._first] + self._later:
            following = set()
            for place in places:
                for item in items:
                    if data.startswith(item, place):
                        following.add(place + len(item))
                    elif len(data) - place < len(item) and item.startswith(data[place:]):
                        cut = True
            if not following:
                return _PARTIAL if cut else None
            places = following
        return max(places)


def _either(items):
    """A regular expression for one of some byte strings, the longest first."""
    return b"(?:" + b"|".join(re.escape(item) for item in sorted(items, key=lambda item: (-len(item), item))) + b")"


def _shapes(token):
    """The shapes of a credential."""
    yield _Shape([spellings(code) for code in token])
    yield _Shape([_digit_spellings(code) for code in token], _DIGIT_GAPS)
    for shift in range(3):
        core = _base64_core(token, shift)
        if len(core) >= min(_MIN_UNITS, len(token)):
            yield _Shape([_base64_spellings(code) for code in core], _LINE_ENDS)


def _digit_spellings(code):
    """A byte in two hexadecimal digits."""
    high, low = f"{code:02x}"
    return {(one + two).encode() for one in (high, high.upper()) for two in (low, low.upper())}


def _base64_spellings(code):
    """A character of base64, in both alphabets; only what is no letter or digit is ever escaped."""
    char = bytes((code,))
    if char.isalnum():
        return {char}
    return spellings(code) | spellings(ord({b"+": b"-", b"/": b"_"}[char]))


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
        self._shapes = [shape for token in tokens for shape in _shapes(token)]
        starts = b"".join(re.escape(byte) for byte in sorted(set().union(*(shape.starts() for shape in self._shapes))))
        self._start = re.compile(b"[" + starts + b"]")
        self._probe = re.compile(b"(?=[" + starts + b"])(?:" + b"|".join(shape.probe() for shape in self._shapes) + b")")
        longest = max(map(len, spellings(0x7E))) + max(map(len, _LINE_ENDS))
        self._tail = _PROBED * longest

    def mask(self, data):
        """`data` with every spelling of every credential covered."""
        return self._covered(data, True)[0]

    def split(self, data):
        """(`data` masked as far as it can be passed on, what must wait): the rest could be the beginning of a credential."""
        return self._covered(data, False)

    def _covered(self, data, last):
        """(the data masked up to where something begins that its end has cut short, the rest)."""
        parts, done, at = [], 0, 0
        while at < len(data):
            at = self._candidate(data, at, last)
            if at is None:
                break
            end = self._end(data, at)
            if end == _PARTIAL and not last:
                return b"".join(parts) + data[done:at], data[at:]
            if end is None or end == _PARTIAL:
                at += 1
                continue
            parts += (data[done:at], b"*" * (end - at))
            done = at = end
        return b"".join(parts) + data[done:], b""

    def _candidate(self, data, at, last):
        """The next place from `at` on where a credential can begin, or None."""
        found = self._probe.search(data, at)
        place = found.start() if found else None
        if last:
            return place
        tail = max(at, len(data) - self._tail)  # from here on the end of the data can hide what the search looks for
        if place is not None and place < tail:
            return place
        found = self._start.search(data, tail)
        return found.start() if found else None

    def _end(self, data, at):
        """The furthest end of a credential that begins at `at`, _PARTIAL, or None."""
        ends = [shape.end(data, at) for shape in self._shapes]
        whole = [end for end in ends if end is not None and end != _PARTIAL]
        if whole:
            return max(whole)
        return _PARTIAL if _PARTIAL in ends else None


class StreamMasker:
    """A filter for a streamed body: call it with each chunk, and with b"" at the end."""

    def __init__(self, masker):
        self._masker = masker
        self._held = b""

    def __call__(self, chunk):
        """The list of chunks that can go to the client now."""
        data = self._held + chunk
        if chunk:
            data, self._held = self._masker.split(data)
        else:
            data, self._held = self._masker.mask(data), b""
        return [data] if data else []

# SPDX-License-Identifier: Apache-2.0
"""The strict parser of a request head.

It works on the raw lines of the head, before anybody else has interpreted them, and accepts less
than HTTP allows: whatever two programs on the way could read differently is an error here. The
proxy forwards what this parser has read, never what the agent has written.
"""
import re
from dataclasses import dataclass

MAX_TARGET = 16384
MAX_FIELDS = 128
MAX_HEAD = 65536

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") ([\x21-\x7e]+) (HTTP/1\.[01])")
_NAME = re.compile(_TOKEN)
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_AUTHORITY = re.compile(r"([A-Za-z0-9._-]{1,253})(?::([0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_SINGLE = (b"host", b"content-length", b"transfer-encoding", b"content-type", b"content-encoding", b"expect", b"upgrade")


class HeadError(Exception):
    """A head that is not plainly well formed. `args[0]` is a fixed sentence without agent data."""


@dataclass(frozen=True)
class Head:
    """A request head: method and target are ASCII, field names and values the agent's own bytes."""

    method: str
    target: str
    version: str
    fields: tuple

    def values(self, name):
        """All values of the field `name` (bytes, lower case), in order."""
        return [value for field, value in self.fields if field.lower() == name]

    def names(self):
        """All field names in order, each as the laxest servers read it."""
        return [merged(field) for field, _ in self.fields]

    @property
    def path(self):
        """The target up to its query."""
        return self.target.partition("?")[0]

    @property
    def query(self):
        """What follows the first question mark, or the empty string."""
        return self.target.partition("?")[2]


def merged(name):
    """A field name as the laxest servers read it: CGI and its heirs don't tell case, dashes, underscores and dots apart."""
    return re.sub(rb"[^0-9a-z]", b"", name.lower())


_MERGED = {merged(name): name for name in _SINGLE}


def parse_head(lines):
    """The Head that these lines (bytes, without line ends, without the closing empty line) spell.

    Raises HeadError when the head is anything but the one obvious spelling of a request.
    """
    if not lines:
        raise HeadError("the request head is empty")
    if sum(len(line) + 2 for line in lines) > MAX_HEAD:
        raise HeadError(f"the request head is longer than {MAX_HEAD} bytes")
    if len(lines) - 1 > MAX_FIELDS:
        raise HeadError(f"the request has more than {MAX_FIELDS} header fields")
    method, target, version = _request_line(bytes(lines[0]))
    head = Head(method, target, version, tuple(_field(bytes(line)) for line in lines[1:]))
    _check_single(head)
    _check_framing(head)
    return head


def _request_line(line):
    """Method, target and version of the first line."""
    found = _REQUEST_LINE.fullmatch(line)
    if not found:
        raise HeadError("the request line is not METHOD, one space, target, one space, HTTP/1.1 in visible ASCII")
    method, target, version = (part.decode("ascii") for part in found.groups())
    if len(method) > 32:
        raise HeadError("the method is longer than 32 bytes")
    if len(target) > MAX_TARGET:
        raise HeadError(f"the request target is longer than {MAX_TARGET} bytes")
    if "#" in target:
        raise HeadError("the request target has a fragment")
    return method, target, version


def _field(line):
    """Name and value of one header line; folded lines and blanks around the name are errors."""
    name, colon, value = line.partition(b":")
    if not colon or not _NAME.fullmatch(name):
        raise HeadError("a header line does not begin with a field name and a colon")
    if not _VALUE.fullmatch(value):
        raise HeadError("a header value holds a control byte")
    return name, value.strip(b" \t")


def _check_single(head):
    """Fields whose repetition two programs could resolve differently appear once at most, under their own name."""
    seen = set()
    for field, _ in head.fields:
        name = _MERGED.get(merged(field))
        if name is None:
            continue
        if field.lower() != name:
            raise HeadError(f"a header name that some servers take for {name.decode()}")
        if name in seen:
            raise HeadError(f"the header {name.decode()} appears more than once")
        seen.add(name)


def _check_framing(head):
    """The length of the body has exactly one meaning."""
    length = head.values(b"content-length")
    coding = head.values(b"transfer-encoding")
    if length and not re.fullmatch(rb"0|[1-9][0-9]{0,14}", length[0]):
        raise HeadError("content-length is not a plain number")
    if coding and coding[0].lower() != b"chunked":
        raise HeadError("transfer-encoding is something else than chunked")
    if coding and length:
        raise HeadError("content-length and transfer-encoding together")
    if coding and head.version == "HTTP/1.0":
        raise HeadError("transfer-encoding in an HTTP/1.0 request")


def body_size(head):
    """Bytes of the body that the head announces; None when the body is chunked."""
    if head.values(b"transfer-encoding"):
        return None
    length = head.values(b"content-length")
    return int(length[0]) if length else 0


def canonical_host(name):
    """`name` in lower case when it is a plain DNS name, else None.

    Refused: IP literals, names whose last label is a number (which resolvers take for an address),
    a trailing dot, empty or overlong labels.
    """
    host = name.lower()
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        return None
    if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1]):
        return None
    return host


def split_authority(text):
    """(canonical host, port or None) of `host` or `host:port`; (None, None) when it is not plainly that."""
    found = _AUTHORITY.fullmatch(text)
    if not found:
        return None, None
    host = canonical_host(found.group(1))
    if host is None:
        return None, None
    if found.group(2) is None:
        return host, None
    if found.group(2).startswith("0") or int(found.group(2)) > 65535:
        return None, None
    return host, int(found.group(2))

# SPDX-License-Identifier: Apache-2.0
"""Paths: one strict grammar over the raw bytes, and matching segment by segment.

Nothing here decodes a path in order to compare it: a rule matches the spelling that goes upstream.
Decoding serves only to refuse spellings that some server would read as another path.
"""
import re
import unicodedata
import urllib.parse

_PCHARS = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})+")
_SEPARATORS = set("./\\%")


def path_error(path):
    """Why `path` cannot be judged by a path rule (a sentence), or None when it can."""
    if not path.startswith("/"):
        return "the path does not begin with a slash"
    if not _PCHARS.fullmatch(path):
        return "the path holds a character that must be percent-encoded, or a broken percent-encoding"
    error = _encoded_error(path)
    if error:
        return error
    segments = path[1:].split("/")
    for segment in segments[:-1]:
        if segment == "":
            return "the path has an empty segment"
    for segment in segments:
        name = segment.partition(";")[0]
        if name in (".", ".."):
            return "the path has a dot segment"
        if name == "" and segment:
            return "the path has a segment that is only parameters"
    return None


def _encoded_error(path):
    """Why the percent-encoded bytes of `path` are refused, or None."""
    if "%" not in path:
        return None
    for code in re.findall(r"%([0-9A-Fa-f]{2})", path):
        byte = int(code, 16)
        if byte < 0x20 or byte == 0x7F:
            return "the path has an encoded control byte"
        if chr(byte) in _SEPARATORS:
            return "the path has an encoded slash, backslash, dot or percent sign"
    try:
        decoded = urllib.parse.unquote_to_bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        return "the percent-encoded bytes of the path are not UTF-8"
    for char in decoded:
        if ord(char) < 0x80:
            continue
        if unicodedata.category(char)[0] == "C" or _SEPARATORS & set(unicodedata.normalize("NFKC", char)):
            return "the path has an encoded character that some servers read as a separator"
    return None


def matches(kind, value, path):
    """Whether `path` falls under the rule (`exact` or `prefix`, value).

    A prefix covers whole segments: /a covers /a and /a/b, never /ab. A prefix that ends in a slash
    covers what lies below: /a/ covers /a/ and /a/b, not /a.
    """
    if kind == "exact" or path == value:
        return path == value
    return path.startswith(value if value.endswith("/") else value + "/")


def git_push(path, query, content_type):
    """Whether a request is a part of a git push over HTTP, in any spelling a server could decode."""
    if b"git-receive-pack" in content_type.lower():
        return True
    plain, spelled_query = _decoded(path), _decoded(query)
    if "git-receive-pack" in plain:
        return True
    if "git-receive-pack" not in spelled_query:
        return False
    return "info/refs" in plain or re.search(r"(?:^|[&;?])service=git-receive-pack", spelled_query) is not None


def query_names(query):
    """The names and values of a query as a server could decode them: (name in lower case, value)."""
    pairs = []
    for part in re.split("[&;]", query):
        name, _, value = part.partition("=")
        pairs.append((_decoded(name).replace("+", " ").strip(), urllib.parse.unquote(value)))
    return pairs


def _decoded(text):
    """`text` percent-decoded until nothing changes (three times at most), in lower case."""
    for _ in range(3):
        plain = urllib.parse.unquote(text, errors="replace")
        if plain == text:
            break
        text = plain
    return text.lower()

# SPDX-License-Identifier: Apache-2.0
"""Paths: one strict grammar over the raw bytes, and matching segment by segment.

Nothing here decodes a path in order to compare it: a rule matches the spelling that goes upstream.
Decoding serves only to refuse spellings that some server would read as another path.
"""
import re
import unicodedata
import urllib.parse

_DAV_CHANGES = ("PUT", "DELETE", "MKCOL", "MOVE", "COPY", "LOCK", "UNLOCK", "PROPPATCH", "PATCH")
_PCHARS = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})+")
_SEPARATORS = set("./\\%")
# Not by normalisation, but by the best-fit tables of some systems, one of the separators.
_LOOKALIKES = set("\u2044\u2215\u2216\u29f5\u29f8\u29f9\u00a5\u20a9\u3002\uff61")


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
        # As a server reads it that takes parameters away, encoded ones too, and blanks at the ends.
        name = urllib.parse.unquote(segment).partition(";")[0].strip()
        if name in (".", ".."):
            return "the path has a dot segment"
        if name == "" and segment:
            return "the path has a segment that is only parameters or blanks"
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
        control = unicodedata.category(char)[0] == "C"
        if control or char in _LOOKALIKES or _SEPARATORS & set(unicodedata.normalize("NFKC", char)):
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


def git_push(method, path, query, content_type):
    """Whether a request is a part of a git push over HTTP, in any spelling a server could decode.

    That is the two requests of git's own protocol, and, of the older push by WebDAV, every change inside a repository.
    """
    if b"git-receive-pack" in content_type.lower():
        return True
    plain, spelled_query = _decoded(path), _decoded(query)
    if "git-receive-pack" in plain:
        return True
    if method.upper() in _DAV_CHANGES and re.search(r"\.git/+(?:objects|refs|info|packed-refs|head)\b", plain):
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


def parameter_names(path):
    """The names of the parameters in the segments of a path (`;name=value`), as query_names() gives them."""
    return [pair for part in _decoded(path).split("/") for pair in query_names(part.partition(";")[2])]


def _decoded(text):
    """`text` percent-decoded until nothing changes (three times at most), in lower case."""
    for _ in range(3):
        plain = urllib.parse.unquote(text, errors="replace")
        if plain == text:
            break
        text = plain
    return text.lower()

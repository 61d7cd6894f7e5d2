# SPDX-License-Identifier: Apache-2.0
"""The header fields that go upstream: written anew from the parsed head, never passed through."""
from head import Head

_DROPPED = {
    b"host", b"authorization", b"proxy-authorization", b"proxy-authenticate", b"proxy-connection",
    b"connection", b"keep-alive", b"te", b"trailer", b"upgrade", b"http2-settings", b"accept-encoding",
    b"forwarded", b"via", b"x-host", b"x-http-host-override", b"x-override-url",
}
_DROPPED_PREFIXES = (b"x-forwarded-", b"x-original-", b"x-rewrite-", b"sec-websocket-")
_CREDENTIAL_PARTS = (b"authorization", b"authentication", b"cookie")
_CREDENTIAL_ENDS = (
    b"apikey", b"token", b"secret", b"subscriptionkey", b"authkey", b"authemail", b"credential", b"password",
)


def upstream_fields(head: Head, host, scheme, token):
    """The fields of the request as it goes to `host`, with `token` injected when there is a scheme.

    Host is the canonical name; the agent's own credentials, hop-by-hop fields and fields by which
    an upstream can be told another host or path are left out; bodies come back uncompressed.
    """
    fields = [(b"Host", host.encode())]
    for name, value in head.fields:
        lower = name.lower()
        if lower in _DROPPED or lower.startswith(_DROPPED_PREFIXES):
            continue
        if scheme and carries_credential(lower):
            continue
        if lower == b"expect" and value.lower() != b"100-continue":
            continue
        fields.append((name, value))
    if b"close" in _connection_options(head):
        fields.append((b"Connection", b"close"))
    fields.append((b"Accept-Encoding", b"identity"))
    if scheme:
        fields.append((b"Authorization", scheme.encode() + b" " + token))
    return fields


def carries_credential(name):
    """Whether a field of this name (lower case) is one by which some upstream knows its caller.

    Dashes and underscores count for nothing, since servers differ in what they make of them.
    """
    plain = name.replace(b"-", b"").replace(b"_", b"")
    return any(part in plain for part in _CREDENTIAL_PARTS) or plain.endswith(_CREDENTIAL_ENDS)


def _connection_options(head):
    """The options of the Connection fields, in lower case."""
    options = b",".join(head.values(b"connection")).lower().split(b",")
    return {option.strip(b" \t") for option in options}

# SPDX-License-Identifier: Apache-2.0
"""The header fields that go upstream: written anew from the parsed head, never passed through.

Names are compared as the laxest server reads them (`head.merged`): no case, dashes, underscores or dots.
"""
from head import Head, body_size, merged

_DROPPED = {
    b"contentlength", b"transferencoding",  # written anew, in the one spelling that every server knows
    b"host", b"authorization", b"proxyauthorization", b"proxyauthenticate", b"proxyconnection",
    b"connection", b"keepalive", b"te", b"trailer", b"upgrade", b"http2settings", b"acceptencoding",
    b"forwarded", b"via", b"xhost", b"xhttphostoverride", b"xoverrideurl", b"xproxyurl",
    b"xhttpdestinationurl", b"xwawsunencodedurl", b"xmiddlewaresubrequest",
}
_DROPPED_STARTS = (
    b"xforwarded", b"xoriginal", b"xrewrite", b"xenvoyoriginal", b"secwebsocket", b"xpipelock", b"pipelock",
)
_CREDENTIAL_PARTS = (
    b"authorization", b"authorisation", b"authenticat", b"cookie", b"token", b"secret", b"passw", b"credential",
    b"signature", b"apikey", b"accesskey", b"jwt", b"saml", b"assertion", b"webauth", b"impersonat", b"session",
    b"clientcert", b"remoteuser", b"oauth",
)
_CREDENTIAL_STARTS = (b"auth", b"xauth", b"xamz", b"cfaccess", b"xsslclient", b"sslclient", b"xclientdn")
_CREDENTIAL_ENDS = (b"key", b"auth", b"otp", b"authemail")
_CREDENTIALS = {b"sudo", b"dpop", b"xuser", b"xsudo", b"xhoneycombteam"}
_NO_CREDENTIALS = {b"idempotencykey", b"xidempotencykey", b"mcpsessionid"}


def upstream_fields(head: Head, host, scheme, token):
    """The fields of the request as it goes to `host`, with `token` injected when there is a scheme.

    Host is the canonical name; the agent's own credentials, hop-by-hop fields and fields by which
    an upstream can be told another host or path are left out; bodies come back uncompressed.
    """
    fields = [(b"Host", host.encode())]
    for name, value in head.fields:
        plain = merged(name)
        if plain in _DROPPED or plain.startswith(_DROPPED_STARTS):
            continue
        if scheme and carries_credential(name):
            continue
        if plain == b"expect" and value.lower() != b"100-continue":
            continue
        fields.append((name, value))
    size = body_size(head)
    if size is None:
        fields.append((b"Transfer-Encoding", b"chunked"))
    elif head.values(b"content-length"):
        fields.append((b"Content-Length", str(size).encode()))
    if b"close" in _connection_options(head):
        fields.append((b"Connection", b"close"))
    fields.append((b"Accept-Encoding", b"identity"))
    if scheme:
        fields.append((b"Authorization", scheme.encode() + b" " + token))
    return fields


def carries_credential(name):
    """Whether a field of this name is one by which some upstream knows its caller."""
    plain = merged(name)
    if plain in _NO_CREDENTIALS:
        return False
    return (
        plain in _CREDENTIALS
        or any(part in plain for part in _CREDENTIAL_PARTS)
        or plain.startswith(_CREDENTIAL_STARTS)
        or plain.endswith(_CREDENTIAL_ENDS)
    )


def _connection_options(head):
    """The options of the Connection fields, in lower case."""
    options = b",".join(head.values(b"connection")).lower().split(b",")
    return {option.strip(b" \t") for option in options}

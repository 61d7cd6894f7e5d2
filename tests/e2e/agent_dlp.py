# SPDX-License-Identifier: Apache-2.0
"""What an agent might send: credentials of several kinds in every place of a request, and harmless ones in the same places.

usage: python3 - HOST PREFIX <agent_dlp.py        inside the agent

Each case has a path of its own, PREFIX + its id. Prints one JSON object a case: id, secret (or not), status, text.
"""
import base64
import http.client
import json
import os
import ssl
import sys
import urllib.parse

HOST, PREFIX = sys.argv[1:3]
SECRETS = {
    "github": "ghp_" + "aB3dE6gH9jK2" * 3,
    "aws": "AKIA" + "Z7QX5LMN2PRS4TUV",
    "pem": "-----BEGIN RSA PRIVATE KEY-----",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
}
CONTEXT = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
HARMLESS = "the-quick-brown-fox"


def b64(text):
    return base64.b64encode(text.encode()).decode()


def multipart(text):
    return f'--cut\r\nContent-Disposition: form-data; name="note"; filename="n.txt"\r\n\r\n{text}\r\n--cut--\r\n'


# id: (query, fields, content type, body); None leaves a part out.
PLACES = {
    "header": lambda s: (None, {"X-Note": s}, None, None),
    "header-name": lambda s: (None, {"X-" + s: "1"}, None, None),
    "header-base64": lambda s: (None, {"X-Note": b64(s)}, None, None),
    "header-hex": lambda s: (None, {"X-Note": s.encode().hex()}, None, None),
    "cookie": lambda s: (None, {"Cookie": "session=" + urllib.parse.quote(s)}, None, None),
    "api-key": lambda s: (None, {"X-Api-Key": s}, None, None),
    "user-agent": lambda s: (None, {"User-Agent": s}, None, None),
    "accept": lambda s: (None, {"Accept": s}, None, None),
    "content-type": lambda s: (None, {}, "text/plain; note=" + s, "x"),
    "query": lambda s: ("note=" + urllib.parse.quote(s), {}, None, None),
    "query-base64": lambda s: ("note=" + urllib.parse.quote(b64(s)), {}, None, None),
    "query-hex": lambda s: ("note=" + s.encode().hex(), {}, None, None),
    "form": lambda s: (None, {}, "application/x-www-form-urlencoded", "note=" + urllib.parse.quote(s)),
    "json": lambda s: (None, {}, "application/json", json.dumps({"messages": [{"note": s}]})),
    "text": lambda s: (None, {}, "text/plain", f"some words, {s}, and more words\n"),
    "binary": lambda s: (None, {}, "application/octet-stream", f"\1\2\3 {s} \4\5"),
    "no-type": lambda s: (None, {}, None, f"note {s}"),
    "multipart": lambda s: (None, {}, "multipart/form-data; boundary=cut", multipart(s)),
    "body-base64": lambda s: (None, {}, "text/plain", b64(s)),
    "body-hex": lambda s: (None, {}, "text/plain", s.encode().hex()),
    "json-base64": lambda s: (None, {}, "application/json", json.dumps({"note": b64(s)})),
}
# A header's name can't hold these.
NOT_A_NAME = {("header-name", "pem"), ("header-name", "jwt")}


def send(path, fields, body):
    """One request on a connection of its own."""
    proxy = urllib.parse.urlsplit(os.environ["https_proxy"])
    connection = http.client.HTTPSConnection(proxy.hostname, proxy.port, timeout=20, context=CONTEXT)
    connection.set_tunnel(HOST, 443)
    try:
        connection.request("POST" if body is not None else "GET", path, body=body, headers=fields)
        answer = connection.getresponse()
        return answer.status, answer.read(400).decode("utf-8", "replace")
    except OSError as error:
        return 0, f"{type(error).__name__}: {error}"
    finally:
        connection.close()


def main():
    for place, make in PLACES.items():
        for kind, text in [*SECRETS.items(), ("harmless", HARMLESS)]:
            if (place, kind) in NOT_A_NAME:
                continue
            query, fields, content_type, body = make(text)
            if content_type:
                fields["Content-Type"] = content_type
            path = f"{PREFIX}{place}.{kind}" + (f"?{query}" if query else "")
            status, said = send(path, fields, body.encode() if body is not None else None)
            print(json.dumps({"id": f"{place}.{kind}", "secret": kind != "harmless", "status": status, "text": said}))


main()

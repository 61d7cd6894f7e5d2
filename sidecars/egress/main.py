# SPDX-License-Identifier: Apache-2.0
"""The egress proxy: prepares what mitmproxy wants to find, then runs it, in this very process.

mitmproxy runs as a library and not by its command, because its command loads an addon as a script
that it watches, and drops it, with all traffic allowed, when the file goes away.
"""
import asyncio
import os
import resource
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent))

from jsonlog import emit  # noqa: E402

EXIT_BROKEN = 70
BODY_LIMIT = "64m"
MAX_FILES = 4096
_HANGUPS = []


class Broken(Exception):
    """The proxy cannot start. `args[0]` says why."""


def prepare(etc, private):
    """Puts into the directory `private` the CA as mitmproxy names it, and the trust for the upstream.

    The CA's key is not copied: mitmproxy reads it through a link.
    """
    authority = etc / "ca" / "egress-ca.pem"
    content = _read(authority)
    if b"PRIVATE KEY-----" not in content or b"-----BEGIN CERTIFICATE-----" not in content:
        raise Broken("ca/egress-ca.pem: must hold a private key and its certificate")
    (private / "mitmproxy-ca.pem").symlink_to(authority.resolve())
    bundle = [_read(etc / "ca" / "pipelock-ca.pem")]
    if b"-----BEGIN CERTIFICATE-----" not in bundle[0]:
        raise Broken("ca/pipelock-ca.pem: holds no certificate")
    extra = etc / "ca" / "upstream-ca.pem"
    if extra.exists():
        bundle.append(_read(extra))
    system = Path(os.environ.get("BOTTLER_SYSTEM_CA", "/etc/ssl/certs/ca-certificates.crt"))
    if system.exists():
        bundle.append(_read(system))
    (private / "upstream.pem").write_bytes(b"\n".join(bundle))


def _read(path):
    """The bytes of a file of ours."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise Broken(f"{path.parent.name}/{path.name}: {error.strerror}") from None


def address(text, scheme):
    """(host, port) of `host:port`, or of `SCHEME://host:port` when there is a scheme."""
    parts = urlsplit(text if scheme else f"//{text}")
    plain = parts.hostname and parts.port and not parts.path.strip("/") and not parts.username
    if not plain or (scheme and parts.scheme != scheme):
        raise Broken(f"not an address: {text}")
    return parts.hostname, parts.port


def options(private, upstream, listen):
    """The options of mitmproxy, as a mapping."""
    return {
        "mode": f"upstream:http://{upstream[0]}:{upstream[1]}",
        "listen_host": listen[0],
        "listen_port": listen[1],
        "confdir": str(private),
        "ssl_verify_upstream_trusted_ca": str(private / "upstream.pem"),
        "ssl_insecure": False,
        "http2": False,
        "http3": False,
        "websocket": False,
        "rawtcp": False,
        "onboarding": False,
        "connection_strategy": "lazy",
        "upstream_cert": False,
        "add_upstream_certs_to_client_chain": False,
        "validate_inbound_headers": True,
        "body_size_limit": BODY_LIMIT,
        "store_streamed_bodies": False,
        "flow_detail": 0,
        "termlog_verbosity": "error",
        "dns_server": False,
    }


_OPTIONAL = ("http3", "store_streamed_bodies", "flow_detail", "termlog_verbosity", "dns_server")


def apply(target, wanted):
    """Sets the wanted options; one that this mitmproxy does not know must be one of the optional ones."""
    known = {}
    for name, value in wanted.items():
        if name in target:
            known[name] = value
        elif name not in _OPTIONAL:
            raise Broken(f"this mitmproxy has no option {name}")
    if not isinstance(target.mode, str):
        known["mode"] = [known["mode"]]
    target.update(**known)


async def serve(etc, private, upstream, listen, leave):
    """Runs the proxy until a signal ends it; `leave(code)` ends the process."""
    import shims  # pylint: disable=import-outside-toplevel
    from addon import Egress  # pylint: disable=import-outside-toplevel
    from mitmproxy import certs, options as mitm_options  # pylint: disable=import-outside-toplevel
    from mitmproxy.tools.dump import DumpMaster  # pylint: disable=import-outside-toplevel

    interceptor = certs.Cert.from_pem(_read(etc / "ca" / "pipelock-ca.pem")).subject
    shims.install(interceptor)
    master = DumpMaster(mitm_options.Options(), with_termlog=False, with_dumper=False)
    apply(master.options, options(private, upstream, listen))
    own = ("127.0.0.1" if listen[0] in ("0.0.0.0", "") else listen[0], listen[1])
    egress = Egress(etc, upstream, own, leave)
    egress.reload()
    egress.pending_reload = bool(_HANGUPS)
    master.addons.add(egress)
    await master.run()


def _open_more_files():
    """As many as are allowed, up to what the proxy can use."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(MAX_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _private_directory():
    """A new directory of our own, on /dev/shm where the root file system is read-only."""
    try:
        return Path(tempfile.mkdtemp(prefix="egress-"))
    except OSError:
        return Path(tempfile.mkdtemp(prefix="egress-", dir="/dev/shm"))


def main():
    """The program. Ends with 0 on SIGTERM (what is under way is finished first) and SIGINT, with 70 on everything unexpected."""
    signal.signal(signal.SIGHUP, lambda *_: _HANGUPS.append(True))
    sys.dont_write_bytecode = True
    os.umask(0o077)
    _open_more_files()
    private = _private_directory()

    def leave(code):
        shutil.rmtree(private, ignore_errors=True)
        os._exit(code)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: leave(0))
    try:
        etc = Path(os.environ.get("BOTTLER_ETC", "/etc/bottler"))
        upstream = address(os.environ.get("BOTTLER_UPSTREAM", "http://pipelock:8888"), "http")
        listen = address(os.environ.get("BOTTLER_LISTEN", "0.0.0.0:9099"), "")
        prepare(etc, private)
        asyncio.run(serve(etc, private, upstream, listen, leave))
    except Broken as error:
        emit("error", where="start", error=error.args[0])
    except (Exception, SystemExit) as error:  # pylint: disable=broad-except
        emit("error", where="start", error=type(error).__name__)
    leave(EXIT_BROKEN)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""The proxy with a fault built in, for the tests: crash.py FAULT."""
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])

import main  # noqa: E402
import policy  # noqa: E402
from mitmproxy.addons import core  # noqa: E402

SECRET = "agent-data-in-an-exception"


def raising(*_args, **_kwargs):
    """A bug."""
    raise ValueError(SECRET)


def fault(name):
    """Plants the fault `name`."""
    if name == "decide":  # an exception in our own, guarded hook
        policy.decide_inside = raising
    elif name == "connect":
        policy.decide_connect = lambda head, table: raising() if "canary" not in head.target else policy.Decision(False, "host")
    elif name == "response":
        import addon  # pylint: disable=import-outside-toplevel
        addon.StreamMasker = raising
    elif name == "foreign":  # an exception in a hook of mitmproxy itself
        core.Core.requestheaders = raising
    elif name == "open":  # a proxy that lets everything through
        import addon  # pylint: disable=import-outside-toplevel
        addon.Egress.http_connect = lambda self, flow: None
    elif name == "skip":  # a hook that is never called
        import addon  # pylint: disable=import-outside-toplevel
        del addon.Egress.requestheaders


fault(sys.argv[2])
main.main()

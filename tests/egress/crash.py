# SPDX-License-Identifier: Apache-2.0
"""The proxy with a fault built in, for the tests: crash.py DIRECTORY FAULT."""
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])

import addon  # noqa: E402
import forward  # noqa: E402
import main  # noqa: E402
import policy  # noqa: E402
import shims  # noqa: E402
import store  # noqa: E402
from mitmproxy.addons import core  # noqa: E402
from mitmproxy.proxy import server  # noqa: E402
from mitmproxy.proxy.layers.http import HttpStream  # noqa: E402

SECRET = "agent-data-in-an-exception"
BEGIN = HttpStream.state_wait_for_request_headers


def raising(*_args, **_kwargs):
    """A bug."""
    raise ValueError(SECRET)


def exhausted(*_args, **_kwargs):
    """No memory."""
    raise MemoryError(SECRET)


def connecting(head, table):
    """A bug in the judgement of all CONNECTs but the canary's."""
    return policy.Decision(False, "host") if "canary" in head.target else raising()


def layer_raising(self, event):
    """A bug of mitmproxy's, outside of every hook, in requests but not in CONNECTs."""
    if event.request.method != "CONNECT":
        raising()
    yield from BEGIN(self, event)


async def task_raising(*_args, **_kwargs):
    """A bug in a task of mitmproxy's."""
    raising()


def connect_and_revoke(self, data, connect=addon.Egress.server_connect):
    """A reload takes the host away in the moment in which the upstream is connected to."""
    result = connect(self, data)
    self.policy = store.Policy()
    self._cut_revoked()  # pylint: disable=protected-access
    return result


def connect_and_leave(self, data, connect=addon.Egress.server_connect):
    """The agent goes away in the moment in which the upstream is connected to."""
    result = connect(self, data)
    self.client_disconnected(data.client)
    return result


FAULTS = {
    "leaving": [(addon.Egress, "server_connect", connect_and_leave)],  # no fault of ours
    "decide": [(policy, "decide_inside", raising)],  # an exception in our own, guarded hook
    "memory": [(policy, "decide_inside", exhausted)],
    "forward": [(forward, "upstream_fields", raising)],
    "connect": [(policy, "decide_connect", connecting)],
    "response": [(addon, "StreamMasker", raising)],
    "foreign": [(core.Core, "requestheaders", raising)],  # an exception in a hook of mitmproxy itself
    "open": [(addon.Egress, "http_connect", lambda self, flow: None)],  # a proxy that lets everything through
    "skip": [(addon.Egress, "requestheaders", None)],  # a hook that is never called
    "parser": [(shims, "parse_head", raising)],
    "layer": [(HttpStream, "state_wait_for_request_headers", layer_raising)],
    "task": [(server.ConnectionHandler, "drain_writers", task_raising)],
    "revoked": [(addon.Egress, "server_connect", connect_and_revoke)],  # no fault either
    "hasty": [(addon, "UPSTREAM_DEADLINE", 3.0)],  # no fault: waits only shortly for the upstream
}


def plant(name):
    """Plants the fault `name`; `hook:NAME` makes a hook raise past its guard."""
    for owner, attribute, value in FAULTS.get(name, []):
        if value is None:
            delattr(owner, attribute)
        else:
            setattr(owner, attribute, value)
    if name.startswith("hook:"):
        setattr(addon.Egress, name[5:], raising)


plant(sys.argv[2])
main.main()

# SPDX-License-Identifier: Apache-2.0
"""What the tests of the probe share: its modules, those of the egress tests, inputs, and a world around a proxy."""
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PROBE = ROOT / "sidecars" / "probe"

sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tests" / "egress"))
import support  # noqa: E402,F401  (puts the egress proxy's modules on the path)

sys.path.insert(0, str(PROBE))

import inputs  # noqa: E402
from world import World  # noqa: E402

NONCE = "0123456789abcdef"


def given(**more):
    """An Input."""
    return inputs.parse({"as": "user", "nonce": NONCE, **more})


def world_at(port, **more):
    """A World whose proxy is on loopback, with the controls of the proxy run."""
    world = World(given(proxy={"name": "egress", "port": port, "addresses": ["127.0.0.1"]}, **more))
    for name, control in (("C.proxy", world._introspection), ("C.chain", world._chain), ("C.hello", world._hello)):
        world._run(name, name, control)
    return world


def outcomes(world, attempts):
    """(attempt, Outcome as reported) of attempts, some at a time."""
    import concurrent.futures

    import main
    import registry
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        found = pool.map(lambda attempt: main._one(attempt, float("inf")), attempts)
        return [(attempt, registry.weighed(attempt, outcome, world.controls)) for attempt, outcome in zip(attempts, found)]

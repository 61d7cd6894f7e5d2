# SPDX-License-Identifier: Apache-2.0
"""The escape probe: tries every way out of a bottle that it knows, from inside, and says for each what stopped it.

It runs in a container that shares the network of a bottle's agent and has its privileges; input.json beside this file
says where. What it finds goes to standard output, one JSON object a line, the last of which has the type `end`.
"""
import concurrent.futures
import os
import resource
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import container  # noqa: E402
import files  # noqa: E402
import handshake  # noqa: E402
import inputs  # noqa: E402
import inside  # noqa: E402
import links  # noqa: E402
import network  # noqa: E402
import proxy  # noqa: E402
import resolver  # noqa: E402
from registry import control_line, error, failure, result_line, selected, show, weighed  # noqa: E402
from world import World  # noqa: E402

WORKERS = 24
SPARE = 10.0  # seconds of the deadline for the controls at the end and the report


def collect(world):
    """All attempts that there are: those that must run before any thread does, and the others."""
    world.plan = network.Plan(world)
    first = container.attempts(world) + files.attempts(world)
    rest = links.attempts(world) + world.plan.attempts + resolver.attempts(world)
    rest += proxy.attempts(world) + handshake.attempts(world) + inside.attempts(world)
    return first, rest


def attempt_all(world, start):
    """Runs what input.json asks for: (attempt, outcome) in order."""
    end = start + world.given.deadline - SPARE
    first, rest = collect(world)
    chosen = selected(first + rest, world.given.only)
    early = {attempt.id for attempt in first}
    outcomes = {}
    for attempt in chosen:
        if attempt.id in early:
            outcomes[attempt.id] = _one(attempt, end)
    later = [attempt for attempt in chosen if attempt.id not in early]
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        dialled = pool.submit(world.plan.launch, later)
        planned = {attempt.id for attempt in world.plan.attempts}
        running = {attempt.id: pool.submit(_one, attempt, end) for attempt in later if attempt.id not in planned}
        dialled.result()
        for attempt in later:
            if attempt.id not in running:
                running[attempt.id] = pool.submit(_one, attempt, end)
        outcomes.update({name: future.result() for name, future in running.items()})
    return [(attempt, outcomes[attempt.id]) for attempt in chosen]


def _one(attempt, end):
    """The Outcome of an attempt."""
    if time.monotonic() > end:
        return error("not in time")
    try:
        return attempt.run()
    except Exception as problem:  # pylint: disable=broad-except
        return failure(problem)


def run(given, out=sys.stdout):
    """One run, from the input to the last line."""
    start = time.monotonic()
    world = World(given)
    try:
        world.check()
        found = attempt_all(world, start)
        world.check_again()
        for control in world.controls.values():
            show(control_line(control), out)
        for attempt, outcome in found:
            show(result_line(attempt, weighed(attempt, outcome, world.controls)), out)
    finally:
        world.close()
    show({"type": "end", "attempts": len(found)}, out)


def main():
    """The program."""
    sys.dont_write_bytecode = True
    os.umask(0o077)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 4096 and hard != soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096 if hard == resource.RLIM_INFINITY else min(hard, 4096), hard))
    try:
        given = inputs.load(HERE / "input.json")
    except (inputs.InputError, OSError, ValueError, KeyError, TypeError) as problem:
        sys.exit(f"bottler-probe: input.json: {problem}")
    if given.identity == "root" and os.getuid() != 0:
        sys.exit("bottler-probe: input.json says root, but this is another user")
    run(given)


if __name__ == "__main__":
    main()

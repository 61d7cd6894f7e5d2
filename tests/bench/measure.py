#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures a bottle against a container without proxies; run.sh sets both up.

usage: measure.py BOTTLE DIRECT FILE     BOTTLE: the prefix of its containers' names; FILE gets all figures as JSON

Environment: BENCH_SSE_SECONDS (600), BENCH_BYTES (1 GiB), BENCH_SCANNED_BYTES (8 MiB), BENCH_UPLOAD_BYTES (32 MiB),
BENCH_REQUESTS (500), BENCH_CROWD (200). Ends with 1 when something was not answered, altered, cut off or too large.
"""
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

CLIENT = pathlib.Path(__file__).resolve().parent.parent / "rig" / "stream_client.py"
MIB = 1 << 20
EVENT_GAP = 1
QUIET_GAP = 150  # longer than pipelock's own limit of idle tunnels
HOSTS = {"scanned": "scanned.example.com", "masked": "masked.example.com", "passthrough": "passed.example.com"}
USAGE = ("memory.usage_in_bytes", "memory.current")
LIMIT = ("memory.limit_in_bytes", "memory.max")


def number(name, default):
    """A size from the environment."""
    return int(os.environ.get(name, default))


class Failed(Exception):
    """A figure that is not as it should be."""


def client(container, *arguments):
    """What the client says in a container."""
    with open(CLIENT, "rb") as program:
        done = subprocess.run(["docker", "exec", "--interactive", container, "python3", "-", *map(str, arguments)],
                              stdin=program, capture_output=True, check=False)
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, arguments))}: {done.stderr.decode()[-500:]}")
    return json.loads(done.stdout)


class Memory:
    """The most that a container used while a block ran, sampled."""

    def __init__(self, container):
        full = subprocess.run(["docker", "inspect", "--format", "{{.Id}}", container], capture_output=True, check=True)
        wanted = full.stdout.decode().strip()
        roots = [pathlib.Path("/sys/fs/cgroup/memory"), pathlib.Path("/sys/fs/cgroup")]
        self.group = next(found for root in roots for found in root.glob(f"*/{wanted}") if self.read(found, USAGE))
        self.limit = self.read(self.group, LIMIT)

    @staticmethod
    def read(group, names):
        """The first of the files that is there, as a number."""
        for name in names:
            if (group / name).exists():
                return int((group / name).read_text())
        return None

    def __enter__(self):
        self.before = self.most = self.read(self.group, USAGE)
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def _watch(self):
        while not self.done.wait(0.1):
            self.most = max(self.most, self.read(self.group, USAGE))

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()

    def figures(self):
        """In MiB."""
        return {"before": self.before // MIB, "most": self.most // MIB, "limit": self.limit // MIB}


class Bench:
    """The figures, and what was wrong with them."""

    def __init__(self, bottle, direct):
        self.agent, self.direct, self.bottle = f"{bottle}.agent", direct, bottle
        self.figures, self.wrong = {}, []

    def check(self, what, good):
        """Notes a failure."""
        if not good:
            self.wrong.append(what)
            print(f"  NOT AS IT SHOULD BE: {what}")

    def ways(self, *names):
        """(name, container, host), the direct one first."""
        return [("direct", self.direct, HOSTS["scanned"])] + [(name, self.agent, HOSTS[name]) for name in names]

    def latency(self, verb, title):
        """Requests one by one."""
        count = number("BENCH_REQUESTS", 500)
        print(f"{title}, {count} requests: milliseconds")
        base = None
        for name, container, host in self.ways("scanned", "masked", "passthrough"):
            client(container, verb, host, 10)
            got = client(container, verb, host, count)
            self.figures[f"{verb}.{name}"] = got
            self.check(f"{verb} {name}: {got['outcomes']}", got["outcomes"] == {"own answer": count})
            ms = got["ms"]
            base = base or ms
            added = "" if ms is base else (f"   +{ms['p50'] - base['p50']:.1f} (x{ms['p50'] / base['p50']:.1f})"
                                           f"   +{ms['p99'] - base['p99']:.1f} (x{ms['p99'] / base['p99']:.1f})")
            print(f"  {name:<12} p50 {ms['p50']:>7.1f}   p99 {ms['p99']:>7.1f}{added}")

    def crowd(self):
        """All at once."""
        count = number("BENCH_CROWD", 200)
        print(f"{count} requests at once: seconds until all are answered")
        base = None
        for name, container, host in self.ways("scanned", "passthrough"):
            got = client(container, "crowd", host, count)
            self.figures[f"crowd.{name}"] = got
            self.check(f"crowd {name}: {got['outcomes']}", got["outcomes"] == {"own answer": count})
            base = base or got["seconds"]
            print(f"  {name:<12} {got['seconds']:>7.2f}" + ("" if name == "direct" else f"   (x{got['seconds'] / base:.1f})"))

    def transfer(self, verb, size, names, *more):
        """A download or an upload: MiB/s, unaltered, and the memory of the proxies meanwhile."""
        print(f"{verb} of {size // MIB} MiB: MiB/s")
        base = None
        for name, container, host in self.ways(*names):
            with Memory(f"{self.bottle}.egress") as egress, Memory(f"{self.bottle}.pipelock") as pipelock:
                got = client(container, verb, host, size, *more)
            rate = size / MIB / got["seconds"]
            base = base or (rate, got)
            memory = {"egress": egress.figures(), "pipelock": pipelock.figures()}
            self.figures[f"{verb}.{size // MIB}MiB.{name}"] = {**got, "rate": round(rate, 2), "memory": memory}
            whole = got["got"] == got["sent"] if verb == "upload" else got["bytes"] == size and got["sha256"] == base[1]["sha256"]
            self.check(f"{verb} {name}: {str(got)[:300]}", got["status"] == 200 and whole)
            shown = "" if name == "direct" else f"   (x{rate / base[0]:.3f})" + "".join(
                f"   {role} {now['before']} -> {now['most']} of {now['limit']} MiB" for role, now in memory.items())
            print(f"  {name:<12} {rate:>7.1f}{shown}")
            if name != "direct":
                bound = max(64, memory["egress"]["before"] + 32)
                self.check(f"memory of egress during {verb}: {memory['egress']}", memory["egress"]["most"] <= bound)

    def streams(self, pool):
        """Server-sent events on every kind of route, and a quiet stream; run beside everything else."""
        seconds = number("BENCH_SSE_SECONDS", 600)
        jobs = {name: pool.submit(client, self.agent, "events", host, seconds // EVENT_GAP, EVENT_GAP) for name, host in HOSTS.items()}
        if seconds >= 2 * QUIET_GAP:
            jobs["quiet"] = pool.submit(client, self.agent, "events", HOSTS["scanned"], seconds // QUIET_GAP, QUIET_GAP)
        return seconds, jobs

    def finish(self, seconds, jobs):
        """Waits for the streams."""
        print(f"server-sent events for {seconds} s, beside all of this")
        for name, job in jobs.items():
            gap = QUIET_GAP if name == "quiet" else EVENT_GAP
            got = job.result()
            self.figures[f"events.{name}"] = got
            self.check(f"events {name}: {got}", got["status"] == 200 and got["events"] == seconds // gap)
            print(f"  {name:<12} {got['events']} events, one each {gap} s; the first after {got['first']:.2f} s, "
                  f"the longest gap {got['longest_gap']:.2f} s")


def main():
    bottle, direct, file = sys.argv[1:4]
    bench = Bench(bottle, direct)
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        seconds, jobs = bench.streams(pool)
        try:
            bench.latency("visits", "a connection for each request")
            bench.latency("sequence", "one connection")
            bench.crowd()
            bench.transfer("fetch", number("BENCH_BYTES", 1 << 30), ["passthrough"], "words")
            bench.transfer("upload", number("BENCH_UPLOAD_BYTES", 32 * MIB), ["passthrough"])
            bench.transfer("fetch", number("BENCH_SCANNED_BYTES", 8 * MIB), ["scanned", "masked"], "words")
        except Failed as error:
            bench.check(str(error), False)
        try:
            bench.finish(seconds, jobs)
        except Failed as error:
            bench.check(str(error), False)
    pathlib.Path(file).write_text(json.dumps(bench.figures, indent=1) + "\n", encoding="ascii")
    print(f"{time.monotonic() - began:.0f} s, {len(bench.wrong)} figures not as they should be; all of them are in {file}")
    return 1 if bench.wrong else 0


if __name__ == "__main__":
    sys.exit(main())

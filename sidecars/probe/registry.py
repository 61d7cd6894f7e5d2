# SPDX-License-Identifier: Apache-2.0
"""What an attempt is, what its outcome can be, and what the probe writes about it.

`denied` needs evidence of a refusal, and a control that worked in the same run. `open` needs
neither control nor company: something got through. What cannot be told is an `error`; what does not
apply to this bottle is `skipped`, with the reason.
"""
import fnmatch
import json
import sys
from collections import namedtuple
from dataclasses import dataclass
from typing import Callable

MAX_EVIDENCE = 400

Outcome = namedtuple("Outcome", "verdict evidence")
Control = namedtuple("Control", "id title ok evidence")


def denied(evidence):
    """The attempt was refused; `evidence` says by what."""
    return Outcome("denied", evidence)


def got_out(evidence):
    """The attempt succeeded."""
    return Outcome("open", evidence)


def error(evidence):
    """Nobody can tell."""
    return Outcome("error", evidence)


def skipped(reason):
    """The attempt means nothing for this bottle."""
    return Outcome("skipped", reason)


@dataclass(frozen=True)
class Attempt:
    """One attempt. `run()` returns its Outcome; ids are stable, addresses in them apart."""

    id: str
    row: str  # of the list of tests, B.1 to B.3
    kind: str  # network | dns | proxy | container
    title: str
    control: str  # id of the control without which a refusal means nothing
    run: Callable


def failure(exception):
    """The Outcome of an attempt that ended with an exception nobody expected."""
    return error(f"the probe failed: {type(exception).__name__}: {exception}")


def selected(attempts, globs):
    """The attempts whose ids match one of the globs (all without globs), each id once."""
    chosen = {}
    for attempt in attempts:
        if not globs or any(fnmatch.fnmatchcase(attempt.id, glob) for glob in globs):
            chosen.setdefault(attempt.id, attempt)
    return list(chosen.values())


def weighed(attempt, outcome, controls):
    """The outcome as it may be reported: no refusal counts without its control."""
    control = controls.get(attempt.control)
    if outcome.verdict != "denied" or (control is not None and control.ok):
        return outcome
    why = control.evidence if control is not None else "it was not run"
    return error(f"control {attempt.control} failed ({why}); without it: {outcome.evidence}")


def show(record, out=sys.stdout):
    """Writes one line of JSON, ASCII."""
    out.write(json.dumps(record, ensure_ascii=True) + "\n")
    out.flush()


def control_line(control):
    """A control as the report shows it."""
    return {"type": "control", "id": control.id, "title": control.title, "ok": control.ok, "evidence": cut(control.evidence)}


def result_line(attempt, outcome):
    """An attempt and its outcome as the report shows them."""
    return {
        "type": "result", "id": attempt.id, "row": attempt.row, "class": attempt.kind, "title": attempt.title,
        "verdict": outcome.verdict, "evidence": cut(outcome.evidence), "control": attempt.control,
    }


def cut(text):
    """A text of bounded length."""
    return text if len(text) <= MAX_EVIDENCE else text[:MAX_EVIDENCE - 1] + "…"

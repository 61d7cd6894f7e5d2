# SPDX-License-Identifier: Apache-2.0
"""What is in flight, said in the log, so that the controller can tell an idle agent from a busy one.

A line holds until the next one. Lines are at least `GAP` seconds apart; what changes meanwhile is said at the
end of the gap, so the latest line is true after `GAP` seconds at most.
"""
import asyncio
import datetime

import jsonlog

GAP = 1.0
OTHER_LINES = 256  # after so many lines it is said again, for who reads the end of the log


def _now():
    """This moment as the log writes it."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Activity:
    """The clients whose connection carries something: HTTP/1.1, so one request each."""

    def __init__(self):
        self._busy = set()
        self._since = _now()  # when it became idle, or busy
        self._said = None
        self._loop = None  # until the first line is due
        self._not_before = 0.0
        self._timer = None

    def start(self):
        """Says the first line."""
        self._loop = asyncio.get_running_loop()
        jsonlog.every(OTHER_LINES, self._say_again)
        self._changed()

    def begin(self, client):
        """A client (its id) has something in flight."""
        if not self._busy:
            self._since = _now()
        self._busy.add(client)
        self._changed()

    def end(self, client):
        """It is finished, or the client is gone. Nothing happens when there was nothing."""
        if client not in self._busy:
            return
        self._busy.remove(client)
        if not self._busy:
            self._since = _now()
        self._changed()

    def in_flight(self):
        """How many clients have something in flight."""
        return len(self._busy)

    def is_busy(self, client):
        """Whether this one has."""
        return client in self._busy

    def _state(self):
        """What a line says."""
        return len(self._busy), self._since

    def _changed(self):
        """Says the state, at once or at the end of the gap."""
        if self._timer or not self._loop or not self._loop.is_running():
            return
        wait = self._not_before - self._loop.time()
        if wait > 0:
            self._timer = self._loop.call_later(wait, self._say)
        else:
            self._say()

    def _say_again(self):
        """The last line has gone far up in the log."""
        self._said = None
        self._changed()

    def _say(self):
        """Writes the line, when it is another one than the last."""
        self._timer = None
        if self._state() == self._said:
            return
        self._said = in_flight, since = self._state()
        self._not_before = self._loop.time() + GAP
        jsonlog.emit("activity", in_flight=in_flight, since=since)

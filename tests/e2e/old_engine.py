#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An engine that is too old: says so on a Unix socket, and refuses all else.

usage: old_engine.py SOCKET
"""

import sys

from fake_engine import FakeEngine, serve

FACTS = {"Version": "1.12.6", "ApiVersion": "1.24", "MinAPIVersion": "1.12", "Os": "linux"}


class OldEngine(FakeEngine):
    api = "1.24"
    software = "Docker/1.12.6 (linux)"

    def answer(self):
        path = self.path.split("?")[0]
        if path.endswith("/_ping"):
            self.reply(200, b"OK", "text/plain")
        elif path.endswith("/version"):
            self.reply(200, FACTS)
        else:
            self.reply(400, {"message": "client is newer than server (server API version: 1.24)"})


if __name__ == "__main__":
    serve(sys.argv[1], OldEngine)

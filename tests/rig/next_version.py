#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""next_version.py SOURCE TARGET: a bottler of the day after tomorrow.

Copies the source tree and gives the copy other defaults and a new field, as a later version might. Every edit must
find what it edits, once.
"""

import pathlib
import shutil
import sys

PARTS = ("Makefile", "spec", "render", "reconcile", "controller", "sidecars", "tests/rig")

TABLE = "spec/fields_table.c"
EDITS = (
    # Other defaults, of every class of change.
    (TABLE, '"memory", FIELD_MEMORY, 0, CHANGE_LIVE, .def = "2Gi"', '"memory", FIELD_MEMORY, 0, CHANGE_LIVE, .def = "3Gi"'),
    (TABLE, '"pids", FIELD_INT, 0, CHANGE_LIVE, .def = "512"', '"pids", FIELD_INT, 0, CHANGE_LIVE, .def = "400"'),
    (TABLE, '"cpus", FIELD_CPUS, 0, CHANGE_LIVE,', '"cpus", FIELD_CPUS, 0, CHANGE_LIVE, .def = "0.5",'),
    (TABLE, '"tty", FIELD_BOOL, 0, CHANGE_AGENT, .def = "false"', '"tty", FIELD_BOOL, 0, CHANGE_AGENT, .def = "true"'),
    (TABLE, '"runtime", FIELD_RUNTIME, 0, CHANGE_AGENT, .def = "auto"', '"runtime", FIELD_RUNTIME, 0, CHANGE_AGENT, .def = "runc"'),
    (TABLE, '"working_dir", FIELD_PATH, 0, CHANGE_AGENT,', '"working_dir", FIELD_PATH, 0, CHANGE_AGENT, .def = "/tmp",'),
    (TABLE, '"read_only", FIELD_BOOL, 0, CHANGE_AGENT, .def = "false"', '"read_only", FIELD_BOOL, 0, CHANGE_AGENT, .def = "true"'),
    (TABLE, '"mode", FIELD_MODE, 0, CHANGE_AGENT, .def = "0644"', '"mode", FIELD_MODE, 0, CHANGE_AGENT, .def = "0600"'),
    (TABLE, '"restart", FIELD_ENUM, 0, CHANGE_NONE, .def = "always"', '"restart", FIELD_ENUM, 0, CHANGE_NONE, .def = "never"'),
    (TABLE, '.def = "false", AT(struct route, tls_passthrough)', '.def = "true", AT(struct route, tls_passthrough)'),
    (TABLE, '"dlp_action", FIELD_ENUM, 0, CHANGE_SIDECAR, .def = "block"', '"dlp_action", FIELD_ENUM, 0, CHANGE_SIDECAR, .def = "warn"'),
    (TABLE, '"log", FIELD_INT, 0, CHANGE_RELOAD, .def = "1"', '"log", FIELD_INT, 0, CHANGE_RELOAD, .def = "2"'),
    # A new field, which is in the hash of an agent that has it.
    (TABLE, '    {AGENT, "tty",', '    {AGENT, "domain", FIELD_NAME, 0, CHANGE_AGENT, AT(struct agent_spec, domain),\n'
     '     .help = "Its domain name."},\n    {AGENT, "nice", FIELD_INT, 0, CHANGE_AGENT, .def = "0", .min = 0, .max = 19,\n'
     '     AT(struct agent_spec, nice), .help = "How nice it is."},\n    {AGENT, "tty",'),
    ("spec/bottle.h", "    bool tty;\n", "    bool tty;\n    char *domain;\n    int nice;\n"),
    ("spec/bottle.c", "    free(a->runtime);\n", "    free(a->runtime);\n    free(a->domain);\n"),
    ("render/agent.c", "    if (a->tty)\n        json_put(o,",
     '    if (a->nice)\n        json_put(o, "nice", json_integer(a->nice));\n    if (a->domain)\n'
     '        json_put_text(o, "domain", a->domain);\n    if (a->tty)\n        json_put(o,'),
    ("render/agent.c", "    if (a->tty) {\n", '    if (a->domain)\n        json_put_text(c->body, "Domainname", a->domain);\n    if (a->tty) {\n'),
)


def main(source: pathlib.Path, target: pathlib.Path) -> None:
    for part in PARTS:
        copy = shutil.copytree if (source / part).is_dir() else shutil.copy2
        (target / part).parent.mkdir(parents=True, exist_ok=True)
        copy(source / part, target / part)
    (target / "build").mkdir()
    for stamp in (source / "build").glob("deps-*.mk"):
        shutil.copy2(stamp, target / "build")
    for name, old, new in EDITS:
        path = target / name
        text = path.read_text()
        if text.count(old) != 1:
            sys.exit(f"next_version.py: {name} has {text.count(old)} of '{old}', expected one")
        path.write_text(text.replace(old, new))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))

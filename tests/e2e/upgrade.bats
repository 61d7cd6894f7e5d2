#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Another version of bottler, with other defaults and new fields, takes over what stands: nothing is replaced, reloaded,
# restarted or updated. The tests share one installation and follow each other.

bats_require_minimum_version 1.5.0

load lib

setup_file() {
	e2e_engine_start agent || return 1
	[ -z "${E2E_SKIP:-}" ] || return 0
	export E2E_ROOT=$BATS_FILE_TMPDIR
	export NEXT=$BATS_FILE_TMPDIR/next/build/debug/bottler
	"$RIG_DIR/next_version.py" "$E2E_REPO" "$BATS_FILE_TMPDIR/next" || return 1
	make -s -C "$BATS_FILE_TMPDIR/next" -j2 MODE=debug CFLAGS='-g0 -w' build/debug/bottler >"$BATS_FILE_TMPDIR/make.log" 2>&1 || {
		tail -n 30 -- "$BATS_FILE_TMPDIR/make.log" >&2
		return 1
	}
	inst_make
}
teardown_file() {
	[ -n "${E2E_SKIP:-}" ] || [ -z "${E2E_ROOT:-}" ] || controller_stop
	e2e_engine_stop
}
setup() { e2e_setup; }

# What leaves nearly everything open, and what says much of it.
small() { bottle small "del(.spec.egress) | .spec.agent |= {image, command} | ${1:-.}"; }
full() {
	bottle full ".spec.agent += {working_dir: \"/home\", env: {LEVEL: \"one\"}, tty: false, restart: \"on_failure\",
			mounts: [{volume: \"cache\", target: \"/cache\"}, {volume: \"more\", target: \"/more\", read_only: true}],
			files: [{path: \"/notes\", content: \"Be careful.\"}, {path: \"/key\", secret: \"FULL_KEY\", mode: \"0400\"}],
			resources: {memory: \"300Mi\"}}
		| .spec.egress += {allowlist: [\"files.example.com\"], dlp_action: \"block\"}
		| .spec.egress.routes[0].auth = {scheme: \"Bearer\", token_ref: \"FULL_TOKEN\"} | ${1:-.}"
}

# Containers, when they were started, and networks, of a bottle.
standing() {
	for role in agent egress pipelock; do
		printf '%s %s\n' "$role" "$(container_started "$1" "$role")"
	done
	docker network ls --no-trunc --format '{{.Name}} {{.ID}}' | grep -F "$INST.$1." | sort
}
setting() { docker inspect --format "$2" "$(container "$1" agent)"; }
mutations() { bottler_get | jq '.controller.mutatingRequests'; }
has_mutated() { [ "$(mutations)" -gt "$1" ]; }

@test "a version with other defaults and new fields changes nothing that stands, and asks the engine for nothing" {
	secret FULL_TOKEN token-0123456789abcdef
	secret FULL_KEY key-0123456789abcdef
	controller_start
	small | put small.yaml
	full | put full.yaml
	wait_ready small
	wait_ready full
	[ "$(mutations)" -gt 0 ]
	standing small >"$BATS_FILE_TMPDIR/small"
	standing full >"$BATS_FILE_TMPDIR/full"
	controller_stop

	# It is another one: a bottle that says nothing would be another.
	[ "$("$BOTTLER" explain spec.agent.tty | grep DEFAULT)" != "$("$NEXT" explain spec.agent.tty | grep DEFAULT)" ]
	local at
	at=$(mark)
	BOTTLER=$NEXT controller_start
	wait_ready small
	wait_ready full
	wait_for 120 passed "$at" 3
	[ "$(mutations)" -eq 0 ]
	[ -z "$(changes_since "$at")" ]
	diff -u "$BATS_FILE_TMPDIR/small" <(standing small)
	diff -u "$BATS_FILE_TMPDIR/full" <(standing full)
	[ "$(generation small)" -eq 1 ]
	[ "$(generation full)" -eq 1 ]
}

@test "an edit of one field changes that and nothing that is open" {
	local before
	before=$(mutations)
	# In place: the rest of the limits stay as they were.
	small '.spec.agent.resources = {pids: 300}' | put small.yaml
	wait_later small 1
	has_mutated "$before"
	# It is told with what it was, not with what a new bottle would be.
	"$BOTTLER" history small --socket "$(inst_dir)/socket" | grep -F 'spec.agent.resources.pids' | grep -F '512 -> 300'
	diff -u "$BATS_FILE_TMPDIR/small" <(standing small)
	[ "$(setting small '{{.HostConfig.PidsLimit}} {{.HostConfig.Memory}}')" = "300 $((2 << 30))" ]
	[ "$(setting small '{{.HostConfig.NanoCpus}}')" != 500000000 ]
	# By another agent: with everything else as it was.
	small '.spec.agent.resources = {pids: 300} | .spec.agent.env = {LEVEL: "two"}' | put small.yaml
	wait_later small 2
	run ! diff <(grep ^agent "$BATS_FILE_TMPDIR/small") <(standing small | grep ^agent)
	diff -u <(grep -v ^agent "$BATS_FILE_TMPDIR/small") <(standing small | grep -v ^agent)
	[ "$(setting small '{{.Config.Tty}} {{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}')" = "false $((2 << 30)) 0" ]
	[ "$(setting small '{{.Config.WorkingDir}}')" != /tmp ]
	# A reload: not with the new level of its log.
	full '.spec.egress.routes[0].methods = ["GET"]' | put full.yaml
	wait_later full 1
	diff -u "$BATS_FILE_TMPDIR/full" <(standing full)
	docker cp "$(container full egress):/etc/bottler/routes.yaml" - | tar -xO | grep -qx 'log: 1'
	# A new field.
	full '.spec.egress.routes[0].methods = ["GET"] | .spec.agent.domain = "example"' | put full.yaml
	wait_later full 2
	[ "$(setting full '{{.Config.Domainname}}')" = example ]
	diff -u <(grep -v ^agent "$BATS_FILE_TMPDIR/full") <(standing full | grep -v ^agent)
}

@test "a new bottle has the new defaults, and plan knows which has which" {
	bottle new 'del(.spec.egress) | .spec.agent |= {image, command}' | put new.yaml
	wait_ready new
	[ "$(setting new '{{.Config.Tty}} {{.Config.WorkingDir}} {{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}')" = "true /tmp $((3 << 30)) 400" ]
	local arguments
	mapfile -t arguments < <(inst_run_arguments | sed '/^--socket$/,+1d')
	run -0 "$NEXT" plan "${arguments[@]:1}"
	[[ $output == *"no change"* ]]
	# And going back changes nothing either: what the older version doesn't know isn't used.
	standing new >"$BATS_FILE_TMPDIR/new"
	standing small >"$BATS_FILE_TMPDIR/small"
	controller_stop
	local at
	at=$(mark)
	controller_start
	wait_ready new
	wait_ready small
	wait_for 120 passed "$at" 3
	diff -u "$BATS_FILE_TMPDIR/new" <(standing new)
	diff -u "$BATS_FILE_TMPDIR/small" <(standing small)
	[ "$(mutations)" -eq 0 ]
}

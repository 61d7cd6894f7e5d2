#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# attest: proof from inside the bottle, and from the engine. The tests share one installation of two bottles.

load lib

setup_file() {
	e2e_engine_start agent || return 1
	[ -z "${E2E_SKIP:-}" ] || return 0
	export E2E_ROOT=$BATS_FILE_TMPDIR
	inst_make
	controller_start
	bottle one | put one.yaml
	bottle two '.spec.agent.user = "agent" | .spec.egress = {}' | put two.yaml
	wait_ready one
	wait_ready two
}
teardown_file() {
	[ -n "${E2E_SKIP:-}" ] || [ -z "${E2E_ROOT:-}" ] || controller_stop
	e2e_engine_stop
}
setup() {
	e2e_setup
	REPORT=$BATS_TEST_TMPDIR/report
}
# What a test has opened is closed again, and the controller is there for the next.
teardown() {
	e2e_engine_is_ours || return 0
	controller_stop
	docker network disconnect --force "$INST.one.out" "$(container one agent)" 2>/dev/null || true
	docker network disconnect --force bridge "$(container one agent)" 2>/dev/null || true
	controller_start
	wait_ready one
	wait_ready two
}

# attest ARGUMENT...: on the engine's host; JSON in $REPORT, talk in the file `talk`; gives the exit status back.
attest() {
	engine_exec "$E2E_ENGINE" "$BOTTLER" attest --engine "$DOCKER_HOST" --instance "$INST" -o json "$@" \
		>"$REPORT" 2>"$BATS_TEST_TMPDIR/talk"
}
# The status of a command that may fail, and what was not denied, for the record.
status_of() {
	status=0
	"$@" || status=$?
	cat -- "$BATS_TEST_TMPDIR/talk"
	jq -c '(.items // [.])[] | .results[] | select(.verdict != "denied")' "$REPORT" || true
}
report() { jq -er "$1" "$REPORT"; }
# verdict_of ID [AS]: of the row, or of the worst of several.
verdict_of() {
	jq -r --arg id "$1" --arg who "${2:-}" '[.results[] | select(.id == $id and ($who == "" or .as == $who)) | .verdict] | unique | join(",")' "$REPORT"
}
no_probe() {
	local left
	left=$(docker ps --all --format '{{.Names}}' | grep -F .probe- || true)
	[ -z "$left" ] || { printf 'left: %s\n' "$left"; return 1; }
}
probe_runs() { docker ps --format '{{.Names}}' | grep -qF ".$1.probe-"; }

@test "a good bottle is sealed, it is not touched, and no probe stays" {
	local before role
	before=$(for role in agent egress pipelock; do container_started one "$role"; done)
	status_of attest one
	[ "$status" -eq 0 ]
	no_probe
	[ "$(report .kind)" = AttestReport ]
	[ "$(report .bottle)" = one ]
	[ "$(report .verdict)" = sealed ]
	[ "$(report .user)" = 1000:1000 ]
	[ "$(report .engine.version)" = "$(docker version --format '{{.Server.Version}}')" ]
	[ "$(report .summary.denied)" -ge 120 ]
	[ "$(report .summary.open)" -eq 0 ]
	[ "$(report .summary.error)" -eq 0 ]
	report '.controls | length >= 3 and all(.ok)'
	# Every class, as the agent's user and as root; and what only the engine and its host can tell.
	for class in network dns proxy container; do
		for as in user root; do
			[ "$(jq --arg c "$class" --arg who "$as" '[.results[] | select(.class == $c and .as == $who and .verdict == "denied")] | length' "$REPORT")" -ge 5 ]
		done
	done
	[ "$(verdict_of I.agent.capabilities)" = denied ]
	[ "$(verdict_of HOST.tcp)" = denied ]
	[ "$(verdict_of HOST.udp)" = denied ]
	report '.results | all(.evidence != "")'
	[ "$before" = "$(for role in agent egress pipelock; do container_started one "$role"; done)" ]
}

@test "all bottles of the instance: a list; a user by name is found by the agent's process" {
	status_of attest --all
	[ "$status" -eq 0 ]
	no_probe
	[ "$(report .kind)" = List ]
	[ "$(report '[.items[].bottle] | join(" ")')" = 'one two' ]
	report '.items | all(.verdict == "sealed")'
	[ "$(report '.items[1].user')" = 1000:1000 ]
}

@test "what the manifest has told pipelock to let pass is no way out" {
	bottle warned '.spec.egress.dlp_action = "warn"' | put warned.yaml
	wait_ready warned
	status_of attest warned --only 'P17.*'
	[ "$(report .summary.open)" -eq 0 ]
	report '[.results[] | select(.verdict == "skipped" and (.evidence | contains("pipelock warn")))] | length >= 5'
	rm -- "$(manifests)/warned.yaml"
	wait_for 30 none_of warned
	# Where it is to block, the same attempts are made, and denied.
	status_of attest one --only 'P17.*'
	report '[.results[] | select(.class == "proxy" and .verdict == "denied")] | length >= 10'
}

@test "on pipelock's way out by hand: open, seen by the engine and from inside" {
	controller_stop
	docker network connect "$INST.one.out" "$(container one agent)"
	status_of attest one --target 198.51.100.10:443
	[ "$status" -eq 1 ]
	no_probe
	[ "$(report .verdict)" = open ]
	[ "$(verdict_of I.agent.networks)" = open ]
	[ "$(verdict_of I.net-out.members)" = open ]
	# A connection got out, as user and as root.
	for as in user root; do
		[ "$(jq --arg who "$as" '[.results[] | select(.as == $who and .class == "network" and .verdict == "open")] | length' "$REPORT")" -ge 1 ]
		jq -e --arg who "$as" '.results | any(.as == $who and .verdict == "open" and (.id | contains("198.51.100.10")))' "$REPORT"
	done
}

@test "what reaches the host is heard there" {
	controller_stop
	docker network connect bridge "$(container one agent)"
	status_of attest one --only 'HOST.*' --only 'I.agent.*' --only 'N*'
	[ "$status" -eq 1 ]
	no_probe
	[ "$(verdict_of HOST.tcp)" = open ]
	jq -r '.results[] | select(.id == "HOST.tcp") | .evidence' "$REPORT" | grep -E '^[0-9]+ arrived, the first from 172\.'
	[ "$(verdict_of I.agent.networks)" = open ]
	# Only what was asked for.
	report '[.results[] | select(.as == "host") | .id] | all(test("^(HOST|I\\.agent|A)\\."))'
	report '[.results[] | select(.as != "host" and .class != "attest") | .id] | length > 100 and all(startswith("N"))'
}

@test "Ctrl-C: the probe is removed" {
	local pid
	status=0
	"$BOTTLER" attest one --engine "$DOCKER_HOST" --instance "$INST" >"$REPORT" 2>"$BATS_TEST_TMPDIR/talk" 3>&- &
	pid=$!
	wait_for 30 probe_runs one
	kill -s INT "$pid"
	wait "$pid" || status=$?
	cat -- "$BATS_TEST_TMPDIR/talk"
	[ "$status" -eq 1 ]
	no_probe
	[ ! -s "$REPORT" ]
	grep -q 'interrupted: nothing is proven' "$BATS_TEST_TMPDIR/talk"
}

@test "too little time: what is known is told, and the exit says so" {
	status_of attest one --timeout 2
	[ "$status" -eq 3 ]
	no_probe
	[ "$(report .verdict)" = unproven ]
	[ "$(verdict_of I.agent.privileged)" = denied ]
	[ "$(verdict_of A.end)" = error ]
}

@test "an agent that doesn't run proves nothing" {
	controller_stop
	docker stop --time 0 "$(container one agent)" >/dev/null
	status_of attest one
	[ "$status" -eq 1 ]
	[ "$(report .verdict)" = unproven ]
	[ "$(verdict_of A.agent)" = error ]
	[ "$(verdict_of I.agent.privileged)" = denied ]
}

@test "an agent that is restarted meanwhile proves nothing" {
	local pid
	status=0
	controller_stop
	attest one &
	pid=$!
	wait_for 30 probe_runs one
	docker restart --time 0 "$(container one agent)" >/dev/null
	wait "$pid" || status=$?
	cat -- "$BATS_TEST_TMPDIR/talk"
	[ "$status" -eq 1 ]
	no_probe
	[ "$(report .verdict)" != sealed ]
	[[ $(verdict_of A.agent.changed) == *error* ]]
}

@test "without the egress container there is nothing to prove it with" {
	controller_stop
	docker rm --force "$(container two egress)" >/dev/null
	status_of attest two
	[ "$status" -eq 1 ]
	no_probe
	[ "$(report .verdict)" = unproven ]
	[ "$(verdict_of A.image)" = error ]
	[ "$(verdict_of I.egress.present)" = error ]
}

@test "the table, and wrong usage" {
	run "$BOTTLER" attest one --engine "$DOCKER_HOST" --instance "$INST" --only 'I.*' -o wide
	printf '%s\n' "$output"
	[[ $output == *'VERDICT '*'EVIDENCE'* ]]
	grep -qE '^denied +host +inspect +I\.agent\.privileged ' <<<"$output"
	# From outside of the engine's host its listeners would hear nothing.
	run "$BOTTLER" attest one --engine "$DOCKER_HOST" --instance "$INST" --only 'HOST.*'
	grep -qE '^skipped +host +host +HOST\.tcp .*not in this network namespace' <<<"$output"

	run "$BOTTLER" attest --engine "$DOCKER_HOST" --instance "$INST"
	[ "$status" -eq 2 ]
	run "$BOTTLER" attest one --all --engine "$DOCKER_HOST" --instance "$INST"
	[ "$status" -eq 2 ]
	run "$BOTTLER" attest one --target host.example.com --engine "$DOCKER_HOST" --instance "$INST"
	[ "$status" -eq 2 ]
	[[ $output == *"--target 'host.example.com'"* ]]
	run "$BOTTLER" attest one --timeout soon --engine "$DOCKER_HOST" --instance "$INST"
	[ "$status" -eq 2 ]
	run "$BOTTLER" attest three --engine "$DOCKER_HOST" --instance "$INST"
	[ "$status" -eq 1 ]
	[[ $output == *"instance '$INST' has no bottle 'three' on this engine"* ]]
	run "$BOTTLER" attest --all --engine "$DOCKER_HOST" --instance other
	[ "$status" -eq 1 ]
	[[ $output == *"instance 'other' has no bottles on this engine"* ]]
	no_probe
}

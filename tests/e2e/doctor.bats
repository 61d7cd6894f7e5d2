#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# doctor: what an engine can and can't isolate, by what it tells and by trial; and the refusal to run on one that can't.

load lib

setup_file() { E2E_PARTS=engine e2e_engine_start; }
teardown_file() { e2e_engine_stop; }
setup() { e2e_setup; }
teardown() {
	[ -z "${HELPER:-}" ] || kill "$HELPER" 2>/dev/null || true
	e2e_engine_is_ours || return 0
	installations_end
}

# In the engine's own namespaces, as on its host. Data on stdout, talk in the file `talk`.
doctor_there() {
	engine_exec "$E2E_ENGINE" "$BOTTLER" doctor --engine "$DOCKER_HOST" --image "egress=$BOTTLER_IMAGE_EGRESS" "$@" \
		2>"$BATS_TEST_TMPDIR/talk"
}
row() { jq -er --arg id "$1" ".rows[] | select(.id == \$id) | $2" "$BATS_TEST_TMPDIR/report"; }
engine_minor() { docker version --format '{{.Server.APIVersion}}' | cut -d. -f2; }
# Everything that stands on the engine.
standing() {
	docker ps --all --quiet --no-trunc
	docker network ls --quiet --no-trunc | sort
	docker volume ls --quiet
}
# The names that were asked for outside, of a trial ("sealed", "plain").
asked_outside() {
	jq -r .name "$(engine_dir "$E2E_ENGINE")/dns.log" 2>/dev/null | grep -cE -- "^[0-9a-f]{16}-$1\.bottler-doctor\.invalid\.?$" || true
}
# An engine in Python in the background; SOCKET and LOG name its files.
unfit_engine() {
	SOCKET=$BATS_TEST_TMPDIR/unfit.sock LOG=$BATS_TEST_TMPDIR/unfit.log
	python3 "$E2E_REPO/tests/e2e/unfit_engine.py" "$SOCKET" "$LOG" 3>&- &
	HELPER=$!
	wait_for 10 test -S "$SOCKET"
}

@test "a trial on a real engine: a plain internal network leaks, bottler's doesn't, and nothing stays" {
	local before
	before=$(standing)
	run doctor_there -o json
	printf '%s\n' "$output" >"$BATS_TEST_TMPDIR/report"
	cat -- "$BATS_TEST_TMPDIR/talk"
	[ "$status" -eq 0 ]
	[ "$(jq -r .kind "$BATS_TEST_TMPDIR/report")" = DoctorReport ]
	[ "$(jq -r .verdict "$BATS_TEST_TMPDIR/report")" = sealed ]
	[ "$(jq .tried "$BATS_TEST_TMPDIR/report")" = true ]
	[ "$(jq .summary.fail "$BATS_TEST_TMPDIR/report")" -eq 0 ]
	[ "$(jq '.rows | length' "$BATS_TEST_TMPDIR/report")" -ge 25 ]

	# The host answers on a plain internal network of every engine, and on bottler's of none.
	[ "$(row network.host .state)" = mitigated ]
	[[ $(row network.host .engine) == *'answers containers on a plain internal network: 10.213.'*ECONNREFUSED* ||
		$(row network.host .engine) == *'took a connection'* ]]
	[[ $(row container.seccomp .engine) == *'tried: a filter is there'* ]]
	[ "$(row container.capabilities .state)" = ok ]
	[ "$(row network.ipv6 .state)" = ok ]

	# What the row says of names is what the name server has seen.
	[ "$(asked_outside sealed)" -eq 0 ]
	if [[ $(row network.dns .engine) == *'a plain internal network answers NXDOMAIN'* ]]; then
		[ "$(asked_outside plain)" -ge 1 ]
	else
		[ "$(asked_outside plain)" -eq 0 ]
	fi
	if [ "$(engine_minor)" -lt 48 ]; then
		[ "$(row network.gateway .state)" = mitigated ]
	else
		[ "$(row network.gateway .state)" = ok ]
	fi
	[ "$(standing)" = "$before" ]
	grep -q 'trying a network of bottler' "$BATS_TEST_TMPDIR/talk"
}

@test "the table, and an address pool that others are in" {
	docker network create --subnet 10.213.0.0/24 lab >/dev/null
	run doctor_there
	printf '%s\n' "$output"
	[ "$status" -eq 0 ]
	[[ ${lines[0]} == 'ROW '*'STATE '*'WHAT THE ENGINE DOES '*'WHAT BOTTLER DOES' ]]
	[[ ${lines[-1]} == *' 0 failed: bottles are sealed here' ]]
	grep -qE '^network\.pool +mitigated +address pool 10\.213\.0\.0/16: other networks are there: lab' <<<"$output"
	# The trial took slices that are free, so it ran.
	grep -qE '^container\.capabilities +ok +.*\(tried\)' <<<"$output"
}

@test "without an image nothing is tried, nothing is made, and it says so" {
	local place
	place=$(mark)
	"$BOTTLER" doctor --engine "$DOCKER_HOST" --image egress=no.such/image:1 -o json >"$BATS_TEST_TMPDIR/report"
	[ "$(jq .tried "$BATS_TEST_TMPDIR/report")" = false ]
	[ "$(row network.host .state)" = warn ]
	[[ $(row network.host .engine) == *"there is no image 'no.such/image:1'"* ]]
	[ -z "$(changes_since "$place")" ]
}

@test "Ctrl-C in the middle of the trial: everything is removed" {
	local before pid status=0
	before=$(standing)
	"$BOTTLER" doctor --engine "$DOCKER_HOST" --image "egress=$BOTTLER_IMAGE_EGRESS" >"$BATS_TEST_TMPDIR/out" \
		2>"$BATS_TEST_TMPDIR/talk" 3>&- &
	pid=$!
	running() { docker ps --format '{{.Names}}' | grep -q '^bottler-doctor-'; }
	wait_for 30 running
	kill -s INT "$pid"
	wait "$pid" || status=$?
	cat -- "$BATS_TEST_TMPDIR/talk"
	[ "$status" -eq 1 ]
	grep -q 'removing what the trial made' "$BATS_TEST_TMPDIR/talk"
	[ ! -s "$BATS_TEST_TMPDIR/out" ]
	[ "$(standing)" = "$before" ]
}

@test "an engine without seccomp: doctor fails it, and run refuses it before asking for anything else" {
	local dir status=0
	unfit_engine
	"$BOTTLER" doctor --engine "unix://$SOCKET" -o json >"$BATS_TEST_TMPDIR/report" || status=$?
	[ "$status" -eq 1 ]
	[ "$(jq -r .verdict "$BATS_TEST_TMPDIR/report")" = refused ]
	[ "$(row container.seccomp .state)" = fail ]
	[ "$(jq .summary.fail "$BATS_TEST_TMPDIR/report")" -eq 1 ]

	: >"$LOG"
	dir=$(inst_dir)
	BOTTLER_IMAGE_AGENT=example/agent:1 bottle one | put one.yaml
	run timeout 30 "$BOTTLER" run --once --manifests "$dir/manifests" --state "$dir/state" --secrets "$dir/secrets" \
		--engine "unix://$SOCKET" --instance "$INST" --socket "$dir/socket"
	printf '%s\n' "$output"
	[ "$status" -eq 4 ]
	[[ $output == *"this engine can't seal bottles: container.seccomp: system calls aren't filtered"* ]]
	[ "$(sort -u "$LOG")" = "$(printf '%s\n' 'GET /_ping' 'GET /v1.41/info' 'GET /version')" ]
}

@test "wrong usage" {
	run "$BOTTLER" doctor --engine "$DOCKER_HOST" -o name
	[ "$status" -eq 2 ]
	run "$BOTTLER" doctor --engine "$DOCKER_HOST" something
	[ "$status" -eq 2 ]
	run "$BOTTLER" doctor --engine "$DOCKER_HOST" --address-pool 192.0.2.0/24
	[ "$status" -eq 2 ]
	[[ $output == *'is not private'* ]]
	run "$BOTTLER" doctor --engine "unix://$BATS_TEST_TMPDIR/no.sock"
	[ "$status" -eq 1 ]
	[[ $output == *"$BATS_TEST_TMPDIR/no.sock"* ]]
}

#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# `apply` does exactly what a kept plan says, or nothing, and then says what has moved.
# shellcheck disable=SC2154 # `run` sets stderr
bats_require_minimum_version 1.5.0

load lib

setup_file() { e2e_engine_start agent; }
teardown_file() { e2e_engine_stop; }
setup() { e2e_setup; }
teardown() { installations_end; }

PLAN=plan.json
apply() { "$BOTTLER" apply "$BATS_TEST_TMPDIR/$PLAN"; }
keep_plan() { run bottler_plan --out "$BATS_TEST_TMPDIR/$PLAN" "$@"; }

# refused TEXT: the plan is refused, says so, and nothing was asked to change.
refused() {
	local at
	at=$(mark)
	run --separate-stderr apply
	[ "$status" -eq 4 ]
	[[ $output == *"$1"* ]] || { printf '%s\n' "$output"; return 1; }
	[[ $stderr == *"nothing was changed"* ]]
	[ -z "$(changes_since "$at")" ]
}

@test "a kept plan is carried out, to the step, and is stale afterwards" {
	bottle one '.spec.egress.routes[0].auth = {scheme: "Bearer", token_ref: "ONE_TOKEN"}' | put one.yaml
	secret ONE_TOKEN one-secret-0123456789abcdef
	keep_plan
	[ "$status" -eq 1 ]
	[[ $output == *"1 host allowed (api.example.com)"* ]]
	run ! grep -q one-secret "$BATS_TEST_TMPDIR/$PLAN"
	[ "$(stat -c %a "$BATS_TEST_TMPDIR/$PLAN")" = 600 ]
	nothing
	run apply
	printf "%s\n" "$output"
	[ "$status" -eq 0 ]
	answers one 200 https://api.example.com/repos/acme/site
	refused "one: container 'e2e.one.agent' has appeared"
	keep_plan --detailed-exitcode
	[ "$status" -eq 0 ]

	bottle one '.spec.egress.routes[0].methods = ["GET", "PUT"] | .spec.agent.resources.pids = 77' | put one.yaml
	local agent
	agent=$(container_started one agent)
	keep_plan --detailed-exitcode
	[ "$status" -eq 2 ]
	run apply
	printf "%s\n" "$output"
	[ "$status" -eq 0 ]
	[ "$(container_started one agent)" = "$agent" ]
	[ "$(docker inspect --format '{{.HostConfig.PidsLimit}}' "$(container one agent)")" = 77 ]
	answers one 200 --request PUT https://api.example.com/repos/acme/site
}

@test "a plan is refused when the manifests, a secret or the engine have moved, and says what has" {
	secret ONE_TOKEN one-secret-0123456789abcdef
	local auth='.spec.egress.routes[0].auth = {scheme: "Bearer", token_ref: "ONE_TOKEN"}'
	bottle one "$auth" | put one.yaml
	keep_plan
	run apply
	printf "%s\n" "$output"
	[ "$status" -eq 0 ]
	bottle one "$auth | .spec.agent.env = {MARK: \"1\"}" | put one.yaml
	keep_plan

	bottle one "$auth | .spec.agent.env = {MARK: \"2\"}" | put one.yaml
	refused 'spec.agent.env.MARK was 1 and is 2'
	bottle one "$auth | .spec.agent.env = {MARK: \"1\"}" | put one.yaml

	secret ONE_TOKEN other-secret-0123456789abcdef
	refused "secret 'ONE_TOKEN' has another value"
	secret ONE_TOKEN one-secret-0123456789abcdef

	docker kill "$(container one egress)" >/dev/null
	wait_for 10 exited "$(container one egress)"
	refused "'e2e.one.egress' was running and is exited"
	keep_plan

	bottle two '.spec.suspend = true' | put two.yaml
	refused "two: not in the plan"
	rm -- "$(manifests)/two.yaml" "$(manifests)/one.yaml"
	refused "one: its manifest has gone"
}
exited() { [ "$(docker inspect --format '{{.State.Status}}' "$1")" = exited ]; }

@test "a suspended bottle is planned, and left alone by apply" {
	bottle one | put one.yaml
	keep_plan
	run apply
	[ "$status" -eq 0 ]
	bottle one '.spec.suspend = {reason: "holidays"} | .spec.agent.resources.pids = 55' | put one.yaml
	keep_plan
	[ "$status" -eq 0 ]
	[[ $output == *"suspended: what follows is done once it is resumed"*"container.update"* ]]
	run apply
	printf '%s\n' "$output"
	[ "$status" -eq 0 ]
	[ "$(docker inspect --format '{{.HostConfig.PidsLimit}}' "$(container one agent)")" = 512 ]
	# Left alone isn't left open.
	docker network create stranger >/dev/null
	docker network connect stranger "$(container one agent)"
	keep_plan
	[ "$status" -eq 1 ]
	[[ $output == *"container.pause"*"the bottle is open"* && $output != *"once it is resumed"* ]]
}

@test "a removal is applied as planned" {
	bottle one | put one.yaml
	keep_plan
	run apply
	printf "%s\n" "$output"
	[ "$status" -eq 0 ]
	rm -- "$(manifests)/one.yaml"
	keep_plan --delete-grace 24h
	printf '%s\n' "$output"
	[[ $output == *"container.remove"*"would be deleted after 86400s"* ]]
	run apply
	printf "%s\n" "$output"
	[ "$status" -eq 0 ]
	nothing
}

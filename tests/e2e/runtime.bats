#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The agent's runtime: named, chosen by `auto`, missing. The engine's further runtimes are its runc under other names.

load lib

setup_file() {
	e2e_engine_start || return 1
	[ -z "${E2E_SKIP:-}" ] || return 0
	runtimes other runsc
}
teardown_file() { e2e_engine_stop; }
setup() { e2e_setup; }
teardown() { installations_end; }

# runtimes NAME...: what the engine has besides its own; it starts anew for it.
runtimes() {
	jq -n --arg path "$(command -v runc)" '{debug: true, runtimes: [$ARGS.positional[] | {key: ., value: {path: $path}}] | from_entries}' \
		--args "$@" >"$(engine_run_dir "$E2E_ENGINE")/daemon.json" && engine_restart "$E2E_ENGINE"
}

runtime_of() { docker inspect --format '{{.HostConfig.Runtime}}' "$(container "$1" "$2")"; }

@test "a bottle runs in the runtime that it names, and its proxies in the engine's own" {
	local before
	controller_start
	bottle one '.spec.agent.runtime = "other"' | put one.yaml
	bottle two | put two.yaml
	wait_ready one
	wait_ready two
	[ "$(runtime_of one agent)" = other ]
	[ "$(runtime_of one egress)" = runc ]
	[ "$(runtime_of one pipelock)" = runc ]
	answers one 200 https://api.example.com/repos/acme/x
	# auto takes runsc where it is, for the agent alone.
	[ "$(runtime_of two agent)" = runsc ]
	[ "$(runtime_of two egress)" = runc ]

	# One that isn't there: a condition with what there is, and the bottle stays as it runs.
	before=$(for role in agent egress pipelock; do container_started one "$role"; done)
	bottle one '.spec.agent.runtime = "kata"' | put one.yaml
	wait_for 30 condition_says one Ready False "agent.runtime: 'kata' is not on the engine; it has: "
	condition_says one Ready False 'other, runc, runsc'
	condition_says one Stalled True kata
	condition_says one SpecAccepted True
	answers one 200 https://api.example.com/repos/acme/still
	[ "$(for role in agent egress pipelock; do container_started one "$role"; done)" = "$before" ]
	# Not even begun for a new bottle.
	bottle three '.spec.agent.runtime = "kata"' | put three.yaml
	wait_for 30 condition_says three Ready False "'kata' is not on the engine"
	none_of three
	"$BOTTLER" events three --socket "$(inst_dir)/socket" | grep -q "Warning .* Refused .* 'kata' is not on the engine"

	# Back again: nothing was lost.
	bottle one '.spec.agent.runtime = "other"' | put one.yaml
	wait_for 30 is_ready one
	[ "$(for role in agent egress pipelock; do container_started one "$role"; done)" = "$before" ]
}

# policy FILE FILTER: a policy, written in one step.
policy() { jq -n '{apiVersion: "bottler.dev/v1", kind: "Policy", spec: {}}' | jq "$2" >"$1.new" && mv -- "$1.new" "$1"; }

# changed_policy TIMES: the controller has taken up a changed policy that often.
changed_policy() {
	"$BOTTLER" events --socket "$(inst_dir)/socket" -o json |
		jq -e --argjson n "$1" '[.items[] | select(.reason == "PolicyChanged") | .count] | add >= $n' >/dev/null
}

agent_is_paused() { [ "$(docker inspect --format '{{.State.Paused}}' "$(container one agent)")" = true ]; }

@test "what auto means is held against the policy, and an agent in another runtime is replaced" {
	local file=$BATS_TEST_TMPDIR/policy.yaml before
	policy "$file" '.'
	runtimes other
	controller_start --policy "$file"
	bottle one | put one.yaml
	wait_ready one
	[ "$(runtime_of one agent)" = runc ]
	before=$(container_id one agent)

	# auto is runc here, which the policy doesn't have: the agent doesn't go on.
	policy "$file" '.spec.runtimes = ["runsc"]'
	wait_for 30 condition_says one Isolated False "auto means 'runc' on this engine"
	wait_for 20 agent_is_paused
	bottle two | put two.yaml
	wait_for 30 condition_says two Ready False "the policy allows only the runtime runsc, got 'runc'"
	none_of two
	[ "$(container_id one agent)" = "$before" ]

	# The engine gets runsc, and so does the agent.
	runtimes other runsc
	wait_ready one 90
	wait_ready two 90
	[ "$(runtime_of one agent)" = runsc ]
	[ "$(runtime_of two agent)" = runsc ]
	[ "$(container_id one agent)" != "$before" ]
	answers one 200 https://api.example.com/repos/acme/x

	# An agent that is in an allowed runtime isn't replaced for the policy's sake.
	before=$(container_started two agent)
	policy "$file" '.spec.runtimes = ["runsc", "other"]'
	wait_for 20 changed_policy 2
	wait_ready two
	[ "$(container_started two agent)" = "$before" ]
}

#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# What an installation forbids: `--policy`, narrowed under running bottles, and mounts of what is the controller's own.

load lib

setup_file() { e2e_engine_start; }
teardown_file() { e2e_engine_stop; }
setup() {
	e2e_setup
	POLICY=$BATS_TEST_TMPDIR/rules/policy.yaml
	WORK=$BATS_TEST_TMPDIR/work
	mkdir -p -- "$BATS_TEST_TMPDIR/rules" "$WORK/one"
	chown 1000:1000 "$WORK/one"
}
teardown() { installations_end; }

# policy [FILTER]: the policy's file, as JSON (which is YAML), replaced in one step.
policy() {
	jq -n --arg work "$WORK" '{apiVersion: "bottler.dev/v1", kind: "Policy",
		spec: {mounts: {roots: [$work]}, images: {allow: ["docker.io/bottler-test/"]}, egress: {deny_hosts: ["*.example.net"]}}}' |
		jq "${1:-.}" >"$POLICY.new" && mv -- "$POLICY.new" "$POLICY"
}

# bottler plan with the installation's own arguments.
plan() {
	local arguments i
	mapfile -t arguments < <(inst_run_arguments)
	for i in "${!arguments[@]}"; do
		[ "${arguments[i]}" != --socket ] || unset "arguments[i]" "arguments[i + 1]"
	done
	"$BOTTLER" plan "${arguments[@]:1}" "$@"
}

told() { "$BOTTLER" events --socket "$(inst_dir)/socket" -o json | json_holds "any(.items[]; $1)"; }
is_paused() { [ "$(docker inspect --format '{{.State.Paused}}' "$(container "$1" agent)")" = "$2" ]; }

@test "a manifest beyond the policy is not accepted, with both places" {
	policy
	bottle one ".spec.agent.mounts = [{source: \"$WORK/one\", target: \"/data\"}]" | put one.yaml
	bottle two '.spec.egress.allowlist = ["files.example.org", "a.b.example.net"]' | put two.yaml
	bottle three '.spec.agent.mounts = [{source: "/srv", target: "/srv/data"}] | .spec.agent.image = "ghcr.io/bottler-test/agent:1"' |
		put three.yaml
	controller_start --policy "$POLICY"
	wait_ready one
	in_agent one sh -c 'echo hello >/data/from-agent'
	[ "$(cat -- "$WORK/one/from-agent")" = hello ]
	wait_for 10 condition_says two SpecAccepted False PolicyViolation
	bottle_is two 'condition("SpecAccepted").message | test("two\\.yaml:[0-9]+:[0-9]+: spec\\.egress\\.allowlist\\[1\\]: the policy never allows .\\*\\.example\\.net.*policy\\.yaml:[0-9]+: spec\\.egress\\.deny_hosts")'
	bottle_is three 'condition("SpecAccepted").message | contains("spec.agent.image") and contains("(and 1 more)")'
	none_of two
	none_of three
	told '.bottle == "two" and .reason == "PolicyViolation" and .type == "Warning"'
	# The same offline, and in a plan.
	run "$BOTTLER" validate --policy "$POLICY" "$(manifests)"
	[ "$status" -eq 1 ]
	[ "$(grep -c ': spec\..*policy\.yaml:[0-9]*: spec\.' <<<"$output")" -eq 3 ]
	controller_stop
	run plan --policy "$POLICY"
	[ "$status" -eq 0 ]
	[[ $output == *"two:"*"the policy never allows"* && $output == *"three:"*"the policy allows only"* ]]
	[[ $output == *"one:"*"no change"* && $output != *container.create* ]]
}

@test "a policy that is narrowed stops the agent until the manifest fits, and a broken one changes nothing" {
	local before
	policy
	bottle one '.spec.egress.allowlist = ["files.example.org"]' | put one.yaml
	bottle two | put two.yaml
	controller_start --policy "$POLICY"
	wait_ready one
	wait_ready two
	answers one 200 https://files.example.org/
	before=$(for role in agent egress pipelock; do container_started one "$role"; container_started two "$role"; done)

	policy '.spec.egress.deny_hosts += ["files.example.org"]'
	wait_for 20 is_paused one true
	wait_for 10 condition_says one Isolated False "the policy never allows 'files.example.org'"
	condition_says one Isolated False Quarantined
	condition_says one SpecAccepted False PolicyViolation
	condition_says one Ready False
	told '.reason == "PolicyChanged"'
	told '.bottle == "one" and .reason == "Quarantined"'
	is_ready two

	# Broken, then gone: what is in force stays in force.
	printf 'apiVersion: bottler.dev/v1\nkind: Policy\nspec: {egress: {deny_host: []}}\n' >"$POLICY"
	wait_for 20 told '.reason == "PolicyUnusable" and (.message | contains("policy.yaml:3:") and contains("did you mean"))'
	[[ $(bottler_get | jq -r .controller.policyProblem) == *"deny_host"* ]]
	rm -- "$POLICY"
	wait_for 20 told '.reason == "PolicyUnusable" and (.message | contains("No such file"))'
	is_paused one true
	is_ready two
	# It isn't forgotten over an engine's restart or a new look either.
	condition_says one Isolated False Quarantined

	# The manifest fits again: the very same containers go on.
	bottle one | put one.yaml
	wait_ready one
	is_paused one false
	answers one 200 https://api.example.com/repos/acme/x
	run fetch one https://files.example.org/
	[[ $output == *403* ]]
	[ "$(for role in agent egress pipelock; do container_started one "$role"; container_started two "$role"; done)" = "$before" ]

	# And the other way: the policy is widened.
	policy '.spec.images.allow = ["ghcr.io/acme/"]'
	wait_for 20 is_paused one true
	wait_for 20 is_paused two true
	policy
	wait_ready one
	wait_ready two
	[ "$(for role in agent egress pipelock; do container_started one "$role"; container_started two "$role"; done)" = "$before" ]
	[ "$(bottler_get | jq -r .controller.policyProblem)" = null ]
}

@test "a narrowed policy finds its bottle also after a new start of bottler" {
	policy
	bottle one '.spec.egress.allowlist = ["files.example.org"]' | put one.yaml
	controller_start --policy "$POLICY"
	wait_ready one
	controller_stop KILL
	policy '.spec.egress.deny_hosts += ["files.example.org"]'
	controller_start --policy "$POLICY"
	wait_for 30 is_paused one true
	wait_for 10 condition_says one Isolated False Quarantined
	# Gone with its manifest, paused as it is.
	rm -- "$(manifests)/one.yaml"
	wait_for 60 none_of one
}

@test "an agent that could write the policy itself doesn't go on" {
	bottle one ".spec.agent.mounts = [{source: \"$WORK/one\", target: \"/data\"}]" | put one.yaml
	controller_start
	wait_ready one
	controller_stop
	POLICY=$WORK/one/policy.yaml
	policy
	controller_start --policy "$POLICY"
	wait_for 30 is_paused one true
	wait_for 10 condition_says one Isolated False "it holds the policy"
	condition_says one SpecAccepted False PolicyViolation
}

@test "bottler does not run without the policy that was asked for" {
	local arguments
	mapfile -t arguments < <(inst_run_arguments)
	run timeout 20 "$BOTTLER" "${arguments[@]}" --policy "$BATS_TEST_TMPDIR/none.yaml"
	[ "$status" -eq 2 ]
	[[ $output == *"policy '$BATS_TEST_TMPDIR/none.yaml': No such file"* ]]
	printf 'apiVersion: bottler.dev/v1\nkind: Policy\nspec:\n  mounts: {roots: }\n  runtime: [x]\n' >"$POLICY"
	run timeout 20 "$BOTTLER" "${arguments[@]}" --policy "$POLICY"
	[ "$status" -eq 2 ]
	[[ $output == *"policy.yaml:4:19: spec.mounts.roots: expected a list, got nothing"* ]]
	[[ $output == *"policy.yaml:5:3: spec.runtime: unknown field; did you mean 'runtimes'?"* && $output == *"has 2 faults"* ]]
	run timeout 20 "$BOTTLER" "${arguments[@]}" --policy "$BATS_TEST_TMPDIR"
	[ "$status" -eq 2 ]
	run "$BOTTLER" validate --policy "$POLICY" examples
	[ "$status" -eq 2 ]
	[ ! -e "$(inst_dir)/socket" ]
}

@test "what is the controller's or the engine's own is not mounted, under any name" {
	local dir case
	dir=$(inst_dir)
	ln -s "$dir" "$WORK/link"
	mkdir -p -- "$WORK/real"
	ln -s / "$WORK/root"
	declare -A refused=(
		[state]="$dir/state" [below]="$dir/state/bottles" [above]="$dir" [secrets]="$dir/secrets" [manifests]="$dir/manifests/x"
		[alias]="$WORK/link/state" [data]="$(docker info --format '{{.DockerRootDir}}')/volumes"
		[socket]="$(engine_run_dir "$E2E_ENGINE")"
	)
	for case in "${!refused[@]}"; do
		bottle "$case" ".spec.agent.mounts = [{source: \"${refused[$case]}\", target: \"/data\", read_only: true}]" | put "$case.yaml"
	done
	bottle linked ".spec.agent.mounts = [{source: \"$WORK/root/opt\", target: \"/data\"}]" | put linked.yaml
	bottle fine ".spec.agent.mounts = [{source: \"$WORK/real\", target: \"/data\"}]" | put fine.yaml
	controller_start
	wait_ready fine
	for case in "${!refused[@]}"; do
		wait_for 20 condition_says "$case" SpecAccepted False "would break the seal"
		bottle_is "$case" 'condition("SpecAccepted").message | test("[.]yaml:[0-9]+:[0-9]+: spec.agent.mounts.0..source: ")'
		none_of "$case"
	done
	condition_says state SpecAccepted False "it is the state directory"
	condition_says alias SpecAccepted False "under another name it is the state directory"
	condition_says data SpecAccepted False "it lies in the engine's own data"
	condition_says socket SpecAccepted False "it holds the engine's socket"
	# A link on the way is the host's doing, not the manifest's.
	condition_says linked SpecAccepted True
	wait_for 20 condition_says linked Ready False "'$WORK/root' is a symbolic link to '/'"
	none_of linked

	# A source that an agent could swap for a link isn't mounted either, and who has it goes on.
	bottle inner ".spec.agent.mounts = [{source: \"$WORK/real/deep\", target: \"/data\"}]" | put inner.yaml
	wait_for 30 condition_says inner Ready False "lies inside '$WORK/real', which the agent of bottle 'fine' can write"
	none_of inner
	is_ready fine

	# A link that comes later: the bottle runs on with what it has, and isn't started anew with another.
	mv -- "$WORK/real" "$WORK/moved"
	ln -s / "$WORK/real"
	docker kill "$(container fine agent)" >/dev/null
	wait_for 60 condition_says fine Ready False "'$WORK/real' is a symbolic link to '/'"
	[ "$(docker inspect --format '{{.State.Running}}' "$(container fine agent)")" = false ]
	rm -- "$WORK/real"
	mv -- "$WORK/moved" "$WORK/real"
	wait_ready fine 90
}

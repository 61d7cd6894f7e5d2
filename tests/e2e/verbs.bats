#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What people do to bottles by hand: history, suspend, resume, reconcile.
# shellcheck disable=SC2154 # `run` sets stderr
bats_require_minimum_version 1.5.0

load lib

setup_file() { e2e_engine_start; }
teardown_file() { e2e_engine_stop; }
setup() { e2e_setup; }
teardown() { installations_end; }

record() { printf '%s/state/bottles/%s/%s\n' "$(inst_dir)" "$1" "$2"; }
# applied_is NAME FILTER
applied_is() {
	jq -e "$2" "$(record "$1" applied)" >/dev/null || { cat -- "$(record "$1" applied)"; return 1; }
}

@test "what has converged is kept, without secrets, and a new start writes it no second time" {
	local inode
	bottle one '.spec.egress.routes[0].auth = {scheme: "Bearer", token_ref: "ONE_TOKEN"}' | put one.yaml
	secret ONE_TOKEN one-secret-0123456789abcdef
	controller_start
	wait_ready one
	wait_for 60 applied_is one '.generation == 1 and .revision == null and (.file | endswith("/one.yaml"))
		and (.text | fromjson | .metadata.name == "one") and (.secrets.ONE_TOKEN | test("^[0-9a-f]{64}$")) and .at > 0'
	absent one-secret "$(record one applied)"
	inode=$(stat --format '%i %z' "$(record one applied)" "$(record one history)")
	controller_stop
	controller_start
	wait_ready one
	[ "$(stat --format '%i %z' "$(record one applied)" "$(record one history)")" = "$inode" ]

	# One that can't be had is not what has converged.
	bottle one '.spec.agent.image = "registry.example.com/none:1" | .spec.agent.pull_policy = "never"' | put one.yaml
	wait_for 30 condition_says one Stalled True Held
	wait_for 30 grep -q '"generation":2,.*"outcome":"Failed"' "$(record one history)"
	applied_is one '.generation == 1'

	# Another secret is another state, with the same manifest.
	local before
	before=$(jq -r .secrets.ONE_TOKEN "$(record one applied)")
	bottle one '.spec.egress.routes[0].auth = {scheme: "Bearer", token_ref: "ONE_TOKEN"}' | put one.yaml
	wait_for 60 applied_is one '.generation == 3'
	secret ONE_TOKEN another-secret-0123456789
	wait_for 60 applied_is one ".secrets.ONE_TOKEN != \"$before\""
}

bottler() {
	local verb=$1
	shift
	"$BOTTLER" "$verb" --socket "$(inst_dir)/socket" "$@"
}
me() { id --user --name; }

@test "suspended by hand: drift is told and left, over a restart too, until it is resumed" {
	local agent_was
	controller_start
	bottle one | put one.yaml
	wait_ready one
	agent_was=$(container_id one agent)
	run bottler suspend one --reason 'kernel update' --until 2h
	[ "$status" -eq 0 ]
	[[ $output == "bottle/one suspended until 20"* ]]
	condition_says one Suspended True "ByHand by hand of $(me) since 20"
	condition_says one Suspended True ': kernel update'
	condition_says one Ready False Suspended

	# Somebody removes a proxy, and an edit comes: both wait.
	docker rm --force "$(container one pipelock)"
	bottle one '.spec.agent.env = {MARK: "2"}' | put one.yaml
	wait_for 30 bottle_is one '.metadata.generation == 2 and (.status.drift | map(.kind + " " + .object) |
		any(. == "container.create '"$INST"'.one.pipelock") and any(startswith("container.create '"$INST"'.one.agent")))'
	condition_says one Suspended True 'steps would be taken'
	run bottler get
	[[ ${lines[1]} =~ ^one\ +SUSPENDED\ +Suspended\  ]]
	run bottler get -o wide
	[[ ${lines[1]} == *"kernel update"* ]]

	# It is no matter of memory.
	controller_stop KILL
	controller_start
	wait_for 30 condition_says one Suspended True ': kernel update'
	wait_for 30 bottle_is one '.status.drift | length > 0'
	no_container one pipelock
	[ "$(container_id one agent)" = "$agent_was" ]

	# Asked for a pass it says no, at once.
	run bottler reconcile one
	[ "$status" -eq 4 ]
	[[ $output == *"'one' is suspended by hand of $(me)"*"kernel update"*"bottler resume one"* ]]

	# Once more is no harm, and says what holds now.
	run bottler suspend one
	[ "$status" -eq 0 ]
	[ "$output" = 'bottle/one suspended' ]
	bottle_is one '.status.suspendedByHand | .reason == null and .until == null and .who != null'
	run bottler resume one
	[ "$status" -eq 0 ]
	[ "$output" = 'bottle/one resumed' ]
	run bottler resume one
	[ "$status" -eq 0 ]
	wait_ready one
	bottle_is one '.metadata.generation == 2 and .status.drift == [] and .status.suspendedByHand == null
		and all(.status.conditions[]; .type != "Suspended")'
	[ "$(container_id one agent)" != "$agent_was" ]
}

@test "suspended is left alone, not left open" {
	controller_start
	bottle one | put one.yaml
	wait_ready one
	bottler suspend --all
	docker network create foreign
	docker network connect foreign "$(container one agent)"
	paused() { [ "$(docker inspect --format '{{.State.Status}}' "$(container one agent)")" = paused ]; }
	wait_for 30 paused
	bottler resume --all
	wait_ready one
	docker network rm foreign
}

@test "an end ends it by itself: of a suspension by hand, and of the manifest's" {
	local end
	controller_start
	bottle hand | put hand.yaml
	wait_ready hand
	bottler suspend hand --until 10s --reason short
	condition_says hand Suspended True short
	docker stop --time 0 "$(container hand egress)"
	# What is past needs no pass of another cause: the next one comes only after 30 s.
	wait_for 25 is_ready hand
	end=$(date --utc --date '+20 seconds' +%Y-%m-%dT%H:%M:%SZ)
	bottle manifest ".spec.suspend = {reason: \"later\", until: \"$end\"}" | put manifest.yaml
	wait_for 15 condition_says manifest Suspended True "until $end: later"
	no_container manifest agent
	wait_ready manifest 60

	run bottler suspend hand --until 2020-01-01T00:00:00Z
	[ "$status" -eq 2 ]
	[[ $output == *"--until '2020-01-01T00:00:00Z': expected a time to come"* ]]
	is_ready hand
}

@test "resume doesn't overrule the manifest" {
	controller_start
	bottle one '.spec.suspend = {reason: "audit"}' | put one.yaml
	bottle two | put two.yaml
	wait_for 30 condition_says one Suspended True 'Manifest by spec.suspend of its manifest: audit'
	wait_ready two
	bottler suspend two
	run bottler resume two one
	[ "$status" -eq 4 ]
	[[ $output == *"'one' is suspended by its manifest, $(manifests)/one.yaml:1: take spec.suspend out there"* ]]
	condition_says two Suspended True ByHand # none or all of those that are named
	run --separate-stderr bottler resume --all
	[ "$status" -eq 4 ]
	[ "$output" = 'bottle/two resumed' ]
	[[ $stderr == *"'one' is suspended by its manifest"* ]]
	wait_ready two
	no_container one agent
}

@test "reconcile waits for what is asked for now, and says how it went" {
	controller_start
	bottle one | put one.yaml
	wait_ready one
	bottle one '.spec.agent.env = {MARK: "2"}' | put one.yaml
	run bottler reconcile one --with-source --timeout 2m
	[ "$status" -eq 0 ]
	[ "$output" = 'bottle/one generation 2 ready' ]
	[ "$(in_agent one printenv MARK)" = 2 ]
	bottle_is one '.status.lastHandledReconcile > 0'

	# It is looked at, although nothing has changed.
	local at
	at=$(mark)
	run bottler reconcile --all
	[ "$status" -eq 0 ]
	passed "$at" 1
	[ -z "$(changes_since "$at")" ]

	# The old generation's health is no answer.
	bottle one '.spec.agent.imagee = "x"' | put one.yaml
	run bottler reconcile one --with-source
	[ "$status" -eq 1 ]
	[[ $output == *"stays at its last good generation: Invalid: "*"one.yaml:"*"imagee"* ]]
	bottle one '.spec.agent.image = "registry.example.com/none:1" | .spec.agent.pull_policy = "never"' | put one.yaml
	run bottler reconcile one --with-source
	[ "$status" -eq 1 ]
	[[ $output == *"'one' is stalled: Held: "* ]]
}

# ended GENERATION OUTCOME
ended() {
	local json
	json=$(bottler history one -o json) || return 1
	jq -e "any(.items[]; .generation == $1 and .outcome == \"$2\")" <<<"$json" >/dev/null || { printf '%s\n' "$json"; return 1; }
}

@test "history tells each generation, where it came from and how it ended" {
	controller_start
	bottle one | put one.yaml
	wait_for 60 ended 1 Converged # which takes an agent that has stayed up for a while
	bottle one '.spec.agent.image = "registry.example.com/none:1" | .spec.agent.pull_policy = "never"' | put one.yaml
	wait_for 30 ended 2 Failed
	bottle one '.spec.agent.env = {MARK: "3"}' | put one.yaml
	bottler reconcile one --with-source
	wait_for 60 ended 3 Converged
	run bottler history one
	[ "$status" -eq 0 ]
	[[ ${lines[0]} =~ ^\ GEN\ +ACCEPTED\ +REVISION\ +OUTCOME\ +ENDED\ +CHANGES$ ]]
	[[ ${lines[1]} =~ ^\ +1\ +20[^\ ]+Z\ +-\ +Converged\ +20 ]]
	[[ ${lines[2]} =~ ^\ +2\ .*Failed.*Held ]]
	[[ ${lines[2]} == *"spec.agent.image: "*" -> "*"registry.example.com/none:1"*" (agent)"* ]]
	[[ ${lines[3]} =~ ^\ +3\ .*Converged ]]

	# A restart adds nothing; a line that is none is left out and told.
	controller_stop
	printf '{"generation":4\n' >>"$(record one history)"
	controller_start
	wait_ready one
	grep -F "event=RecordDamaged" "$(inst_dir)/log" | grep -F "'history' in its record: line 4"
	run bottler history one -o json
	jq -e '.items | map([.generation, .outcome]) == [[1, "Converged"], [2, "Failed"], [3, "Converged"]]' <<<"$output"
	jq -e '.items | all(.[]; (.file | endswith("/one.yaml")) and .acceptedAt and .endedAt)' <<<"$output"
	# What was edited while nobody looked is told, too.
	controller_stop
	bottle one '.spec.agent.env = {MARK: "4"}' | put one.yaml
	controller_start
	wait_for 30 bottle_is one '.metadata.generation == 4'
	changed() { bottler history one -o json | json_holds '.items[-1] | .generation == 4 and (.changes |
		length == 1 and .[0].field == "spec.agent.env.MARK" and (.[0].change | contains("3") and contains("4")))'; }
	wait_for 30 changed
	run bottler history two
	[ "$status" -eq 1 ]
	run bottler history
	[ "$status" -eq 2 ]
}

#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# suspend, resume, reconcile and history of bottles that can't come up: what of them needs no running bottle.
# shellcheck disable=SC2154 # `run` sets stderr
bats_require_minimum_version 1.5.0

load lib

setup_file() { E2E_PARTS=engine e2e_engine_start; }
teardown_file() { e2e_engine_stop; }
setup() { e2e_setup; }
teardown() { installations_end; }

bottler() {
	local verb=$1
	shift
	"$BOTTLER" "$verb" --socket "$(inst_dir)/socket" "$@"
}
# A bottle whose image nobody has.
held() { bottle "$1" ".spec.agent.image = \"registry.example.com/none:1\" | ${2:-.}" | put "$1.yaml"; }
not_suspended() { bottle_is "$1" 'all(.status.conditions[]; .type != "Suspended") and (condition("Ready") | .reason != "Suspended")'; }
is_held() { condition_says "$1" Stalled True Held; }
# Taken up is not yet judged: generation $2 of bottle $1 has ended.
has_failed() { bottler history "$1" -o json | json_holds "any(.items[]; .generation == $2 and .outcome == \"Failed\")"; }

@test "suspended by hand, with who, why and until when, over a kill" {
	controller_start
	held one
	wait_for 30 is_held one
	run bottler suspend one --reason 'audit of ümlauts' --until 2d
	[ "$status" -eq 0 ]
	[[ $output == "bottle/one suspended until 20"*Z ]]
	condition_says one Suspended True "ByHand by hand of $(id --user --name) since 20"
	bottle_is one '.status.suspendedByHand | .who == "'"$(id --user --name)"'" and .reason == "audit of ümlauts" and .since < .until'
	controller_stop KILL
	controller_start
	wait_for 30 condition_says one Suspended True ': audit of ümlauts'
	condition_says one Ready False Suspended
	run bottler get --no-headers
	[[ $output =~ ^one\ +SUSPENDED\  ]]
	run bottler reconcile one
	[ "$status" -eq 4 ]
	[[ $output == *'audit of ümlauts'* ]]
	run bottler resume one
	[ "$status" -eq 0 ]
	wait_for 30 not_suspended one
	bottle_is one '.status.suspendedByHand == null'
}

@test "a suspension ends by itself, the manifest's too" {
	local end
	controller_start
	held hand
	wait_for 30 is_held hand
	# Long enough for a busy machine to see both of them before they end.
	bottler suspend hand --until 20s
	end=$(date --utc --date '+20 seconds' +%Y-%m-%dT%H:%M:%SZ)
	held manifest ".spec.suspend = {until: \"$end\"}"
	condition_says hand Suspended True
	wait_for 20 condition_says manifest Suspended True "until $end"
	wait_for 40 not_suspended hand
	wait_for 40 not_suspended manifest
}

@test "what makes no sense is refused, and changes nothing" {
	local arguments
	controller_start
	held one
	wait_for 30 is_held one
	while read -r arguments; do
		# shellcheck disable=SC2086 # words
		run bottler $arguments
		[ "$status" -eq 2 ] || { printf '%s: %s %s\n' "$arguments" "$status" "$output"; return 1; }
	done <<'END'
suspend
suspend one --all
suspend one --until soon
suspend one --until 0s
suspend one --until 2020-01-01T00:00:00Z
suspend one --timeout 3s
resume
resume one --reason x
reconcile
reconcile one --all
reconcile one --timeout never
reconcile one --timeout 25h
history
history one two
history one -o name
END
	not_suspended one
	for arguments in suspend resume reconcile history; do
		run bottler "$arguments" three
		[ "$status" -eq 1 ]
		[[ $output == *"there is no bottle 'three'"* ]]
	done
	# All or none of those that are named.
	run bottler suspend one three
	[ "$status" -eq 1 ]
	not_suspended one
	run "$BOTTLER" suspend one --socket "$BATS_TEST_TMPDIR/none.sock"
	[ "$status" -eq 1 ]
	[[ $output == *"no controller answers"* ]]
}

daemon() { engine_exec "$E2E_ENGINE" sh -c "kill -$1 \"\$(cat /run/docker.pid)\""; }

@test "reconcile says how a pass went that came after it" {
	local asked
	controller_start
	held one
	wait_for 30 is_held one
	run bottler reconcile one
	[ "$status" -eq 1 ]
	[[ $output == *"'one' is stalled: Held: "* ]]
	bottle_is one '.status.lastHandledReconcile > 0'
	# With the source: what is in the directory now, not what was found there.
	held one '.spec.agent.env = {MARK: "2"}'
	run bottler reconcile one --with-source
	[ "$status" -eq 1 ]
	bottle_is one '.status.observedGeneration == 2'
	held one '.spec.agent.imagee = "x"'
	run bottler reconcile one --with-source
	[ "$status" -eq 1 ]
	[[ $output == *"stays at its last good generation: Invalid: "*"imagee"* ]]
	mv -- "$(manifests)" "$(manifests).away"
	run bottler reconcile one --with-source
	[ "$status" -eq 1 ]
	[[ $output == *"the manifests can't be read: "* ]]
	mv -- "$(manifests).away" "$(manifests)"
	# 0 doesn't wait. An engine that says nothing takes the time that there is; the request stands.
	daemon STOP
	run bottler reconcile --all --timeout 0
	[ "$status" -eq 0 ]
	run bottler reconcile one --timeout 2s
	daemon CONT
	[ "$status" -eq 3 ]
	[[ $output == *"'one' isn't ready in time: "* ]]
	asked=$(bottler_get | jq '.items[0].status.lastHandledReconcile')
	run bottler reconcile one
	[ "$status" -eq 1 ]
	bottle_is one ".status.lastHandledReconcile > $asked"
}

@test "history tells once that a manifest went, however long its bottle stays" {
	local at
	controller_start --delete-grace 24h
	bottle one '.spec.agent.image = "registry.example.com/absent:1"' | put one.yaml
	wait_for 20 condition_says one Stalled True Held
	rm -- "$(manifests)/one.yaml"
	wait_for 20 condition_says one Ready False Removed
	at=$(mark)
	for _ in 1 2 3; do
		"$BOTTLER" reconcile one --timeout 10s --socket "$(inst_dir)/socket" || true
	done
	wait_for 20 passed "$at" 3
	[ "$(bottler history one -o json | jq -c '[.items[] | [.generation, .outcome]]')" = '[[1,"Removed"]]' ]
}

@test "history of generations that never came to be" {
	controller_start
	held one
	wait_for 30 has_failed one 1
	held one '.spec.agent.env = {MARK: "2"}'
	wait_for 30 has_failed one 2
	controller_stop
	held one '.spec.agent.env = {MARK: "3"}'
	controller_start
	wait_for 30 has_failed one 3
	run bottler history one -o json
	[ "$status" -eq 0 ]
	jq -e '.bottle == "one" and (.items | map(.generation) == [1, 2, 3]) and all(.items[]; .outcome == "Failed" and
		(.message | startswith("Held: "))) and .items[0].changes == [] and
		.items[2].changes == [{field: "spec.agent.env.MARK", change: .items[2].changes[0].change}]' <<<"$output"
	run bottler history one
	[[ ${lines[3]} == *"spec.agent.env.MARK: "*"2"*" -> "*"3"*" (agent) (Held: "* ]]
}

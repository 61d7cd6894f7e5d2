#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What happened: `bottler events`, as a list and as it comes.

load lib

setup_file() { e2e_engine_start; }
teardown_file() { e2e_engine_stop; }
setup() { e2e_setup; }
teardown() { installations_end; }

events() { "$BOTTLER" events --socket "$(inst_dir)/socket" "$@"; }

# told FILTER: some event matches, in jq's words.
told() {
	local json
	json=$(events -o json) || return 1
	jq -e "any(.items[]; $1)" <<<"$json" >/dev/null || { jq -c '.items[]' <<<"$json"; return 1; }
}

# came FILE TEXT: a line of the file has it.
came() { grep -F -- "$2" "$1"; }

@test "a bottle's life is told: accepted, ready, refused, removed" {
	local watched=$BATS_TEST_TMPDIR/watched watcher
	controller_start
	told '.reason == "EngineConnected" and .bottle == ""'
	events -w >"$watched" 2>&1 3>&- &
	watcher=$!
	wait_for 10 came "$watched" EngineConnected

	bottle one | put one.yaml
	bottle broken '.spec.agent.image = "registry.example.com/no/such:1" | .spec.agent.pull_policy = "if_not_present"' |
		put broken.yaml
	wait_ready one
	told '.bottle == "one" and .type == "Normal" and .reason == "Accepted" and (.message | contains("one.yaml"))'
	wait_for 10 told '.bottle == "one" and .type == "Normal" and .reason == "Ready"'
	# What fails is told once, with a count.
	wait_for 60 told '.bottle == "broken" and .type == "Warning" and .count >= 3 and (.message | contains("no/such"))
		and .firstTime < .lastTime'
	[ "$(events broken -o json | jq '[.items[] | select(.message | contains("no/such"))] | length')" -le 2 ]

	bottle one '.spec.agent.imagee = "x"' | put one.yaml
	wait_for 30 told '.bottle == "one" and .type == "Warning" and .reason == "Invalid"
		and (.message | test("one\\.yaml:[0-9]+:[0-9]+: spec\\.agent\\.imagee: unknown field"))'
	rm -- "$(manifests)/one.yaml"
	wait_for 30 told '.bottle == "one" and .reason == "Removed"'
	wait_for 90 told '.bottle == "one" and .reason == "Gone"'

	# The table, and one bottle only.
	run events one
	[ "$status" -eq 0 ]
	[[ ${lines[0]} =~ ^LAST\ +TYPE\ +BOTTLE\ +REASON\ +COUNT\ +MESSAGE$ ]]
	[[ $output == *" Warning "*" one "*" Invalid "* && $output != *" broken "* ]]
	[[ ${lines[1]} =~ ^20[0-9-]{8}T[0-9:]{8}Z\ +Normal\ +one\ +Accepted ]]

	# The watcher has seen all of it, each once, in the order of the list, and ends with the controller.
	wait_for 10 came "$watched" " Gone "
	[ "$(grep -c ' one .* Accepted ' "$watched")" -eq 1 ]
	[ "$(grep -c '^LAST ' "$watched")" -eq 1 ]
	controller_stop
	run wait "$watcher"
	[ "$status" -eq 1 ]
	grep -q 'bottler: .*stopped' "$watched"
}

@test "events as JSON lines, and what can't be asked" {
	local watched=$BATS_TEST_TMPDIR/watched watcher
	controller_start
	events -w -o json >"$watched" 2>/dev/null 3>&- &
	watcher=$!
	printf 'kind: Bottle\nmetadata: {name: [1}\n' | put garbled.yaml
	wait_for 20 came "$watched" ManifestRejected
	jq -se 'all(.[]; .seq > 0 and .reason and .count > 0) and any(.[]; .message | contains("garbled.yaml:2"))' "$watched"
	kill "$watcher"
	run events -o wide
	[ "$status" -eq 2 ]
	run events --socket "$BATS_TEST_TMPDIR/none.sock"
	[ "$status" -eq 1 ]
	[[ $output == *"no controller answers"* ]]
	# Nothing of a name that nobody has is no error.
	run events nobody --no-headers
	[ "$status" -eq 0 ]
	[ -z "$output" ]
}

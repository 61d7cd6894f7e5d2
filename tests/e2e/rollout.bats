#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# An agent is replaced when it may be, and put back when the new one doesn't stay up.

load lib

setup_file() { e2e_engine_start agent; }
teardown_file() { e2e_engine_stop; }
setup() { e2e_setup; }
teardown() { installations_end; }

# outcome NAME GENERATION: how it ended, as the record says.
outcome() { tail -n 200 -- "$(inst_dir)/state/bottles/$1/history" | jq -r --argjson g "$2" 'select(.generation == $g) | .outcome' | tail -n 1; }
outcome_is() { [ "$(outcome "$1" "$2")" = "$3" ]; }
env_of() { docker inspect --format '{{range .Config.Env}}{{println .}}{{end}}' "$(container "$1" agent)" | sed -n "s/^$2=//p"; }
env_is() { [ "$(env_of "$1" "$2")" = "$3" ]; }

@test "a new agent that ends each time is put back to the last generation that worked, until an edit" {
	controller_start
	bottle one '.spec.agent.env = {MARK: "good"}' | put one.yaml
	wait_ready one
	wait_for 30 outcome_is one 1 Converged

	bottle one '.spec.agent.env = {MARK: "bad"} | .spec.agent.command = ["false"] | .spec.egress.allowlist = ["files.example.com"]' | put one.yaml
	wait_for 60 condition_says one Stalled True "generation 2 was given up"
	wait_for 60 env_is one MARK good
	wait_for 60 condition_says one Ready False Reverted
	outcome_is one 2 Reverted
	# All of the last good generation, its policy too.
	wait_for 20 bottle_is one 'condition("PolicyEffective").status == "True"'
	answers one 200 https://api.example.com/repos/acme/site
	run fetch one https://files.example.com/
	[[ $output == *403* ]]
	bottler_events one | grep -q 'Reverted'

	# Not tried again by a new controller.
	local agent
	agent=$(container_started one agent)
	controller_stop
	controller_start
	wait_for 30 condition_says one Ready False Reverted
	[ "$(container_started one agent)" = "$agent" ]

	bottle one '.spec.agent.env = {MARK: "better"}' | put one.yaml
	wait_for 60 env_is one MARK better
	wait_ready one
	wait_for 30 outcome_is one 3 Converged
	bottle_is one '[.status.conditions[].type] | index("Stalled") == null'
}
bottler_events() { "$BOTTLER" events --socket "$(inst_dir)/socket" "$@"; }

restarted() { bottle_is "$1" ".status.components[] | select(.role == \"agent\") | .restarts >= $2"; }

@test "where nothing can be put back, a new agent that ends is tried on" {
	local applied
	controller_start
	bottle one | put one.yaml
	wait_ready one
	wait_for 30 outcome_is one 1 Converged
	controller_stop
	applied=$(inst_dir)/state/bottles/one/applied
	jq -c '.text = "of no version"' "$applied" >"$BATS_TEST_TMPDIR/applied"
	cat -- "$BATS_TEST_TMPDIR/applied" >"$applied"
	controller_start
	bottle one '.spec.agent.command = ["false"]' | put one.yaml
	wait_for 60 restarted one 3
	outcome_is one 2 Pending
	bottle one '.spec.agent.env = {MARK: "better"}' | put one.yaml
	wait_for 60 env_is one MARK better
	wait_ready one
}

@test "a new agent that can't be started is put back too" {
	controller_start
	bottle one | put one.yaml
	wait_ready one
	wait_for 30 outcome_is one 1 Converged
	bottle one '.spec.agent.command = ["/no/such/program"]' | put one.yaml
	wait_for 60 condition_says one Ready False Reverted
	outcome_is one 2 Reverted
	answers one 200 https://api.example.com/repos/acme/site
}

@test "an image that isn't there leaves the agent as it runs" {
	local agent
	controller_start
	bottle one | put one.yaml
	wait_ready one
	agent=$(container_started one agent)
	bottle one '.spec.agent.image = "registry.example.com/absent:1"' | put one.yaml
	wait_for 30 condition_says one Stalled True "registry.example.com/absent:1"
	[ "$(container_started one agent)" = "$agent" ]
	answers one 200 https://api.example.com/repos/acme/site
}

memory_is() { [ "$(docker inspect --format '{{.HostConfig.Memory}}' "$(container "$1" agent)")" = "$2" ]; }
# A command in the agent that lasts until its file is removed.
busy() {
	in_agent one sh -c 'touch /tmp/busy; while [ -e /tmp/busy ]; do sleep 0.2; done' 3>&- &
	wait_for 10 in_agent one test -e /tmp/busy
}

@test "an agent waits for idle, then is replaced; what else changes doesn't wait" {
	local agent
	controller_start
	bottle one '.spec.agent.update = {when: "idle"}' | put one.yaml
	wait_ready one
	agent=$(container_started one agent)
	busy
	bottle one '.spec.agent.update = {when: "idle"} | .spec.agent.env = {MARK: "2"} | .spec.egress.allowlist = ["files.example.com"]
		| .spec.agent.resources.memory = "1Gi"' | put one.yaml
	wait_for 30 condition_says one UpdatePending True "1 exec session"
	wait_for 20 condition_says one PolicyEffective True
	answers one 200 https://files.example.com/
	wait_for 20 memory_is one 1073741824
	condition_says one UpdatePending True "1 exec session"
	[ "$(container_started one agent)" = "$agent" ]
	in_agent one rm /tmp/busy
	wait_for 30 env_is one MARK 2
	wait_ready one
	bottle_is one '[.status.conditions[].type] | index("UpdatePending") == null'
}

@test "a request in flight keeps an agent, and a deadline ends the waiting" {
	local agent at
	controller_start
	bottle one '.spec.egress.routes[0].path_allowlist += ["/events"] | .spec.agent.update = {when: "idle", deadline: "1m"}' | put one.yaml
	wait_ready one
	agent=$(container_started one agent)
	in_agent one sh -c 'curl --silent --no-buffer "https://api.example.com/events?count=300&gap=1" >/tmp/sse &'
	wait_for 20 in_agent one test -s /tmp/sse
	at=$SECONDS
	bottle one '.spec.egress.routes[0].path_allowlist += ["/events"] | .spec.agent.update = {when: "idle", deadline: "1m"} | .spec.agent.env = {MARK: "2"}' | put one.yaml
	wait_for 30 condition_says one UpdatePending True "1 request in flight"
	condition_says one UpdatePending True "forced at"
	[ "$(container_started one agent)" = "$agent" ]
	wait_for 90 env_is one MARK 2
	[ $((SECONDS - at)) -ge 55 ]
	wait_ready one
}

# forced_at NAME: when the deadline of the agent that waits is over.
forced_at() { bottler_get | jq -er --arg name "$1" '.items[] | select(.metadata.name == $name) | .status.conditions[]
	| select(.type == "UpdatePending") | .message | capture("forced at (?<at>[^ ]+)$").at'; }
says_forced_at() { [ "$(forced_at "$1")" = "$2" ]; }

@test "a deadline counts from what the agent waits for, whatever is edited meanwhile, over a restart" {
	local agent at history
	# shellcheck disable=SC2016 # ${KEY} is the manifest's
	local waiting='.spec.agent.env = {K: "${KEY}"} | .spec.agent.update = {when: "idle", deadline: "1h"}'
	secret KEY first-value
	controller_start
	bottle one "$waiting" | put one.yaml
	wait_ready one
	wait_for 30 outcome_is one 1 Converged
	agent=$(container_started one agent)
	busy
	# The generation is old; the secret's value is not.
	controller_stop
	history=$(inst_dir)/state/bottles/one/history
	jq -c '.acceptedAt = "2020-01-01T00:00:00Z"' "$history" >"$BATS_TEST_TMPDIR/history"
	cat -- "$BATS_TEST_TMPDIR/history" >"$history"
	controller_start
	wait_ready one
	secret KEY second-value
	wait_for 30 condition_says one UpdatePending True "1 exec session"
	at=$(forced_at one)
	[ "$(container_started one agent)" = "$agent" ]

	sleep_until_after "$at" -3598
	bottle one "$waiting | .metadata.labels = {note: \"later\"}" | put one.yaml
	wait_for 20 bottle_is one '.status.observedGeneration == 2'
	wait_for 20 says_forced_at one "$at"
	controller_stop KILL
	controller_start
	wait_for 20 says_forced_at one "$at"
	[ "$(container_started one agent)" = "$agent" ]

	# The old value again: nothing waits, and what comes next waits anew.
	secret KEY first-value
	wait_ready one
	[ "$(container_started one agent)" = "$agent" ]
	secret KEY third-value
	wait_for 30 condition_says one UpdatePending True "1 exec session"
	[[ $(forced_at one) > $at ]]
	in_agent one rm /tmp/busy
	wait_ready one
	[ "$(container_started one agent)" != "$agent" ]
}
# The clock says another second than SECONDS before or after that time.
sleep_until_after() { wait_for 10 is_after "$(($(date -d "$1" +%s) + $2))"; }
is_after() { [ "$(date +%s)" -gt "$1" ]; }

egress_signal() { engine_exec "$E2E_ENGINE" kill -s "$1" "$(docker inspect --format '{{.State.Pid}}' "$(container one egress)")"; }
second_is() { [ "$(date +%-S)" -eq "$1" ]; }
planned_reload() { grep -q 'step=container.reload object=e2e.one.egress' "$(inst_dir)/log"; }

@test "a window that closes before the old agent has been ended has closed" {
	local agent window now
	controller_start
	bottle one | put one.yaml
	wait_ready one
	wait_for 30 outcome_is one 1 Converged
	agent=$(container_started one agent)
	wait_for 61 second_is 55
	now=$(date +%s)
	window=$(date -u -d "@$((now - 3600))" +%H:%M)-$(date -u -d "@$((now + 5))" +%H:%M)
	# The proxy is slow to confirm its part of the edit, and the agent's comes after that.
	egress_signal STOP
	bottle one ".spec.egress.allowlist = [\"files.example.com\"] | .spec.agent.env = {MARK: \"2\"} | .spec.agent.update = {when: \"window\", window: \"$window\"}" | put one.yaml
	wait_for 20 planned_reload
	wait_for 20 is_after $((now + 5))
	egress_signal CONT
	wait_for 20 condition_says one UpdatePending True "its window"
	wait_for 20 condition_says one PolicyEffective True
	[ "$(container_started one agent)" = "$agent" ]
	bottle one '.spec.egress.allowlist = ["files.example.com"] | .spec.agent.env = {MARK: "2"}' | put one.yaml
	wait_for 30 env_is one MARK 2
	wait_ready one
}

@test "an agent waits for its window" {
	local agent from to
	from=$(date -u -d '+2 hours' +%H:%M)
	to=$(date -u -d '+3 hours' +%H:%M)
	controller_start
	bottle one | put one.yaml
	wait_ready one
	agent=$(container_started one agent)
	bottle one ".spec.agent.update = {when: \"window\", window: \"$from-$to\"} | .spec.agent.env = {MARK: \"2\"}" | put one.yaml
	wait_for 30 condition_says one UpdatePending True "$from"
	[ "$(container_started one agent)" = "$agent" ]
	# The waiting ends with the reason for it.
	bottle one '.spec.agent.env = {MARK: "2"}' | put one.yaml
	wait_for 30 env_is one MARK 2
	wait_ready one
}

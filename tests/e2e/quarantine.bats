#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# run --attest: what gets out of a bottle, although the engine shows nothing wrong, keeps its agent from running.

load lib

setup_file() { e2e_engine_start agent; }
teardown_file() { e2e_engine_stop; }
setup() { e2e_setup; }
teardown() { installations_end; }

# The controller on the engine's own host: where what an agent may reach of it can be listened for.
controller_on_host() {
	local dir arguments
	dir=$(inst_dir)
	mapfile -t arguments < <(inst_run_arguments)
	nsenter --target "$(engine_keeper "$E2E_ENGINE")" --net -- "$BOTTLER" "${arguments[@]}" --attest 10s \
		</dev/null >>"$dir/log" 2>&1 3>&- &
	printf '%s\n' $! >"$dir/pid"
	wait_for 20 bottler_get
}
agent_is() { [ "$(docker inspect --format '{{.State.Status}}' "$(container one agent)")" = "$1" ]; }
events() { "$BOTTLER" events one -o json --socket "$(inst_dir)/socket"; }

@test "a way out that only an attestation finds is quarantined, until one finds the bottle sealed" {
	local bridge subnet agent
	controller_on_host
	bottle one | put one.yaml
	wait_ready one
	agent=$(container_started one agent)
	wait_for 120 bottle_is one '.status.attest.verdict == "sealed" and (.status.attest.summary | contains(" 0 open"))'

	# Somebody gives the host an address on the agent's network, and takes the guard off: no list shows it.
	bridge=$(docker network inspect --format '{{index .Options "com.docker.network.bridge.name"}}' "$INST.one.agent")
	subnet=$(docker network inspect --format '{{(index .IPAM.Config 0).Subnet}}' "$INST.one.agent")
	engine_exec "$E2E_ENGINE" ip address add "${subnet%.*}.14/28" dev "$bridge"
	engine_exec "$E2E_ENGINE" sysctl -qw "net.ipv4.conf.$bridge.rp_filter=0" "net.ipv4.conf.$bridge.arp_ignore=0"
	wait_for 120 condition_says one Isolated False Quarantined
	wait_for 10 agent_is paused
	bottle_is one '.status.attest.verdict == "open"'
	events | json_holds 'any(.items[]; .reason == "AttestFailed" and .type == "Warning")'

	# A new controller knows it still.
	controller_stop KILL
	controller_on_host
	wait_for 20 condition_says one Isolated False "got out"
	agent_is paused

	engine_exec "$E2E_ENGINE" ip address del "${subnet%.*}.14/28" dev "$bridge"
	engine_exec "$E2E_ENGINE" sysctl -qw "net.ipv4.conf.$bridge.rp_filter=1" "net.ipv4.conf.$bridge.arp_ignore=8"
	wait_ready one 120
	agent_is running
	[ "$(container_started one agent)" = "$agent" ]
	events | json_holds 'any(.items[]; .reason == "Released")'
	# Nothing of it is left when the controller is told to end in the middle of an attestation.
	probing() { docker ps --format '{{.Names}}' | grep -qF ".one.probe-"; }
	wait_for 60 probing
	controller_stop
	run probing
	[ "$status" -ne 0 ]
}

@test "an interval that makes no sense is refused" {
	local interval
	for interval in 0s 9s 10 2d x 99999999999999999999s 25h; do
		run "$BOTTLER" run --manifests "$(manifests)" --state "$(inst_dir)/state" --attest "$interval"
		[ "$status" -eq 2 ]
		[[ $output == *"--attest '$interval'"* ]]
	done
	run "$BOTTLER" run --manifests "$(manifests)" --state "$(inst_dir)/state" --attest 1m --once
	[ "$status" -eq 2 ]
	[[ $output == *--once* ]]
}

#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What others do to a bottle behind the controller's back is repaired, and the agent is left alone.

load lib

setup_file() {
	e2e_engine_start agent
	[ -z "${E2E_SKIP:-}" ] || return 0
	export E2E_ROOT=$BATS_FILE_TMPDIR
	inst_make
	controller_start
	bottle one | put one.yaml
	wait_ready one
}
teardown_file() {
	[ -n "${E2E_SKIP:-}" ] || controller_stop
	e2e_engine_stop
}
setup() { e2e_setup; }

network_id() { docker network inspect --format '{{.Id}}' "$INST.$1.$2"; }
has_new_container() { local id && id=$(container_id one "$1") && [ "$id" != "$2" ]; }
has_new_network() { local id && id=$(network_id one "$1") && [ "$id" != "$2" ]; }
attached() {
	docker inspect --format "{{range .NetworkSettings.Networks}}{{.NetworkID}} {{.IPAddress}}{{println}}{{end}}" \
		"$(container one "$1")" | grep -q "^$(network_id one "$2") [0-9]"
}
works() { is_ready one && answers one 200 https://api.example.com/repos/acme/x; }

@test "a removed sidecar is replaced, the agent is not touched" {
	local role agent victim began
	for role in pipelock egress; do
		wait_for 30 works
		agent=$(container_started one agent)
		victim=$(container_id one "$role")
		began=$SECONDS
		docker rm --force "$(container one "$role")"
		wait_for 30 has_new_container "$role" "$victim"
		wait_for 30 works
		[ $((SECONDS - began)) -le 20 ]
		[ "$(container_started one agent)" = "$agent" ]
	done
}

@test "a removed agent is replaced, the sidecars are not touched" {
	local others victim
	wait_for 30 works
	others="$(container_started one egress) $(container_started one pipelock)"
	victim=$(container_id one agent)
	docker rm --force "$(container one agent)"
	wait_for 30 has_new_container agent "$victim"
	wait_for 30 works
	[ "$(container_started one egress) $(container_started one pipelock)" = "$others" ]
}

@test "a killed container is started again or replaced" {
	local role agent
	for role in pipelock egress; do
		wait_for 30 works
		agent=$(container_started one agent)
		docker kill --signal KILL "$(container one "$role")"
		wait_for 30 works
		[ "$(container_started one agent)" = "$agent" ]
	done
}

@test "a sidecar disconnected from a network gets back on it" {
	local pair agent
	for pair in egress:agent egress:chain pipelock:chain pipelock:out; do
		wait_for 30 works
		agent=$(container_started one agent)
		docker network disconnect "$INST.one.${pair#*:}" "$(container one "${pair%:*}")"
		wait_for 30 attached "${pair%:*}" "${pair#*:}"
		wait_for 30 works
		[ "$(container_started one agent)" = "$agent" ]
	done
}

@test "a network removed after its members were disconnected comes back" {
	local network agent old member
	for network in chain out; do
		wait_for 30 works
		agent=$(container_started one agent)
		old=$(network_id one "$network")
		# It repairs within milliseconds, so it is held while the network is taken away under it.
		controller_signal STOP
		for member in egress pipelock; do
			docker network disconnect --force "$old" "$(container one "$member")" || true
		done
		docker network rm "$old"
		controller_signal CONT
		wait_for 30 has_new_network "$network" "$old"
		wait_for 30 works
		[ "$(container_started one agent)" = "$agent" ]
	done
}

@test "the agent attached to a network by hand is taken off it" {
	wait_for 30 works
	docker network create foreign >/dev/null
	docker network connect foreign "$(container one agent)"
	off() {
		local names
		names=$(docker inspect --format '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}' "$(container one agent)") &&
			[[ $names != *foreign* ]]
	}
	wait_for 30 off
	wait_for 30 works
	docker network rm foreign
}

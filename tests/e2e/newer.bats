#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A newer engine than the machine's own: what doctor and attest say of it, and a bottle's life there: it comes up, is
# edited, healed and removed. The tests share one installation and follow each other. What needs no bottle runs without
# pipelock, too.

load lib

setup_file() {
	E2E_WITHOUT=$(e2e_missing_part)
	[ "$E2E_WITHOUT" != pipelock ] || export E2E_PARTS=engine
	export E2E_WITHOUT
	if [ -z "$(e2e_missing_part)" ]; then
		if ! "$RIG_DIR/newer.sh" make >"$BATS_FILE_TMPDIR/newer.log" 2>&1; then
			cat -- "$BATS_FILE_TMPDIR/newer.log" >&2
			e2e_missing "newer engine"
			return
		fi
		export RIG_DOCKERD=$RIG_DIR/newer.sh
	fi
	e2e_engine_start agent || return 1
	[ -z "${E2E_SKIP:-}" ] && [ -z "$E2E_WITHOUT" ] || return 0
	export E2E_ROOT=$BATS_FILE_TMPDIR
	inst_make
	controller_start
}
teardown_file() {
	[ -n "${E2E_SKIP:-}" ] || [ -z "${E2E_ROOT:-}" ] || controller_stop
	e2e_engine_stop
}
setup() { e2e_setup; }

# First in a test that needs a bottle.
with_bottle() { [ -z "$E2E_WITHOUT" ] || e2e_missing "$E2E_WITHOUT"; }

engine_minor() { docker version --format '{{.Server.APIVersion}}' | cut -d. -f2; }
network_of() { docker network inspect "$INST.one.$1"; }
works() { is_ready one && answers one 200 https://api.example.com/repos/acme/site; }
replaced() { [ "$(network_of "$1" | jq -r '.[0].Id')" != "$2" ] && works; }

# reaches ADDRESS PORT: a TCP connection from inside the agent is accepted.
reaches() {
	in_agent one python3 -c 'import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)' "$1" "$2" 2>/dev/null
}

# doctor_of ENGINE HOST FILE: what doctor says of an engine, from within its namespaces.
doctor_of() {
	engine_exec "$1" "$BOTTLER" doctor --engine "$2" --image "egress=$BOTTLER_IMAGE_EGRESS" -o json >"$3"
}
# says FILE ROW TEXT: that row of a report, `STATE: WHAT THE ENGINE DOES`, has the text.
says() { jq -er --arg id "$2" '.rows[] | select(.id == $id) | "\(.state): \(.engine)"' "$1" | grep -F -- "$3"; }

@test "doctor says what this engine does, and not what the machine's own does" {
	local new=$BATS_TEST_TMPDIR/new old=$BATS_TEST_TMPDIR/old host
	doctor_of "$E2E_ENGINE" "$DOCKER_HOST" "$new"
	cat -- "$new"
	[ "$(jq -r .engine.version "$new")" = "$(docker version --format '{{.Server.Version}}')" ]
	[ "$(jq -r '"\(.verdict) \(.tried) \(.summary.fail)"' "$new")" = 'sealed true 0' ]
	# What is the same everywhere is said here too.
	says "$new" network.host 'mitigated: its host answers containers on a plain internal network'
	says "$new" network.ipv6 'ok: '
	says "$new" container.seccomp 'a filter is there'
	says "$new" network.dns 'ok: looks up no names of internal networks outside'
	says "$new" network.dns "bottler's answers SERVFAIL"
	if [ "$(engine_minor)" -ge 48 ]; then
		says "$new" network.gateway 'ok: has gateway_mode_ipv4=isolated'
		says "$new" network.route 'ok: gives containers on internal networks no default route (tried)'
	fi

	host=$(RIG_DOCKERD='' RIG_OWNER=$$ engine_start "$E2E_ENGINE-own")
	engine_load "$E2E_ENGINE-own" "$E2E_IMAGES/egress.tar"
	doctor_of "$E2E_ENGINE-own" "$host" "$old"
	engine_stop "$E2E_ENGINE-own" || return 1
	cat -- "$old"
	[ "$(jq -r '"\(.verdict) \(.tried) \(.summary.fail)"' "$old")" = 'sealed true 0' ]
	if [ "$(jq -r '.engine.api | split(".")[1]' "$old")" -lt 44 ]; then
		says "$old" network.gateway 'mitigated: puts an address of the host on every bridge'
		says "$old" network.route 'mitigated: gives containers on internal networks a default route (tried)'
		says "$old" network.dns 'mitigated: hands names of internal networks to the host'
		says "$old" network.dns 'a plain internal network answers NXDOMAIN'
	fi
	# Both have the same rows.
	[ "$(jq -c '[.rows[].id]' "$new")" = "$(jq -c '[.rows[].id]' "$old")" ]
}

@test "a bottle comes up: several networks in one call, no way out but the proxies'" {
	local network bridge place
	with_bottle
	[ "$(engine_minor)" -ge 44 ]
	place=$(mark)
	bottle one | put one.yaml
	wait_ready one
	works
	answers one 403 https://api.example.com/repos/other/site
	# Every container was made with all its networks: none was connected afterwards.
	changes_since "$place" | grep -q '^POST [^ ]*/containers/create'
	run grep -F /connect <<<"$(changes_since "$place")"
	[ "$status" -eq 1 ]

	# The host has no IPv4 address on the internal networks, and the agent has no route but to its own.
	for network in agent chain; do
		bridge=$(network_of "$network" | jq -er '.[0] | select(.Internal) | .Options["com.docker.network.bridge.name"]')
		[ "$(engine_exec "$E2E_ENGINE" ip -json address show dev "$bridge" |
			jq '[.[].addr_info[] | select(.family == "inet")] | length')" -eq 0 ]
		if [ "$(engine_minor)" -ge 48 ]; then
			network_of "$network" | jq -e '.[0].Options["com.docker.network.bridge.gateway_mode_ipv4"] == "isolated"'
		fi
	done
	in_agent one python3 -c 'import sys; sys.exit(any(l.split()[1] == "00000000" for l in open("/proc/net/route")))'
	engine_spawn "$E2E_ENGINE" "$BATS_TEST_TMPDIR/service.log" python3 -m http.server 8099 --bind 0.0.0.0
	wait_for 10 engine_exec "$E2E_ENGINE" curl --silent --fail --output /dev/null http://198.51.100.1:8099/
	reaches egress 9099
	run reaches 198.51.100.1 8099
	[ "$status" -eq 1 ]
	run reaches 172.17.0.1 8099
	[ "$status" -eq 1 ]
	run in_agent one getent hosts api.example.com
	[ "$status" -eq 2 ]
}

@test "attest proves it there, and says of what engine" {
	local report=$BATS_TEST_TMPDIR/report status=0
	with_bottle
	wait_for 30 works
	engine_exec "$E2E_ENGINE" "$BOTTLER" attest one --engine "$DOCKER_HOST" --instance "$INST" -o json \
		>"$report" 2>"$BATS_TEST_TMPDIR/talk" || status=$?
	cat -- "$BATS_TEST_TMPDIR/talk"
	jq -c '.summary, (.results[] | select(.verdict != "denied"))' "$report"
	[ "$status" -eq 0 ]
	[ "$(jq -r .verdict "$report")" = sealed ]
	[ "$(jq -r .engine.version "$report")" = "$(docker version --format '{{.Server.Version}}')" ]
	[ "$(jq .summary.denied "$report")" -ge 120 ]
	[ "$(jq '.summary.open + .summary.error' "$report")" -eq 0 ]
}

@test "an edit changes what it touches; a restart of bottler changes nothing" {
	local agent egress pipelock old place
	with_bottle
	wait_for 30 works
	agent=$(container_id one agent) egress=$(container_started one egress) pipelock=$(container_started one pipelock)
	old=$(generation one)
	bottle one '.spec.agent.env = {LOG_LEVEL: "debug"} | .spec.egress.routes += [{host: "files.example.com"}]' | put one.yaml
	wait_later one "$old"
	[ "$(in_agent one printenv LOG_LEVEL)" = debug ]
	answers one 200 https://files.example.com/any
	[ "$(container_id one agent)" != "$agent" ]
	[ "$(container_started one egress) $(container_started one pipelock)" = "$egress $pipelock" ]

	place=$(mark)
	controller_stop
	controller_start
	wait_ready one
	passed "$place" 1
	[ -z "$(changes_since "$place")" ] || { changes_since "$place"; false; }
}

@test "what is taken away comes back, and the agent runs on" {
	local network id agent member
	with_bottle
	wait_for 30 works
	agent=$(container_started one agent)
	docker rm --force "$(container one pipelock)" >/dev/null
	wait_for 30 works
	docker kill --signal KILL "$(container one egress)" >/dev/null
	wait_for 30 works
	for network in agent chain out; do
		id=$(network_of "$network" | jq -er '.[0].Id')
		# It repairs within milliseconds, so it is held while the network is taken away under it.
		controller_signal STOP
		for member in agent egress pipelock; do
			docker network disconnect --force "$id" "$(container one "$member")" || true
		done
		docker network rm "$id"
		controller_signal CONT
		wait_for 30 replaced "$network" "$id"
	done
	[ "$(container_started one agent)" = "$agent" ]
	docker network create foreign >/dev/null
	docker network connect foreign "$(container one agent)"
	off() { docker inspect "$(container one agent)" | jq -e '.[0].NetworkSettings.Networks | length == 1'; }
	wait_for 30 off
	wait_for 30 works
	docker network rm foreign
}

@test "after a restart of the engine everything runs again" {
	with_bottle
	wait_for 30 works
	engine_restart "$E2E_ENGINE" KILL
	wait_for 60 works
}

@test "a deleted file takes the bottle with it" {
	with_bottle
	[ -n "$(objects_of one)" ]
	rm -- "$(manifests)/one.yaml"
	wait_for 90 none_of one
	nothing
}

#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A manifest becomes a bottle, changes and goes: `bottler run` on a directory.

load lib

setup_file() { e2e_engine_start agent tiny; }
teardown_file() { e2e_engine_stop; }
setup() { e2e_setup; }
teardown() { installations_end; }

# The agent's and both sidecars' container ids, one a line.
ids() {
	local role
	for role in agent egress pipelock; do
		container_id "$1" "$role"
	done
}

@test "a manifest copied into the directory becomes a sealed bottle that works" {
	controller_start
	bottle one '.spec.egress.routes[0].auth = {scheme: "Bearer", token_ref: "ONE_TOKEN"}' >"$BATS_TEST_TMPDIR/one.yaml"
	secret ONE_TOKEN one-secret-0123456789abcdef
	cp -- "$BATS_TEST_TMPDIR/one.yaml" "$(manifests)/one.yaml"
	wait_ready one
	bottle_is one 'condition("Isolated").status == "True"'
	bottle_is one 'condition("PolicyEffective").status == "True"'

	# Allowed: through both proxies, with the credential put in on the way.
	answers one 200 https://api.example.com/repos/acme/site
	grep -F '"path": "/repos/acme/site"' "$(engine_upstream_log "$E2E_ENGINE")" |
		grep -qF '["Authorization", "Bearer one-secret-0123456789abcdef"]'
	# Not allowed: host, path, method.
	answers one 403 https://api.example.com/repos/other/site
	answers one 403 --request DELETE https://api.example.com/repos/acme/site
	run fetch one https://files.example.org/
	[[ $output == *403* ]]
	absent files.example.org "$(engine_upstream_log "$E2E_ENGINE")"
	absent files.example.org "$(engine_dns_log "$E2E_ENGINE")"
	# The second key: a credential in the body.
	answers one 403 --data "key=ghp_$(printf 'aB3%.0s' {1..12})" https://api.example.com/repos/acme/site
	# The agent itself has no way out, no names and not the credential.
	run in_agent one curl --silent --max-time 3 --noproxy '*' --insecure "https://$RIG_WORLD_UPSTREAM/"
	[ "$status" -ne 0 ]
	run in_agent one getent hosts api.example.com
	[ "$status" -ne 0 ]
	run in_agent one env
	[[ $output != *one-secret* && $output == *https_proxy=* ]]
	run in_agent one sh -c 'echo marker-3141 >/tmp/marker; grep -rslF --exclude-dir=proc --exclude-dir=sys -e marker-3141 -e one-secret /'
	[ "$output" = /tmp/marker ]
	run docker inspect "$(container one agent)" "$(container one egress)" "$(container one pipelock)"
	[ "$status" -eq 0 ]
	[[ $output != *one-secret* ]]
}

# reaches BOTTLE ADDRESS PORT: a TCP connection from inside the agent is accepted.
reaches() {
	in_agent "$1" python3 -c 'import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)' "$2" "$3" 2>/dev/null
}

@test "the agent reaches its proxy, and neither the host, pipelock nor another bottle" {
	local gateway address target
	controller_start
	bottle one | put one.yaml
	bottle two | put two.yaml
	wait_ready one
	wait_ready two
	# A service of the host, on all its addresses.
	engine_spawn "$E2E_ENGINE" "$BATS_TEST_TMPDIR/service.log" python3 -m http.server 8099 --bind 0.0.0.0
	wait_for 10 engine_exec "$E2E_ENGINE" curl --silent --fail --output /dev/null http://198.51.100.1:8099/
	reaches one egress 9099
	# The first address of the subnet is what would be the gateway.
	gateway=$(docker network inspect --format '{{(index .IPAM.Config 0).Subnet}}' "$INST.one.agent")
	gateway=$(python3 -c 'import ipaddress, sys; print(ipaddress.ip_network(sys.argv[1])[1])' "$gateway")
	for target in "$gateway:8099" 198.51.100.1:8099 172.17.0.1:8099; do
		run reaches one "${target%:*}" "${target#*:}"
		[ "$status" -ne 0 ]
	done
	for address in $(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}' "$(container one pipelock)"); do
		run reaches one "$address" 8888
		[ "$status" -ne 0 ]
	done
	for address in $(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}' "$(container two egress)"); do
		run reaches one "$address" 9099
		[ "$status" -ne 0 ]
	done
}

@test "an edit of agent.env replaces only the agent" {
	local before after old
	controller_start
	bottle one | put one.yaml
	wait_ready one
	mapfile -t before < <(ids one)
	old=$(generation one)
	bottle one '.spec.agent.env = {LOG_LEVEL: "debug"}' | put one.yaml
	wait_later one "$old"
	mapfile -t after < <(ids one)
	[ "${#after[@]}" -eq 3 ]
	[ "${after[0]}" != "${before[0]}" ]
	[ "${after[1]} ${after[2]}" = "${before[1]} ${before[2]}" ]
	[ "$(in_agent one printenv LOG_LEVEL)" = debug ]
}

@test "an edit of a route changes only what the route touches" {
	local before old
	controller_start
	bottle one | put one.yaml
	wait_ready one
	answers one 403 https://api.example.com/repos/new/x
	before=$(for role in agent egress pipelock; do container_started one "$role"; done)
	old=$(generation one)
	bottle one '.spec.egress.routes[0].path_allowlist += ["/repos/new/"]' | put one.yaml
	wait_later one "$old"
	answers one 200 https://api.example.com/repos/new/x
	old=$(generation one)
	bottle one '.spec.egress.routes[0].path_allowlist += ["/repos/new/"] | .spec.egress.allowlist = ["files.example.org"]' |
		put one.yaml
	wait_later one "$old"
	answers one 200 https://files.example.org/
	[ "$(for role in agent egress pipelock; do container_started one "$role"; done)" = "$before" ]
}

@test "touch, rename and a restart of bottler send no changing request" {
	local place place2 since
	controller_start
	bottle one | put one.yaml
	wait_ready one
	place=$(mark)
	since=$(engine_now)

	touch "$(manifests)/one.yaml"
	mv -- "$(manifests)/one.yaml" "$(manifests)/renamed.yaml"
	wait_for 30 bottle_is one '.metadata.source.file | endswith("renamed.yaml")'
	is_ready one
	controller_stop
	controller_start
	wait_ready one
	# And a full pass after the first one of the new process.
	place2=$(mark)
	wait_for 90 passed "$place2" 2

	[ -z "$(changes_since "$place")" ] || { changes_since "$place"; false; }
	[ -z "$(events_since "$since")" ] || { events_since "$since"; false; }
}

@test "a deleted file takes the bottle with it" {
	controller_start
	bottle one '.spec.agent.mounts = [{volume: "cache", target: "/home/agent/.cache"}]' | put one.yaml
	bottle two | put two.yaml
	wait_ready one
	wait_ready two
	[ -n "$(objects_of one)" ]
	rm -- "$(manifests)/one.yaml"
	wait_for 90 none_of one
	is_ready two
}

@test "two bottles converge side by side, and one whose image does not exist delays neither" {
	controller_start
	bottle broken '.spec.agent.image = "registry.example.com/no/such:1" | .spec.agent.pull_policy = "if_not_present"' |
		put a-broken.yaml
	bottle one | put b-one.yaml
	bottle two | put c-two.yaml
	wait_ready one
	wait_ready two
	answers one 200 https://api.example.com/repos/acme/1
	answers two 200 https://api.example.com/repos/acme/2
	condition_says broken Ready False
	condition_says broken Ready False no/such || condition_says broken Stalled True no/such ||
		condition_says broken Reconciling True no/such
	# Nothing of the broken one runs.
	no_container broken agent
}

@test "a broken edit leaves the bottle as it is and says why" {
	local before
	controller_start
	bottle one | put one.yaml
	wait_ready one
	before=$(for role in agent egress pipelock; do container_started one "$role"; done)
	bottle one '.spec.agent.imagee = "x"' | put one.yaml
	wait_for 30 condition_says one SpecAccepted False imagee
	answers one 200 https://api.example.com/repos/acme/still
	[ "$(for role in agent egress pipelock; do container_started one "$role"; done)" = "$before" ]
	bottle one | put one.yaml
	wait_for 30 condition_says one SpecAccepted True
	[ "$(for role in agent egress pipelock; do container_started one "$role"; done)" = "$before" ]
}

# The environment of the agent's own process, not that of an exec, and what the process is.
agent_pid() { docker top "$(container "$1" agent)" -eo pid,args | awk 'END { print $1 }'; }
agent_environ() { engine_exec "$E2E_ENGINE" cat "/proc/$(agent_pid "$1")/environ" | tr '\0' '\n'; }
agent_has() { agent_environ "$1" | grep -qxF -e "$2"; }
agent_runs() { docker top "$(container "$1" agent)" -eo pid,args | awk 'END { $1 = ""; print substr($0, 2) }'; }

# bottler plan with the installation's own arguments, as JSON.
plan_json() {
	local arguments i
	mapfile -t arguments < <(inst_run_arguments)
	for i in "${!arguments[@]}"; do
		[ "${arguments[i]}" != --socket ] || unset "arguments[i]" "arguments[i + 1]"
	done
	"$BOTTLER" plan "${arguments[@]:1}" -o json
}

# nowhere VALUE BOTTLE...: neither the engine nor bottler says it.
nowhere() {
	local value=$1 said=$BATS_TEST_TMPDIR/said name role
	shift
	for name in "$@"; do
		for role in agent egress pipelock; do
			docker inspect "$(container "$name" "$role")" && docker logs "$(container "$name" "$role")" || return 1
		done
		in_agent "$name" printenv || true
	done >"$said" 2>&1
	docker ps --all --no-trunc >>"$said"
	bottler_get >>"$said"
	grep -qF /etc/bottler/launch "$said"
	absent "$value" "$said"
	absent "$value" "$(inst_dir)/log"
	absent "$value" "$(engine_log "$E2E_ENGINE")"
	run grep -rlF -e "$value" -- "$(inst_dir)/state" "$(manifests)"
	[ "$status" -eq 1 ]
}

@test "a secret in the agent's environment is there, and nowhere else" {
	local before after
	secret NPM_TOKEN $'npm-first-0123456789abcdef\n'
	bottle one '.spec.agent.env = {LOG_LEVEL: "debug", NPM_TOKEN: "${NPM_TOKEN}"}' | put one.yaml
	# An image without a shell, whose command and user are the image's own.
	bottle two '.spec.agent |= (.image = env.BOTTLER_IMAGE_TINY | .env = {NPM_TOKEN: "${NPM_TOKEN}"} | del(.user, .command))' |
		put two.yaml
	run plan_json
	[ "$status" -eq 1 ]
	[[ $output == *container.create* && $output != *npm-first* ]]
	controller_start
	wait_ready one
	wait_ready two

	agent_has one NPM_TOKEN=npm-first-0123456789abcdef
	agent_has one LOG_LEVEL=debug
	[ "$(agent_runs one)" = "sleep infinity" ]
	agent_has two NPM_TOKEN=npm-first-0123456789abcdef
	[ "$(agent_runs two)" = /tiny ]
	nowhere npm-first one two
	[ "$(in_agent one stat --format '%a %u:%g' /etc/bottler/env /etc/bottler/launch)" = $'400 1000:1000\n555 0:0' ]
	# A command of somebody else's has it only when it is asked for.
	run in_agent one printenv NPM_TOKEN
	[ "$status" -eq 1 ]
	[ "$(in_agent one /etc/bottler/launch printenv NPM_TOKEN)" = npm-first-0123456789abcdef ]

	# Rotated: a new agent, and nothing else.
	mapfile -t before < <(ids one)
	controller_stop
	secret NPM_TOKEN npm-second-0123456789abcdef
	run plan_json
	[ "$status" -eq 1 ]
	[[ $output == *container.create* && $output != *npm-first* && $output != *npm-second* ]]
	controller_start
	wait_for 60 agent_has one NPM_TOKEN=npm-second-0123456789abcdef
	wait_for 60 agent_has two NPM_TOKEN=npm-second-0123456789abcdef
	wait_ready one
	wait_ready two
	mapfile -t after < <(ids one)
	[ "${#after[@]}" -eq 3 ]
	[ "${after[0]}" != "${before[0]}" ]
	[ "${after[1]} ${after[2]}" = "${before[1]} ${before[2]}" ]
	nowhere npm-first one two
	nowhere npm-second one two

	# Gone: named, and the agent stays as it is.
	rm -- "$(inst_dir)/secrets/NPM_TOKEN"
	wait_for 30 condition_says one SecretsResolved False NPM_TOKEN
	mapfile -t before < <(ids one)
	[ "${before[*]}" = "${after[*]}" ]
	agent_has one NPM_TOKEN=npm-second-0123456789abcdef
}

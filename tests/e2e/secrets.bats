#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Secrets stay where they belong. Two canaries, a credential of the egress proxy and a secret of the agent's environment, are
# searched for in everything that the engine, the machine and bottler say of a bottle in its life: in plain, encoded in
# every usual way, and as a hash that anybody could compute.

load lib
# shellcheck source=tests/rig/world.sh
. "$E2E_REPO/tests/rig/world.sh"

setup_file() {
	e2e_engine_start agent
	[ -z "${E2E_SKIP:-}" ] || return 0
	export E2E_ROOT=$BATS_FILE_TMPDIR
	inst_make
	touch "$BATS_FILE_TMPDIR/loaded"
}
teardown_file() {
	[ -n "${E2E_SKIP:-}" ] || controller_stop
	e2e_engine_stop
}
setup() { e2e_setup; }

# Of the kind that is issued, with characters that spellings differ in. They are on no command line, this shell's included.
canary() {
	local value
	mkdir -p -- "$BATS_FILE_TMPDIR/canaries"
	value=$(umask 077 && { printf 'ghp_' && od -An -N15 -tx1 /dev/urandom | tr -d ' \n' && printf '/+=~'; } |
		tee "$BATS_FILE_TMPDIR/canaries/$1.$2")
	secret "$1" "$value"
}
search() { engine_exec "$E2E_ENGINE" python3 "$RIG_DIR/canary.py" "$BATS_FILE_TMPDIR/canaries" "$@"; }
finds() { grep -v '^searched ' <<<"$output" || true; }

agent_pids() { docker top "$(container one agent)" -eo pid | sed 1d; }
upper() { docker inspect --format '{{.GraphDriver.Data.UpperDir}}' "$(container one "$1")"; }

# Everything that the engine tells, a file for each kind.
engine_says() {
	local dir=$1 kind id path
	mkdir -p -- "$dir"
	docker ps --all --no-trunc >"$dir/ps"
	docker ps --all --no-trunc --format '{{json .}}' >"$dir/ps.json"
	docker info --format '{{json .}}' >"$dir/info"
	docker system df --verbose >"$dir/df"
	docker events --since 0 --until "$(engine_now)" --format '{{json .}}' >"$dir/events"
	for kind in container network volume image; do
		if [ "$kind" = container ]; then docker ps --all --quiet; else docker "$kind" ls --quiet; fi | sort -u >"$dir/ids"
		while read -r id; do
			docker "$kind" inspect "$id"
			[ "$kind" != image ] || docker history --no-trunc "$id"
			[ "$kind" != container ] || { docker logs --details "$id" && docker diff "$id" && { docker top "$id" aux || true; }; }
		done <"$dir/ids" >"$dir/$kind" 2>&1
	done
	for path in containers/json?all=1 networks volumes images/json?all=1 info version system/df; do
		curl --silent --fail --unix-socket "${DOCKER_HOST#unix://}" "http://engine/$path"
	done >"$dir/api"
}

# Everything that bottler tells.
bottler_says() {
	local dir=$1 socket arguments format
	socket=$(inst_dir)/socket
	mapfile -t arguments < <(inst_run_arguments | awk '$0 == "--socket" { getline; next } NR > 1')
	mkdir -p -- "$dir"
	for format in json yaml wide table name; do
		"$BOTTLER" get --socket "$socket" -o "$format"
	done >"$dir/get" 2>&1
	"$BOTTLER" events --socket "$socket" -o json >"$dir/events" 2>&1
	for format in json table; do
		"$BOTTLER" plan "${arguments[@]}" -o "$format" || [ $? -eq 1 ]
	done >"$dir/plan" 2>&1
	"$BOTTLER" render all --bottle one "$(manifests)/one.yaml" >"$dir/render" 2>&1
	"$BOTTLER" attest one --engine "$DOCKER_HOST" --instance "$INST" --only 'H5*' -o json >"$dir/attest" 2>&1
	for path in v1/bottles v1/events metrics; do
		curl --silent --unix-socket "$socket" "http://bottler/$path"
	done >"$dir/api"
	cp -- "$(inst_dir)/log" "$dir/log"
	cp -r -- "$(manifests)" "$dir/manifests"
}

# Command lines and environments of every process of the engine, and of the controller, which is outside of it.
processes_say() {
	local dir=$1 pid
	mkdir -p -- "$dir"
	read -r pid <"$(inst_dir)/pid"
	cat "/proc/$pid/cmdline" "/proc/$pid/environ" "/proc/$pid/comm" >"$dir/controller"
	for pid in /proc/[0-9]*; do
		cat "$pid/cmdline" "$pid/environ" 2>/dev/null || true
	done >"$dir/all"
	# shellcheck disable=SC2016
	engine_exec "$E2E_ENGINE" sh -c 'for p in /proc/[0-9]*; do for f in cmdline environ comm; do
		mkdir -p "$1/$f" && cat "$p/$f" >"$1/$f/${p#/proc/}" 2>/dev/null; done; done; true' - "$dir"
}

# everywhere: searches all of it. The engine's own data but for the contents of images, each container's own files, its
# memory file systems, the state directory.
everywhere() {
	local says=$BATS_TEST_TMPDIR/says role data pid place places=()
	rm -rf -- "$says"
	engine_says "$says/engine"
	bottler_says "$says/bottler"
	processes_say "$says/processes"
	# It was told something everywhere.
	for place in engine/{ps,ps.json,info,events,container,network,image,api} bottler/{get,events,plan,render,attest,api,log} processes/{controller,all}; do
		[ -s "$says/$place" ] || { printf 'nothing in %s\n' "$place"; return 1; }
	done
	grep -q AttestReport "$says/bottler/attest" && grep -q EGRESS_TOKEN_0 "$says/bottler/render" || return 1
	data=$(engine_run_dir "$E2E_ENGINE")/data
	places=("$says" "$(engine_log "$E2E_ENGINE")" "$(inst_dir)" "$data"/{containers,network,volumes,image,builder,tmp,buildkit})
	for role in agent egress pipelock; do
		places+=("$(upper "$role")" "$data/containers/$(container_id one "$role")")
		pid=$(docker inspect --format '{{.State.Pid}}' "$(container one "$role")")
		places+=("/proc/$pid/root/dev/shm" "/proc/$pid/root/run" "/proc/$pid/root/tmp")
	done
	search "${places[@]}"
}

# only_found LINE...: these are the finds. What else was found, or what was not, is shown.
only_found() {
	local wanted
	wanted=$(printf '%s\n' "$@" | LC_ALL=C sort -u)
	[ "$(finds | LC_ALL=C sort -u)" = "$wanted" ] || {
		diff <(printf '%s\n' "$wanted") <(finds | LC_ALL=C sort -u) | head -n 60
		printf '%s\n' "$output" | tail -n 1
		return 1
	}
}

# The finds of the agent's own processes: `sleep` and its init have the environment; an exec has none of it.
agent_process_finds() {
	local pid says=$BATS_TEST_TMPDIR/says/processes
	for pid in "$says"/environ/*; do
		! grep -qaF 'NPM_TOKEN=' "$pid" || printf '%s plain %s\n' "$1" "$pid"
	done
	printf '%s plain %s\n' "$1" "$says/all"
}

@test "the search finds what is there, in every spelling" {
	local value dir=$BATS_TEST_TMPDIR/made form
	mkdir -p -- "$dir/canaries" "$dir/in"
	printf 'k/1+x=~Zq93' >"$dir/canaries/K"
	value=$(cat "$dir/canaries/K")
	printf 'xx%sxx' "$value" >"$dir/in/plain"
	printf 'y%s' "$value" | base64 >"$dir/in/base64"
	printf '%s' "$value" | od -An -tx1 | tr -d ' \n' | tr a-f A-F >"$dir/in/hex"
	jq -rRj '@uri' <<<"$value" >"$dir/in/quoted"
	printf '%s' "$value" | sha256sum >"$dir/in/sha256"
	printf '%s' "$value" | openssl dgst -sha1 -binary >"$dir/in/sha1"
	printf '%s\n' "$value" | md5sum >"$dir/in/md5"
	rev <<<"$value" >"$dir/in/reversed"
	printf 'k/1+x=~Zq9' >"$dir/in/nothing"
	run python3 "$RIG_DIR/canary.py" "$dir/canaries" "$dir/in"
	[ "$status" -eq 0 ]
	for form in 'plain .*/plain' 'base64[+][0-2] .*/base64' 'hex .*/hex' 'quoted .*/quoted' 'sha256-in-hex .*/sha256' 'sha1 .*/sha1' \
		'md5-in-hex .*/md5' 'reversed .*/reversed'; do
		grep -qE "^K $form\$" <<<"$output"
	done
	[[ $output != *nothing* && $output == *"searched 9 files"* ]]
}

@test "secrets are in the secrets directory, the egress proxy's token file and the agent's environment, and nowhere else" {
	local dir egress agent
	canary GH_PAT first
	canary NPM_TOKEN first
	bottle one '.spec.egress.routes[0].auth = {scheme: "Bearer", token_ref: "GH_PAT"} |
		.spec.agent.env = {LOG_LEVEL: "debug", NPM_TOKEN: "${NPM_TOKEN}"}' >"$(manifests)/one.yaml"
	controller_start
	wait_ready one
	dir=$(inst_dir)
	egress=$(upper egress)
	agent=$(upper agent)
	# In use: both wires of the agent's side are listened to.
	engine_sniff "$E2E_ENGINE" "$BATS_TEST_TMPDIR/wire" "$(engine_bridge "$INST.one.agent")" "$(engine_bridge "$INST.one.chain")" \
		"$(engine_bridge "$INST.one.out")"
	answers one 200 https://api.example.com/repos/acme/used
	answers one 403 https://api.example.com/elsewhere
	answers one 403 --data "key=ghp_$(printf 'aB3%.0s' {1..12})" https://api.example.com/repos/acme/used
	engine_sniff_end "$E2E_ENGINE" "$BATS_TEST_TMPDIR/wire"
	run search "$(engine_upstream_log "$E2E_ENGINE")"
	[ "$(finds)" = "GH_PAT.first plain $(engine_upstream_log "$E2E_ENGINE")" ]
	run search "$BATS_TEST_TMPDIR/wire"
	[ -z "$(finds)" ]

	run everywhere
	[ "$status" -eq 0 ]
	mapfile -t processes < <(agent_process_finds NPM_TOKEN.first)
	[ "${#processes[@]}" -ge 2 ]
	only_found "GH_PAT.first plain $dir/secrets/GH_PAT" "NPM_TOKEN.first plain $dir/secrets/NPM_TOKEN" \
		"GH_PAT.first plain $egress/etc/bottler/tokens/EGRESS_TOKEN_0" "NPM_TOKEN.first plain $agent/etc/bottler/env" \
		"${processes[@]}"
	# Only the agent's own processes have it, and only the egress proxy's user can read the token.
	for pid in "${processes[@]}"; do
		pid=${pid##*/}
		[ "$pid" = all ] || agent_pids | grep -qx " *$pid"
	done
	[ "$(docker exec "$(container one egress)" stat -c '%a %u' /etc/bottler/tokens /etc/bottler/tokens/EGRESS_TOKEN_0)" = $'500 10001\n400 10001' ]
}

@test "a rotated secret leaves nothing of the old one" {
	local dir id
	id=$(container_id one agent)
	canary GH_PAT second
	canary NPM_TOKEN second
	other_agent() { [ "$(container_id one agent)" != "$id" ]; }
	wait_for 60 other_agent
	wait_ready one
	credential() { answers one 200 https://api.example.com/repos/acme/rotated && engine_upstream_says GH_PAT.second; }
	engine_upstream_says() { search "$(engine_upstream_log "$E2E_ENGINE")" | grep -q "^$1 plain"; }
	wait_for 30 credential
	dir=$(inst_dir)
	run everywhere
	[ "$status" -eq 0 ]
	mapfile -t processes < <(agent_process_finds NPM_TOKEN.second)
	only_found "GH_PAT.second plain $dir/secrets/GH_PAT" "NPM_TOKEN.second plain $dir/secrets/NPM_TOKEN" \
		"GH_PAT.second plain $(upper egress)/etc/bottler/tokens/EGRESS_TOKEN_0" \
		"NPM_TOKEN.second plain $(upper agent)/etc/bottler/env" "${processes[@]}"
}

@test "a secret that can't be used is not repeated where it is refused" {
	local dir
	dir=$(inst_dir)
	# Of two lines, and with a control byte: neither can be a header's value.
	umask 077
	{ cat -- "$dir/secrets/GH_PAT" && printf '\nsecond line\n'; } >"$dir/secrets/BAD_ONE"
	{ cat -- "$dir/secrets/GH_PAT" && printf '\001'; } >"$dir/secrets/BAD_TWO"
	bottle bad1 '.spec.egress.routes[0].auth = {scheme: "Bearer", token_ref: "BAD_ONE"}' | put bad1.yaml
	bottle bad2 '.spec.egress.routes[0].auth = {scheme: "Bearer", token_ref: "BAD_TWO"}' | put bad2.yaml
	wait_for 30 condition_says bad1 SecretsResolved False BAD_ONE
	wait_for 30 condition_says bad2 Ready False BAD_TWO
	run everywhere
	[ "$status" -eq 0 ]
	mapfile -t processes < <(agent_process_finds NPM_TOKEN.second)
	only_found "GH_PAT.second plain $dir/secrets/GH_PAT" "NPM_TOKEN.second plain $dir/secrets/NPM_TOKEN" \
		"GH_PAT.second plain $dir/secrets/BAD_ONE" "GH_PAT.second plain $dir/secrets/BAD_TWO" \
		"GH_PAT.second plain $(upper egress)/etc/bottler/tokens/EGRESS_TOKEN_0" \
		"NPM_TOKEN.second plain $(upper agent)/etc/bottler/env" "${processes[@]}"
	rm -- "$(manifests)/bad1.yaml" "$(manifests)/bad2.yaml" "$dir/secrets/BAD_ONE" "$dir/secrets/BAD_TWO"
}

@test "a removed bottle leaves nothing of its secrets on the engine" {
	local dir data
	dir=$(inst_dir)
	data=$(engine_run_dir "$E2E_ENGINE")/data
	# Files in any layer that are younger than the images.
	layers() { engine_exec "$E2E_ENGINE" find "$data/overlay2" -type f -cnewer "$BATS_FILE_TMPDIR/loaded"; }
	# shellcheck disable=SC2046
	run search $(layers)
	finds | grep -q '^GH_PAT.second plain .*/EGRESS_TOKEN_0$'
	rm -- "$(manifests)/one.yaml"
	wait_for 90 nothing
	run search "$(engine_log "$E2E_ENGINE")" "$dir" "$data"/{containers,network,volumes,tmp}
	only_found "GH_PAT.second plain $dir/secrets/GH_PAT" "NPM_TOKEN.second plain $dir/secrets/NPM_TOKEN"
	# shellcheck disable=SC2046
	run search "$data/image" $(layers)
	[ -z "$(finds)" ]
}

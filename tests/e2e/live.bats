#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What changes around an agent that works: routes, a credential and limits, while server-sent events stream through the bottle.
# No stream breaks, each change is in effect, no container is another one, and the time from the write to that is printed.

load lib

export E2E_POLL=0.05
STREAMS=(open pinned api) # scanned, not scanned, scanned with a credential

setup_file() {
	e2e_engine_start agent
	[ -z "${E2E_SKIP:-}" ] || return 0
	export E2E_ROOT=$BATS_FILE_TMPDIR
	inst_make
	secret TOKEN first-token-0123456789abcdef
	manifest . | put one.yaml
	controller_start
	wait_ready one
}
teardown_file() {
	[ -n "${E2E_SKIP:-}" ] || controller_stop
	e2e_engine_stop
}
setup() {
	e2e_setup
	streams_start
	identities >"$BATS_TEST_TMPDIR/identities"
}
teardown() { [ -n "${E2E_SKIP:-}" ] || in_agent one touch /tmp/enough; }

manifest() {
	bottle one '.spec.egress.routes = [{host: "open.example.com"}, {host: "pinned.example.com", pipelock: {tls_passthrough: true}},
		{host: "api.example.com", auth: {scheme: "Bearer", token_ref: "TOKEN"}}]
		| .spec.agent.resources = {memory: "512Mi", cpus: 1, pids: 200}' | jq "$1"
}

# One stream of each kind, begun, until streams_end.
streams_start() {
	local host
	in_agent one rm -f /tmp/enough
	JOBS=()
	for host in "${STREAMS[@]}"; do
		docker exec --interactive "$(container one agent)" python3 - follow "$host.example.com" 0.1 /tmp/enough \
			<"$E2E_REPO/tests/rig/stream_client.py" >"$BATS_TEST_TMPDIR/$host" 2>&1 3>&- &
		JOBS+=($!)
	done
	wait_for 20 streams_asked
}
streams_asked() { [ "$(in_flight)" -eq ${#STREAMS[@]} ]; }
in_flight() { docker logs "$(container one egress)" 2>/dev/null | jq -R 'fromjson? | select(.event == "activity") | .in_flight' | tail -n 1; }

# They have run all the time: every event in its turn, none late.
streams_end() {
	local host job
	for job in "${JOBS[@]}"; do
		kill -0 "$job" || { printf 'a stream has ended\n'; cat -- "$BATS_TEST_TMPDIR"/{open,pinned,api}; return 1; }
	done
	in_agent one touch /tmp/enough
	for job in "${JOBS[@]}"; do
		wait "$job"
	done
	for host in "${STREAMS[@]}"; do
		jq -e '.status == 200 and .events > 10 and .longest_gap < 3' "$BATS_TEST_TMPDIR/$host" >/dev/null ||
			{ cat -- "$BATS_TEST_TMPDIR/$host"; return 1; }
		printf '# %s: %s\n' "$host" "$(jq -c '{events, seconds: .last, longest_gap}' "$BATS_TEST_TMPDIR/$host")" >&3
	done
	identities | diff "$BATS_TEST_TMPDIR/identities" -
	wait_for 20 nothing_in_flight
}
nothing_in_flight() { [ "$(in_flight)" -eq 0 ]; }
identities() {
	local role
	for role in agent egress pipelock; do
		container_started one "$role"
	done
}

# timed WHAT COMMAND...: prints how long it takes until it succeeds, since BEGAN.
timed() {
	wait_for 30 "${@:2}"
	printf '# %-24s %4d ms from the write until it is confirmed\n' "$1" $(((${EPOCHREALTIME/./} - ${BEGAN/./}) / 1000)) >&3
}
# changed WHAT FILTER: the manifest with the filter is in effect.
changed() {
	local old
	old=$(generation one)
	manifest "$2" >"$BATS_TEST_TMPDIR/changed"
	BEGAN=$EPOCHREALTIME
	put one.yaml <"$BATS_TEST_TMPDIR/changed"
	timed "$1" is_later one "$old"
}

# What a request for a host gives: a status, or the proxy's refusal.
request() { fetch one --output /dev/null "https://$1/" || true; }
reached() { [ "$(request "$1")" = $'\n200' ]; }
refused() { request "$1" | grep -q 'response 403'; }

@test "a route comes and goes" {
	refused later.example.com
	changed 'a route is added' '.spec.egress.allowlist = ["later.example.com"]'
	reached later.example.com
	changed 'a route is removed' .
	refused later.example.com
	streams_end
}

# The credential that came with the latest request for a path.
credential() {
	jq -r --arg path "$1" 'select(.path == $path) | .headers[] | select(.[0] == "Authorization") | .[1]' \
		"$(engine_upstream_log "$E2E_ENGINE")" | tail -n 1
}
loads() { docker logs "$(container one egress)" 2>/dev/null | grep -c '"event": "routes_loaded"'; }
loaded_since() { [ "$(loads)" -gt "$1" ] && is_ready one; }

@test "a credential is rotated" {
	local before
	reached api.example.com/before
	[ "$(credential /before/)" = 'Bearer first-token-0123456789abcdef' ]
	before=$(loads)
	secret TOKEN.new second-token-0123456789abcdef
	BEGAN=$EPOCHREALTIME
	mv -- "$(inst_dir)/secrets/TOKEN.new" "$(inst_dir)/secrets/TOKEN"
	timed 'a credential is rotated' loaded_since "$before"
	reached api.example.com/after
	[ "$(credential /after/)" = 'Bearer second-token-0123456789abcdef' ]
	streams_end
}

# limit CONTROLLER FILE FILE2: what the agent's control group says, in the first or the second version of these.
limit() {
	local base=/sys/fs/cgroup/$1/ group
	[ -d "$base" ] || base=/sys/fs/cgroup/
	group=$(find "$base" -type d -name "$(container_id one agent)" -print -quit)
	[ -n "$group" ] || return 1
	cat -- "$group/$2" 2>/dev/null || cat -- "$group/$3"
}
memory_is() { [ "$(limit memory memory.limit_in_bytes memory.max)" = "$1" ]; }
pids_is() { [ "$(limit pids pids.max pids.max)" = "$1" ]; }
# Of 100 ms; no limit is -1, max, or no less than all that there are.
quota() { limit cpu cpu.cfs_quota_us cpu.max | cut -d' ' -f1; }
quota_is() { [ "$(quota)" = "$1" ]; }
no_quota() {
	local quota
	quota=$(quota)
	[ "$quota" = max ] || [ "$quota" -eq -1 ] || [ "$quota" -ge $((100000 * $(docker info --format '{{.NCPU}}'))) ]
}

@test "limits are changed, and taken away" {
	memory_is $((512 << 20))
	pids_is 200
	quota_is 100000
	changed 'less memory' '.spec.agent.resources.memory = "300Mi"'
	memory_is $((300 << 20))
	changed 'more memory' '.spec.agent.resources.memory = "1Gi"'
	memory_is $((1 << 30))
	changed 'fewer processes' '.spec.agent.resources.pids = 100'
	memory_is $((512 << 20))
	pids_is 100
	changed 'less of a CPU' '.spec.agent.resources.cpus = 0.5'
	pids_is 200
	quota_is 50000
	changed 'no limit of CPUs' 'del(.spec.agent.resources.cpus)'
	no_quota
	changed 'all limits back' .
	quota_is 100000
	streams_end
}

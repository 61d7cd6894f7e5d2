#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Streams and crowds through the whole chain: unbroken, unaltered, in bounded memory. `make bench` has the full sizes.

load lib

MIB=1048576

setup_file() {
	e2e_engine_start agent
	[ -z "${E2E_SKIP:-}" ] || return 0
	export E2E_ROOT=$BATS_FILE_TMPDIR
	inst_make
	secret TOKEN stream-token-0123456789abcdef
	controller_start
	manifest . | put one.yaml
	wait_ready one
}
teardown_file() {
	[ -n "${E2E_SKIP:-}" ] || controller_stop
	e2e_engine_stop
}
setup() { e2e_setup; }

# Scanned, scanned with a credential that is masked in what comes back, and not scanned.
manifest() {
	bottle one '.spec.egress.routes = [{host: "open.example.com"}, {host: "pinned.example.com", pipelock: {tls_passthrough: true}},
		{host: "api.example.com", auth: {scheme: "Bearer", token_ref: "TOKEN"}}]' | jq "$1"
}

client() { docker exec --interactive "$(container one agent)" python3 - "$@" <"$E2E_REPO/tests/rig/stream_client.py"; }
words() { python3 -c 'import hashlib, sys
block = (b"the quick brown fox jumps over the lazy dog\n" * 1490)[: 1 << 16]
print(hashlib.sha256((block * (int(sys.argv[1]) // len(block) + 1))[: int(sys.argv[1])]).hexdigest())' "$1"; }
has() { jq -e "$1" "$2" >/dev/null || { cat -- "$2"; return 1; }; }

# A number of the container's control group, in either version of them.
memory() {
	local group file
	group=$(find /sys/fs/cgroup -maxdepth 5 -type d -name "$(container_id one "$1")" \( -path '*/memory/*' -o -exec test -e '{}/memory.max' \; \) -print -quit)
	for file in "${@:2}"; do
		[ ! -e "$group/$file" ] || cat -- "$group/$file"
	done
}
memory_now() { memory "$1" memory.usage_in_bytes memory.current; }
memory_most() { memory "$1" memory.max_usage_in_bytes memory.peak; }
memory_limit() { memory "$1" memory.limit_in_bytes memory.max; }

@test "server-sent events arrive one by one on every kind of route, past a reload and beside a large download" {
	local host old jobs=() big=$BATS_TEST_TMPDIR/big
	client fetch open.example.com $((8 * MIB)) words >"$big" 3>&- &
	jobs+=($!)
	for host in open pinned api; do
		client events "$host.example.com" 40 0.25 >"$BATS_TEST_TMPDIR/$host" 3>&- &
		jobs+=($!)
	done
	old=$(generation one)
	manifest '.spec.egress.allowlist = ["more.example.com"]' | put one.yaml
	wait_later one "$old"
	for job in "${jobs[@]}"; do
		wait "$job"
	done
	for host in open pinned api; do
		has '.status == 200 and .events == 40 and .first < 3 and .last > 9 and .longest_gap < 3' "$BATS_TEST_TMPDIR/$host"
	done
	# The one that was scanned, unaltered.
	has ".status == 200 and .sha256 == \"$(words $((8 * MIB)))\"" "$big"
	printf '# 8 MiB through the scan: %s s\n' "$(jq .seconds "$big")" >&3
}

@test "a large download and a large upload pass unaltered, in bounded memory" {
	local out=$BATS_TEST_TMPDIR/out before role
	before=$(memory_now egress)
	client fetch pinned.example.com $((64 * MIB)) words >"$out"
	has ".status == 200 and .bytes == $((64 * MIB)) and .sha256 == \"$(words $((64 * MIB)))\"" "$out"
	client upload pinned.example.com $((48 * MIB)) >"$out"
	has '.status == 200 and .got == .sent' "$out"
	client upload open.example.com $((2 * MIB)) >"$out"
	has '.status == 200 and .got == .sent' "$out"
	for role in egress pipelock; do
		printf '# memory of %s: at most %d MiB of %d\n' "$role" $(($(memory_most "$role") / MIB)) $(($(memory_limit "$role") / MIB)) >&3
		[ "$(memory_most "$role")" -lt "$(memory_limit "$role")" ]
	done
	# Not held: far less than what has passed.
	[ $(($(memory_now egress) - before)) -lt $((24 * MIB)) ]
	[ "$(memory_most egress)" -lt $((256 * MIB)) ]
}

@test "200 requests at once get their own answers" {
	local host out=$BATS_TEST_TMPDIR/out
	for host in open pinned; do
		client crowd "$host.example.com" 200 >"$out"
		has '.outcomes == {"own answer": 200}' "$out"
		printf '# 200 at once, %s: %s s\n' "$host" "$(jq .seconds "$out")" >&3
	done
}

tunnels() { docker logs "$(container one pipelock)" 2>/dev/null | jq -R 'fromjson? | select(.event == "tunnel_open" and (tostring | contains("pinned.example.com")))' | jq -s length; }

@test "requests on one connection are all answered; a tunnel to the upstream itself is used again" {
	local out=$BATS_TEST_TMPDIR/out before
	client sequence open.example.com 200 >"$out"
	has '.outcomes == {"own answer": 200}' "$out"
	before=$(tunnels)
	client sequence pinned.example.com 200 >"$out"
	has '.outcomes == {"own answer": 200}' "$out"
	[ $(($(tunnels) - before)) -eq 1 ]
}

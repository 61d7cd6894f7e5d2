#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# With traffic running, each sidecar is killed, paused, stopped, starved, corrupted, removed and cut off: nothing gets out
# meanwhile, the bottle heals, the agent's container is the same one. The seconds that it took are printed.

load lib

TRAFFIC=$BATS_TEST_DIRNAME/traffic.py
HEALS=40

setup_file() {
	e2e_engine_start agent
	[ -z "${E2E_SKIP:-}" ] || return 0
	export E2E_ROOT=$BATS_FILE_TMPDIR
	inst_make
	mkdir -m 0777 -- "$BATS_FILE_TMPDIR/data"
	controller_start
	manifest . | put one.yaml
	wait_ready one
	container_started one agent >"$BATS_FILE_TMPDIR/agent"
}
teardown_file() {
	[ -n "${E2E_SKIP:-}" ] || controller_stop
	e2e_engine_stop
}
setup() {
	e2e_setup
	[ -z "${E2E_SKIP:-}" ] || return 0
	BEGAN=$(now)
	wait_for "$HEALS" flows "$BEGAN"
}
# Whatever a test did, at its end nothing has got out and the agent is the one that began.
teardown() {
	[ -n "${E2E_SKIP:-}" ] || { nothing_got_out && same_agent; }
}

# The agent is the traffic: nothing has to be executed in it from outside.
manifest() {
	bottle one | jq --rawfile traffic "$TRAFFIC" --arg work "$BATS_FILE_TMPDIR/data" '
		.spec.agent += {command: ["python3", "/traffic.py", "run", "/data/traffic.jsonl"],
			files: [{path: "/traffic.py", content: $traffic}], mounts: [{source: $work, target: "/data"}]}' | jq "$1"
}

now() { date +%s.%N; }
record() { printf '%s/data/traffic.jsonl\n' "$BATS_FILE_TMPDIR"; }
flows() { is_ready one && python3 "$TRAFFIC" flows "$(record)" "$1"; }
same_agent() { [ "$(container_started one agent)" = "$(cat -- "$BATS_FILE_TMPDIR/agent")" ]; }
nothing_got_out() {
	grep -qF '"path": "/repos/acme/' "$(engine_upstream_log "$E2E_ENGINE")" && grep -qF '"api.example.com"' "$(engine_dns_log "$E2E_ENGINE")" &&
		absent denied "$(engine_upstream_log "$E2E_ENGINE")" && absent denied "$(engine_dns_log "$E2E_ENGINE")"
}

# The process of a sidecar itself, below its init, as the engine numbers it.
pid_of() {
	local init
	init=$(docker inspect --format '{{.State.Pid}}' "$(container one "$1")") && [ "$init" -gt 0 ] &&
		engine_exec "$E2E_ENGINE" pgrep --parent "$init" --oldest
}
config_file() { case $1 in egress) printf '/etc/bottler/routes.yaml' ;; pipelock) printf '/etc/bottler/pipelock.yaml' ;; esac; }
desired_hash() { bottler_get | jq -er --arg role "$1" '.items[] | select(.metadata.name == "one") | .status.components[] | select(.role == $role) | .configHash.desired'; }

# It runs, on its networks, and has the file that it should have. Looks from outside: the engine hears nothing of it.
sound() {
	local pid hash
	pid=$(pid_of "$1") || return 1
	hash=$(engine_exec "$E2E_ENGINE" sha256sum "/proc/$pid/root$(config_file "$1")" | cut -d' ' -f1) || return 1
	[ "$hash" = "$(desired_hash "$1")" ] || { printf '%s: another file\n' "$1"; return 1; }
	[ "$(docker inspect --format '{{.State.Status}} {{len .NetworkSettings.Networks}}' "$(container one "$1")")" = "running 2" ]
}
healed() { sound egress && sound pipelock && flows "$1"; }

# chaos LABEL COMMAND...: does it, waits until all is well, and says how long there was no answer.
chaos() {
	local label=$1 since seconds
	shift
	since=$(now)
	"$@" >/dev/null
	wait_for "$HEALS" healed "$(now)"
	seconds=$(python3 "$TRAFFIC" report "$(record)" "$since")
	printf '# chaos %s: %s s without an answer\n' "$label" "$seconds" >&3
	nothing_got_out
	same_agent
}

both() {
	local command=("$@")
	docker "${command[@]}" "$(container one egress)" "$(container one pipelock)"
}

@test "killed" {
	chaos "kill egress" docker kill "$(container one egress)"
	chaos "kill pipelock" docker kill "$(container one pipelock)"
	chaos "kill both" both kill
}

@test "paused" {
	chaos "pause egress" docker pause "$(container one egress)"
	chaos "pause pipelock" docker pause "$(container one pipelock)"
	chaos "pause both" both pause
}

@test "stopped" {
	chaos "stop egress" docker stop "$(container one egress)"
	chaos "stop pipelock" docker stop "$(container one pipelock)"
}

@test "removed" {
	chaos "remove egress" docker rm --force "$(container one egress)"
	chaos "remove pipelock" docker rm --force "$(container one pipelock)"
	chaos "remove both" both rm --force
}

@test "disconnected" {
	local pair
	for pair in egress:agent egress:chain pipelock:chain pipelock:out; do
		chaos "disconnect ${pair/:/ from }" docker network disconnect "$INST.one.${pair#*:}" "$(container one "${pair%:*}")"
	done
}

# The limit of the container's own control group, set past the engine to a little more than is used now.
starve() {
	local id=$1 spare=$2 group file
	group=$(find /sys/fs/cgroup -maxdepth 5 -type d -name "$id" \( -path '*/memory/*' -o -exec test -e '{}/memory.max' \; \) -print -quit)
	for file in memory.limit_in_bytes memory.max; do
		[ ! -e "$group/$file" ] || printf '%d\n' $(($(cat "$group"/memory.usage_in_bytes "$group"/memory.current 2>/dev/null) + spare)) >"$group/$file"
	done
}
was_killed_for_memory() { docker events --since "$1" --until "$(engine_now)" --filter event=oom --format '{{.ID}}' | grep -qx "$2"; }
# starved ROLE SPARE: until the kernel has killed it.
starved() {
	local id since
	id=$(container_id one "$1")
	since=$(engine_now)
	starve "$id" "$2"
	wait_for 20 load_until_gone "$since" "$id"
}
# Bodies that egress collects and pipelock scans.
load_until_gone() {
	in_agent one python3 -c '
import threading, sys
sys.path.insert(0, "/")
import traffic
def send():
    try: traffic.request("api.example.com", "POST", "/repos/acme/load", b"words " * 160000)
    except OSError: pass
threads = [threading.Thread(target=send) for _ in range(12)]
[t.start() for t in threads]; [t.join() for t in threads]'
	was_killed_for_memory "$@"
}

@test "out of memory" {
	chaos "oom egress" starved egress $((4 << 20))
	chaos "oom pipelock" starved pipelock $((4 << 20))
}

# put_file ROLE TEXT: in place of its configuration, by the engine; owner and mode as they were.
put_file() {
	local dir=$BATS_TEST_TMPDIR/put path gid=65534
	path=$(config_file "$1")
	[ "$1" != egress ] || gid=10001
	mkdir -p -- "$dir"
	printf '%s' "$2" >"$dir/${path##*/}"
	tar --create --directory "$dir" --owner 0 --group "$gid" --numeric-owner --mode 0440 "${path##*/}" |
		docker cp - "$(container one "$1"):${path%/*}"
}
hangup() { docker kill --signal HUP "$(container one "$1")"; }
put_and_hangup() { put_file "$1" "$2" && hangup "$1"; }

# Files that would let everything pass.
open_file() {
	case $1 in
	egress) printf '%s\n' 'log: 1' 'routes:' '- host: "api.example.com"' '- host: "denied.example.org"' ;;
	pipelock)
		"$BOTTLER" render pipelock "$(manifests)/one.yaml" |
			sed -e 's/^- "api.example.com"/&\n- "*.example.org"/' -e 's/action: block/action: warn/' -e 's/scan_headers: true/scan_headers: false/'
		;;
	esac
}

@test "corrupted: garbage" {
	local role
	for role in egress pipelock; do
		chaos "garbage $role" put_file "$role" $'\1\2 }{ garbage\n'
		chaos "garbage and a signal $role" put_and_hangup "$role" $'\3\4 }{ garbage\n'
	done
}

@test "corrupted: empty" {
	local role
	for role in egress pipelock; do
		chaos "empty $role" put_file "$role" ''
		chaos "empty and a signal $role" put_and_hangup "$role" ''
	done
}

@test "corrupted: open" {
	local role
	for role in egress pipelock; do
		chaos "open $role" put_file "$role" "$(open_file "$role")"
		chaos "open and a signal $role" put_and_hangup "$role" "$(open_file "$role")"
	done
}

remove_file() { engine_exec "$E2E_ENGINE" rm "/proc/$(pid_of "$1")/root$(config_file "$1")" && hangup "$1"; }

@test "corrupted: the file is gone" {
	chaos "no file egress" remove_file egress
	chaos "no file pipelock" remove_file pipelock
}

# Processes that can't run neither reload nor end.
replaced() { local id && id=$(container_id one "$1") && [ "$id" != "$2" ]; }
reloads_without_answer() {
	local role before=()
	for role in egress pipelock; do
		before+=("$(container_id one "$role")")
		engine_exec "$E2E_ENGINE" kill -STOP "$(pid_of "$role")"
	done
	manifest '.spec.egress.allowlist = ["more.example.com"]' | put one.yaml
	wait_for 60 replaced egress "${before[0]}"
	wait_for 60 replaced pipelock "${before[1]}"
}

@test "proxies that do not confirm a reload are replaced" {
	local old
	old=$(generation one)
	chaos "no reload of both" reloads_without_answer
	is_later one "$old"
}

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Private Docker Engines for tests and the demo. Source it for its functions, or run it:
#
#   engine.sh start NAME            start a fresh engine, print its DOCKER_HOST
#   engine.sh host NAME             print its DOCKER_HOST
#   engine.sh load NAME [TAR...]    load image tars (default: all of build/images)
#   engine.sh exec NAME CMD...      run a command inside its namespaces
#   engine.sh addr NAME ADDRESS...  give its outside world further addresses
#   engine.sh upstream NAME [ADDRESS...]     start its HTTPS server, print the file of its CA
#   engine.sh dns NAME PATTERN ADDRESS...    answer names matching PATTERN with ADDRESS
#   engine.sh restart NAME [SIGNAL] end its dockerd (SIGTERM) and start it again on the same data
#   engine.sh stop NAME             end it and remove everything it left
#   engine.sh list                  names and states
#
# An engine has its own network, mount and process namespaces. Its network has no link to the
# outside: a bridge without ports, `world0`, carries the default route and the addresses that play
# the outside world. A name server on it answers from a table and records every query. All
# processes of the engine, its containers included, live in one process namespace, so that the end
# of that namespace's first process is the end of them all.
#
# Environment: RIG_BUILD (default: build/ of the repository), RIG_OWNER (a process id: the engine is
# stopped when that process is gone), RIG_STORAGE (storage driver), RIG_DOCKERD (program), RIG_DATA
# (`memory` or `disk`: where images and containers are; memory when there is plenty of it).

RIG_DIR=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
RIG_BUILD=${RIG_BUILD:-$(cd -- "$RIG_DIR/../.." && pwd)/build}
RIG_WORLD_IF=world0
RIG_WORLD_GATEWAY=198.51.100.1
RIG_WORLD_DNS=198.51.100.53
RIG_WORLD_UPSTREAM=198.51.100.10
RIG_DEADLINE=60 # seconds, for waiting in vain
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH

rig_say() { printf '%s\n' "rig: $*" >&2; }
rig_fail() { rig_say "$*"; return 1; }

rig_need_root() {
	[ "$(id -u)" -eq 0 ] || rig_fail "private engines need root: run this with sudo"
}

rig_need() {
	local program missing=()
	for program in "$@"; do
		command -v "$program" >/dev/null 2>&1 || missing+=("$program")
	done
	[ ${#missing[@]} -eq 0 ] || rig_fail "missing: ${missing[*]} (\`make deps\` installs them)"
}

# The start time of a process in ticks; with the process id it names one process for ever.
rig_start_time() {
	local stat
	{ read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
	stat=${stat##*) }
	# shellcheck disable=SC2086
	set -- $stat
	[ "$1" != Z ] && [ "$1" != X ] && printf '%s\n' "${20}"
}

engine_dir() { printf '%s\n' "$RIG_BUILD/engines/$1"; }
engine_log() { printf '%s\n' "$RIG_BUILD/engines/$1/dockerd.log"; }
engine_upstream_log() { printf '%s\n' "$RIG_BUILD/engines/$1/upstream.log"; }
engine_ca() { printf '%s\n' "$RIG_BUILD/engines/$1/ca/ca.pem"; }
engine_dns_log() { printf '%s\n' "$RIG_BUILD/engines/$1/dns.log"; }

engine_check_name() {
	[[ $1 =~ ^[a-z0-9][a-z0-9-]{0,30}$ ]] || rig_fail "not a name for an engine: '$1'"
}

engine_cgroup() {
	printf 'bottler-rig-%s-%s\n' "$1" "$(engine_dir "$1" | sha256sum | cut -c1-8)"
}

# Where sockets and data are: the engine's directory, or a short one where its path is too long.
engine_run_dir() { cat -- "$(engine_dir "$1")/run-dir" 2>/dev/null; }

engine_host() { printf 'unix://%s/docker.sock\n' "$(engine_run_dir "$1")"; }

# Prints the process id of the engine's first process while that very process lives.
engine_keeper() {
	local pid started
	{ read -r pid started <"$(engine_dir "$1")/keeper"; } 2>/dev/null || return 1
	[ -n "$pid" ] && [ "$(rig_start_time "$pid")" = "$started" ] && printf '%s\n' "$pid"
}

engine_running() { engine_keeper "$1" >/dev/null; }

engine_exec() {
	local keeper
	keeper=$(engine_keeper "$1") || rig_fail "engine $1 is not running" || return 1
	shift
	nsenter --target "$keeper" --mount --net --pid --wd="$PWD" -- "$@"
}

# Runs a command in the background inside; it ends with the engine at the latest. Prints its id there.
engine_spawn() {
	local name=$1 log=$2
	shift 2
	engine_exec "$name" bash "$RIG_DIR/inside.sh" spawn "$log" "$@"
}

# How many upstream servers have been started.
engine_upstreams() { cat -- "$(engine_upstream_log "$1")" 2>/dev/null | grep -c '"listening"' || true; }

# Starts the upstream server of the closed world, with a certificate authority of its own, on the
# given addresses (default: the one that *.example.com and others resolve to).
engine_upstream() {
	local name=$1 dir listen=() address before deadline=$((SECONDS + RIG_DEADLINE))
	dir=$(engine_dir "$name")
	shift
	[ $# -gt 0 ] || set -- "$RIG_WORLD_UPSTREAM"
	for address in "$@"; do
		listen+=(--listen "$address:443")
	done
	# A second server of the same engine shares the first one's certificate and log.
	[ -e "$dir/ca/server.pem" ] || "$RIG_DIR/ca.sh" "$dir/ca" || return 1
	before=$(engine_upstreams "$name")
	engine_addr "$name" "$@" &&
		engine_spawn "$name" "$dir/upstream.err" python3 "$RIG_DIR/upstream/server.py" \
			"${listen[@]}" --cert "$dir/ca/server.pem" --key "$dir/ca/server-key.pem" \
			--log "$dir/upstream.log" >/dev/null || return 1
	until [ "$(engine_upstreams "$name")" -gt "$before" ]; do
		if [ "$SECONDS" -ge "$deadline" ]; then
			cat -- "$dir/upstream.err" >&2
			rig_fail "engine $name: its upstream server does not start"
			return 1
		fi
		sleep 0.05
	done
	printf '%s\n' "$dir/ca/ca.pem"
}

# overlay2 where the data root can carry it, else fuse-overlayfs, else plain copies.
engine_storage_driver() {
	local data=$1 work driver=vfs
	[ -z "${RIG_STORAGE:-}" ] || { printf '%s\n' "$RIG_STORAGE"; return 0; }
	work=$(mktemp -d -- "$data/probe.XXXXXX") || return 1
	mkdir -- "$work/lower" "$work/upper" "$work/work" "$work/merged"
	if unshare --mount mount -t overlay overlay \
		-o "lowerdir=$work/lower,upperdir=$work/upper,workdir=$work/work" "$work/merged" \
		2>/dev/null; then
		driver=overlay2
	elif [ -c /dev/fuse ] && command -v fuse-overlayfs >/dev/null 2>&1; then
		driver=fuse-overlayfs
	fi
	rm -rf -- "$work"
	printf '%s\n' "$driver"
}

# Images load several times faster into memory, and nothing of it can be left behind.
engine_data_place() {
	local available
	available=$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo)
	if [ -n "${RIG_DATA:-}" ]; then
		printf '%s\n' "$RIG_DATA"
	elif [ -z "${RIG_STORAGE:-}" ] && [ "${available:-0}" -gt $((10 * 1024 * 1024)) ]; then
		printf 'memory\n'
	else
		printf 'disk\n'
	fi
}

engine_ping() {
	curl -fsS --max-time 2 --unix-socket "$(engine_run_dir "$1")/docker.sock" \
		http://engine/_ping >/dev/null 2>&1
}

# Waits until the engine answers; fails with the end of its log when its dockerd ends before that.
engine_wait() {
	local name=$1 deadline=$((SECONDS + RIG_DEADLINE))
	until engine_ping "$name"; do
		if [ "$SECONDS" -ge "$deadline" ] || ! engine_daemon_alive "$name"; then
			tail -n 20 -- "$(engine_log "$name")" >&2
			rig_fail "engine $name does not answer"
			return 1
		fi
		sleep 0.1
	done
}

engine_daemon_alive() {
	engine_exec "$1" bash "$RIG_DIR/inside.sh" daemon-alive
}

engine_daemon_start() {
	local name=$1 run driver
	run=$(engine_run_dir "$name")
	driver=$(cat -- "$run/storage-driver") || return 1
	engine_exec "$name" bash "$RIG_DIR/inside.sh" daemon-start "$(engine_log "$name")" \
		"${RIG_DOCKERD:-dockerd}" \
		--config-file "$run/daemon.json" --data-root "$run/data" --exec-root /run/docker \
		--pidfile /run/docker.pid --host "unix://$run/docker.sock" --group root \
		--storage-driver "$driver" --exec-opt native.cgroupdriver=cgroupfs \
		--cgroup-parent "/$(engine_cgroup "$name")" --shutdown-timeout 1
}

engine_start() {
	local name=$1 dir run started deadline data=disk
	engine_check_name "$name" && rig_need_root || return 1
	rig_need "${RIG_DOCKERD:-dockerd}" unshare nsenter ip iptables python3 curl || return 1
	engine_stop "$name" || return 1
	dir=$(engine_dir "$name")
	mkdir -p -- "$dir" || return 1
	run=$dir
	if [ ${#run} -gt 80 ]; then
		run=$(mktemp -d /tmp/bottler-rig.XXXXXX) || return 1
	fi
	printf '%s\n' "$run" >"$dir/run-dir"
	mkdir -p -- "$run/data"
	# With debug on, the log names every request that the engine gets.
	printf '{"debug": true}\n' >"$run/daemon.json"
	if [ "$(engine_data_place)" = memory ]; then
		data=memory
		printf 'overlay2\n' >"$run/storage-driver"
	else
		engine_storage_driver "$run/data" >"$run/storage-driver" || return 1
	fi
	printf '*.example.com %s\n*.example.org %s\n*.example.net %s\n' \
		"$RIG_WORLD_UPSTREAM" "$RIG_WORLD_UPSTREAM" "$RIG_WORLD_UPSTREAM" >"$dir/dns.table"
	setsid unshare --net --mount --pid --fork --kill-child bash "$RIG_DIR/inside.sh" keep "$dir" "$run/data" "$data" \
		"$RIG_WORLD_IF" "$RIG_WORLD_GATEWAY" "$RIG_WORLD_DNS" "$RIG_WORLD_UPSTREAM" \
		</dev/null >"$dir/keeper.log" 2>&1 3>&- 4>&- 9>&- &
	started=$!
	deadline=$((SECONDS + RIG_DEADLINE))
	until [ -e "$dir/ready" ]; do
		if [ "$SECONDS" -ge "$deadline" ] || ! kill -0 "$started" 2>/dev/null; then
			cat -- "$dir/keeper.log" >&2
			engine_stop "$name"
			rig_fail "engine $name: its namespaces could not be made"
			return 1
		fi
		sleep 0.05
	done
	if ! engine_daemon_start "$name" || ! engine_wait "$name"; then
		engine_stop "$name"
		return 1
	fi
	[ -z "${RIG_OWNER:-}" ] || engine_watch_owner "$name" "$RIG_OWNER"
	engine_host "$name"
}

# Stops this very engine, not a later one of its name, when its owner is gone, however it went.
engine_watch_owner() {
	local name=$1 owner=$2 started keeper
	started=$(rig_start_time "$owner") && keeper=$(engine_keeper "$name") || return 1
	# shellcheck disable=SC2016
	RIG_BUILD=$RIG_BUILD setsid bash -c '
		. "$1/engine.sh"
		while [ "$(engine_keeper "$2")" = "$5" ] && [ "$(rig_start_time "$3")" = "$4" ]; do sleep 1; done
		[ "$(engine_keeper "$2")" != "$5" ] || engine_stop "$2"
	' watch "$RIG_DIR" "$name" "$owner" "$started" "$keeper" </dev/null >/dev/null 2>&1 3>&- 4>&- 9>&- &
}

engine_restart() {
	local name=$1 signal=${2:-TERM}
	engine_running "$name" || rig_fail "engine $name is not running" || return 1
	engine_exec "$name" bash "$RIG_DIR/inside.sh" daemon-stop "$signal" &&
		engine_daemon_start "$name" && engine_wait "$name"
}

# Removes the cgroups of an ended engine; its last processes may need a moment to leave them.
engine_remove_cgroups() {
	local cgroup deadline=$((SECONDS + RIG_DEADLINE)) left
	cgroup=$(engine_cgroup "$1")
	while :; do
		left=$(find /sys/fs/cgroup -maxdepth 2 -type d -name "$cgroup" 2>/dev/null)
		[ -n "$left" ] || return 0
		printf '%s\n' "$left" | while IFS= read -r path; do
			find "$path" -depth -type d -exec rmdir -- {} + 2>/dev/null
		done
		[ "$SECONDS" -lt "$deadline" ] || break
		[ -z "$(find /sys/fs/cgroup -maxdepth 2 -type d -name "$cgroup" 2>/dev/null)" ] || sleep 0.1
	done
	rig_fail "cgroups of engine $1 could not be removed: $left"
}

engine_stop() {
	local name=$1 dir run keeper deadline
	engine_check_name "$name" && rig_need_root || return 1
	dir=$(engine_dir "$name")
	[ -d "$dir" ] || return 0
	if keeper=$(engine_keeper "$name"); then
		kill -KILL "$keeper" 2>/dev/null
		deadline=$((SECONDS + RIG_DEADLINE))
		while engine_running "$name"; do
			if [ "$SECONDS" -ge "$deadline" ]; then
				rig_fail "engine $name: process $keeper does not end"
				return 1
			fi
			sleep 0.05
		done
	fi
	engine_remove_cgroups "$name" || return 1
	run=$(engine_run_dir "$name")
	if [ -n "$run" ] && [ "$run" != "$dir" ] && [[ $run == /tmp/bottler-rig.?????? ]]; then
		rm -rf --one-file-system -- "$run" || return 1
	fi
	rm -rf --one-file-system -- "$dir" || return 1
	rmdir -- "$RIG_BUILD/engines" 2>/dev/null
	return 0
}

engine_load() {
	local name=$1 host tars tar
	shift
	host=$(engine_host "$name")
	tars=("$@")
	[ ${#tars[@]} -gt 0 ] || tars=("$RIG_BUILD"/images/*.tar)
	for tar in "${tars[@]}"; do
		DOCKER_HOST=$host docker load --quiet --input "$tar" >/dev/null || return 1
	done
}

engine_addr() {
	local name=$1 address
	shift
	for address in "$@"; do
		engine_exec "$name" ip address replace "$address/32" dev "$RIG_WORLD_IF" || return 1
	done
}

engine_dns() {
	local name=$1 dir
	dir=$(engine_dir "$name")
	shift
	{
		while [ $# -ge 2 ]; do
			printf '%s %s\n' "$1" "$2"
			shift 2
		done
		cat -- "$dir/dns.table"
	} >"$dir/dns.table.new" && mv -- "$dir/dns.table.new" "$dir/dns.table"
}

engine_list() {
	local dir name
	for dir in "$RIG_BUILD"/engines/*/; do
		[ -d "$dir" ] || continue
		name=$(basename -- "$dir")
		if engine_running "$name"; then
			printf '%s\trunning\t%s\n' "$name" "$(engine_host "$name")"
		else
			printf '%s\tleft over\n' "$name"
		fi
	done
}

engine_main() {
	local verb=${1:-}
	[ $# -gt 0 ] && shift
	case $verb in
	list) engine_list ;;
	start | host | stop)
		[ $# -eq 1 ] || { rig_say "usage: engine.sh $verb NAME"; return 2; }
		"engine_$verb" "$1"
		;;
	load | exec | addr | upstream | dns | restart)
		[ $# -ge 1 ] || { rig_say "usage: engine.sh $verb NAME ..."; return 2; }
		"engine_$verb" "$@"
		;;
	*)
		rig_say "usage: engine.sh start|host|load|exec|addr|upstream|dns|restart|stop|list NAME ..."
		return 2
		;;
	esac
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
	engine_main "$@"
fi

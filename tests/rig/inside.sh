#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The part of engine.sh that runs inside an engine's namespaces; not meant to be run by hand.
#
#   inside.sh keep DIR DATA PLACE IF GATEWAY DNS UPSTREAM
#                                                first process of the namespaces: makes them, then waits
#   inside.sh daemon-start LOG COMMAND...        start dockerd in the background
#   inside.sh daemon-stop SIGNAL                 end dockerd and wait until it is gone
#   inside.sh spawn LOG COMMAND...               start a command in the background, print its id
#   inside.sh daemon-alive                       succeeds while dockerd lives

set -u
# Descriptors of whoever called (a test runner's, a lock's) don't belong to what runs on here.
exec 3>&- 4>&- 9>&-
RIG_DIR=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

own_mounts() {
	mount --make-rprivate /
	mount -t proc -o nosuid,nodev,noexec proc /proc
	# A sysfs of the new network namespace, with the cgroup trees as they were.
	mount -t tmpfs -o mode=0755,nosuid,nodev rig /run
	mkdir -p /run/lock /run/rig-cgroup
	mount --rbind /sys/fs/cgroup /run/rig-cgroup
	mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
	mount --rbind /run/rig-cgroup /sys/fs/cgroup
	umount -l /run/rig-cgroup
	rmdir /run/rig-cgroup
}

own_resolver() {
	local dir=$1 dns=$2 target
	printf 'nameserver %s\noptions timeout:2 attempts:3\n' "$dns" >"$dir/resolv.conf"
	target=$(readlink -m /etc/resolv.conf)
	case $target in
	/run/*)
		mkdir -p -- "$(dirname -- "$target")"
		: >"$target"
		;;
	esac
	mount --bind "$dir/resolv.conf" "$target"
}

own_network() {
	local interface=$1 gateway=$2 address
	shift 2
	ip link set lo up
	ip link add "$interface" type bridge
	ip address add "$gateway/24" dev "$interface"
	ip link set "$interface" up
	for address in "$@"; do
		ip address add "$address/32" dev "$interface"
	done
	# To a neighbour that nobody plays: what leaves this way is lost.
	ip route add default via "${gateway%.*}.254" dev "$interface" onlink
	ip -6 route add default dev "$interface" 2>/dev/null || true
}

keep() {
	local dir=$1 data=$2 place=$3 interface=$4 gateway=$5 dns=$6 upstream=$7 stat
	# This /proc is still the host's: it shows the process by its outer id.
	read -r stat </proc/self/stat
	set -e
	own_mounts
	[ "$place" != memory ] || mount -t tmpfs -o mode=0711,nodev,size=40% rig "$data"
	own_network "$interface" "$gateway" "$dns" "$upstream"
	own_resolver "$dir" "$dns"
	python3 "$RIG_DIR/dns.py" "$dns" "$dir/dns.table" "$dir/dns.log" </dev/null &
	until [ -e "$dir/dns.log" ]; do
		kill -0 $!
		sleep 0.02
	done
	set +e
	local pid=${stat%% *}
	stat=${stat##*) }
	# shellcheck disable=SC2086
	set -- $stat
	printf '%s %s\n' "$pid" "${20}" >"$dir/keeper"
	: >"$dir/ready"
	trap 'exit 0' TERM
	# As the first process this shell also reaps whatever is orphaned here.
	while :; do
		sleep 3600 &
		wait $!
	done
}

daemon_pid() {
	local pid
	{ read -r pid </run/docker.pid; } 2>/dev/null || { read -r pid </run/rig-dockerd.pid; } 2>/dev/null ||
		return 1
	kill -0 "$pid" 2>/dev/null && printf '%s\n' "$pid"
}

daemon_start() {
	local log=$1
	shift
	rm -f /run/docker.pid
	setsid "$@" </dev/null >>"$log" 2>&1 &
	printf '%s\n' $! >/run/rig-dockerd.pid
}

spawn() {
	local log=$1
	shift
	setsid "$@" </dev/null >>"$log" 2>&1 &
	printf '%s\n' $!
}

daemon_stop() {
	local signal=$1 pid deadline=$((SECONDS + 40))
	pid=$(daemon_pid) || return 0
	kill -s "$signal" "$pid"
	while kill -0 "$pid" 2>/dev/null; do
		[ "$SECONDS" -lt "$deadline" ] || return 1
		sleep 0.05
	done
	rm -f /run/rig-dockerd.pid
}

case ${1:-} in
keep) shift && keep "$@" ;;
daemon-start) shift && daemon_start "$@" ;;
daemon-stop) shift && daemon_stop "$@" ;;
spawn) shift && spawn "$@" ;;
daemon-alive) daemon_pid >/dev/null ;;
*) exit 2 ;;
esac

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A newer Docker Engine than this machine's, out of a newer Debian suite of the machine's own package sources:
#
#   newer.sh make [DIR]      make its root file system, DIR/newer (default: build/images/newer), unless it is fresh
#   RIG_DOCKERD=.../newer.sh engine.sh start NAME      start an engine with it
#
# As RIG_DOCKERD it gets dockerd's own arguments and becomes dockerd, inside the namespaces of engine.sh's engine and
# on that root file system, with the caller's /proc, /sys, /dev, /run, /tmp and build directory where they were.
#
# Packages are only unpacked: none of their scripts runs. RIG_NEWER_SUITES: the suites to try, in turn; one whose packages
# can't be had is passed over, and one whose engine is older than RIG_NEWER_MAJOR (default 28, the first whose networks
# can do without a gateway) is taken only where no other is better.
#
# An index past its Valid-Until is taken all the same: mirrors that are seldom brought up to date have such indices of the
# suites that move. Signatures are verified as ever, and what an old index could hold back, fixes of later holes, is no
# matter to an engine that only ever runs in a closed namespace, for tests.

set -euo pipefail
# shellcheck source=tests/rig/engine.sh
. "$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)/engine.sh"

NEWER_SUITES=${RIG_NEWER_SUITES:-forky sid trixie}
NEWER_MAJOR=${RIG_NEWER_MAJOR:-28}

newer_dir() { printf '%s\n' "${1:-$RIG_BUILD/images}/newer"; }

newer_stamp() {
	printf '%s\n' "$NEWER_SUITES" "$NEWER_MAJOR" "$(declare -f newer_unpack newer_finish)" | sha256sum | cut -d' ' -f1
}

# newer_unpack SUITE DIR: the suite's engine and what it needs, as a directory.
newer_unpack() {
	local suite=$1 dir=$2 codename uri
	codename=$(. /etc/os-release && printf '%s\n' "${VERSION_CODENAME:-}")
	uri=$(python3 "$RIG_DIR/images/sources.py" "$codename" | awk -v suite="$codename" '$3 == suite { print $2; exit }')
	[ -n "$uri" ] || rig_fail "no Debian package sources" || return 1
	printf 'deb %s %s main\n' "$uri" "$suite" |
		mmdebstrap --quiet --variant=extract --format=directory --include=docker.io,iptables,mount,coreutils,procps,base-files \
			--aptopt='Acquire::Check-Valid-Until "false"' \
			--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
			--dpkgopt='path-exclude=/usr/share/locale/*' "$suite" "$dir" - &&
		newer_finish "$dir"
}

# What the packages' scripts would have made.
newer_finish() {
	local dir=$1 name
	for name in bin sbin lib lib64; do
		[ -e "$dir/$name" ] || ln -s -- "usr/$name" "$dir/$name"
	done
	for name in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
		ln -sf -- xtables-nft-multi "$dir/usr/sbin/$name"
	done
	printf 'root:x:0:0:root:/root:/bin/sh\n' >"$dir/etc/passwd"
	printf 'root:x:0:\n' >"$dir/etc/group"
	mkdir -p -- "$dir"/{proc,sys,dev,run,tmp,root}
	rm -rf -- "$dir"/etc/apt "$dir"/var/{lib/apt,cache/apt}
	chroot "$dir" /usr/sbin/iptables --version && chroot "$dir" /usr/sbin/runc --version &&
		chroot "$dir" /usr/sbin/dockerd --version >"$dir/version"
}

# The first number of the engine's version in a root file system.
newer_major() { sed -nE 's/^Docker version ([0-9]+)\..*/\1/p' -- "$1/version"; }

# Removes a root file system on which nothing is mounted.
newer_remove() { rm -rf --one-file-system -- "$1"; }

# Puts WORK in the place of DIR.
newer_take() {
	local work=$1 dir=$2
	newer_remove "$dir"
	newer_stamp >"$work/stamp"
	mv -- "$work" "$dir"
	rm -f -- "$dir.log"
	cat -- "$dir/version"
}

newer_make() {
	local dir work spare suite began=$SECONDS
	dir=$(newer_dir "$@")
	rig_need_root && rig_need mmdebstrap python3 flock || return 1
	mkdir -p -- "${dir%/*}"
	exec 9>"${dir%/*}/.newer.lock"
	flock 9
	if [ -s "$dir/version" ] && [ "$(cat -- "$dir/stamp" 2>/dev/null)" = "$(newer_stamp)" ]; then
		cat -- "$dir/version"
		return 0
	fi
	work=$dir.new spare=$dir.spare
	newer_remove "$spare"
	for suite in $NEWER_SUITES; do
		newer_remove "$work"
		if ! newer_unpack "$suite" "$work" >"$dir.log" 2>&1 9>&-; then
			rig_say "no engine of $suite: $(grep -m 1 '^E: ' -- "$dir.log" || tail -n 1 -- "$dir.log")"
		elif [ "$(newer_major "$work")" -ge "$NEWER_MAJOR" ]; then
			rig_say "an engine of $suite: $((SECONDS - began)) s"
			newer_remove "$spare"
			newer_take "$work" "$dir"
			return
		else
			rig_say "the engine of $suite is older than $NEWER_MAJOR: $(cat -- "$work/version")"
			[ -e "$spare" ] || mv -- "$work" "$spare"
		fi
	done
	newer_remove "$work"
	[ -e "$spare" ] || return 1
	newer_take "$spare" "$dir"
}

# A mount namespace with the newer root as its very root: entering a container's namespace, as `exec` does, leads to
# the container's root only where dockerd's own root is that of its namespace. Writes stay in memory.
newer_pivot() {
	local dir=$1 root=/run/rig-newer/root place
	mkdir -p -- /run/rig-newer/{root,upper,work}
	mount -t overlay -o "lowerdir=$dir,upperdir=/run/rig-newer/upper,workdir=/run/rig-newer/work" rig "$root" 2>/dev/null ||
		mount --bind -- "$dir" "$root"
	for place in /proc /sys /dev /tmp "$RIG_BUILD"; do
		mkdir -p -- "$root$place"
		mount --rbind -- "$place" "$root$place"
	done
	# Without the mounts in it, this root among them.
	mkdir -p -- "$root/run"
	mount --bind /run "$root/run"
	cat /etc/resolv.conf >"$root/etc/resolv.conf"
	cat /etc/hosts >"$root/etc/hosts"
	cd -- "$root"
	pivot_root . .
	/usr/bin/umount -l .
	printf '%s\n' $$ >/run/rig-newer/holder
	exec /usr/bin/sleep infinity
}

newer_holder() {
	local pid
	{ read -r pid </run/rig-newer/holder; } 2>/dev/null && kill -0 "$pid" 2>/dev/null && printf '%s\n' "$pid"
}

# The namespace is made once for an engine; a process holds it, which ends with the engine's namespaces.
newer_dockerd() {
	local dir self pid deadline=$((SECONDS + RIG_DEADLINE))
	dir=$(newer_dir)
	self=$(realpath -- "${BASH_SOURCE[0]}")
	[ -s "$dir/version" ] || rig_fail "no newer engine in $dir: newer.sh make" || return 1
	if ! newer_holder >/dev/null; then
		mkdir -p /run/rig-newer
		unshare --mount --propagation private "$self" pivot "$dir" </dev/null &
		until newer_holder >/dev/null; do
			[ "$SECONDS" -lt "$deadline" ] && kill -0 $! || rig_fail "the newer root could not be mounted" || return 1
			sleep 0.02
		done
	fi
	pid=$(newer_holder)
	exec nsenter --target "$pid" --mount /usr/bin/env -i PATH=/usr/sbin:/usr/bin HOME=/root /usr/sbin/dockerd "$@"
}

case ${1:-} in
make) shift && newer_make "$@" ;;
pivot) shift && newer_pivot "$@" ;;
--*) newer_dockerd "$@" ;;
*)
	rig_say "usage: newer.sh make [DIR]"
	exit 2
	;;
esac

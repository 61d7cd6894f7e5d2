#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The rig itself: an engine works, is closed, and leaves nothing.

setup() {
	REPO=$(cd -- "$BATS_TEST_DIRNAME/../.." && pwd)
	# shellcheck source=tests/rig/engine.sh
	. "$REPO/tests/rig/engine.sh"
	RIG_BUILD=$BATS_TEST_TMPDIR
	NAME=rig-$BATS_TEST_NUMBER
	if [ "$(id -u)" -ne 0 ]; then
		[ "${BOTTLER_TEST_STRICT:-}" != 1 ] || return 1
		skip "needs root"
	fi
}
teardown() { [ "$(id -u)" -ne 0 ] || engine_stop "$NAME"; }

# Nothing of the engine is left: directory, mounts, cgroups, processes.
clean() {
	[ ! -e "$(engine_dir "$NAME")" ]
	[ -z "$(find /sys/fs/cgroup -maxdepth 2 -name "$(engine_cgroup "$NAME")")" ]
	run grep -F "$RIG_BUILD" /proc/mounts
	[ "$status" -eq 1 ]
	[ -z "$(pgrep -f "$RIG_BUILD/engines/$NAME" || true)" ]
}

tiny() {
	local dir=$BATS_TEST_TMPDIR/tiny
	mkdir -p "$dir"
	gcc -Os -static -o "$dir/tiny" "$REPO/tests/rig/images/tiny.c"
	tar -C "$dir" -c tiny | docker import --change 'CMD ["/tiny"]' - tiny:1 >/dev/null
}

@test "an engine runs containers, and its end is the end of everything" {
	DOCKER_HOST=$(engine_start "$NAME")
	export DOCKER_HOST
	[ "$DOCKER_HOST" = "$(engine_host "$NAME")" ]
	tiny
	docker run --detach --name running tiny:1
	docker run --detach --name restarting --restart always tiny:1
	docker network create inner --internal
	[ "$(docker ps --quiet | wc -l)" -eq 2 ]
	engine_stop "$NAME"
	clean
}

@test "the engine has no way out, and its names are its own" {
	engine_start "$NAME"
	[ "$(engine_exec "$NAME" ip -json link | jq -r '[.[] | select(.ifname | IN("lo", "docker0", "world0") | not)] | length')" -eq 0 ]
	engine_upstream "$NAME"
	run engine_exec "$NAME" curl --silent --cacert "$(engine_ca "$NAME")" https://any.example.com/hello
	[ "$status" -eq 0 ]
	[[ $output == *'"sni": "any.example.com"'* ]]
	grep -qF '"path": "/hello"' "$(engine_upstream_log "$NAME")"
	run engine_exec "$NAME" python3 -c 'import socket; socket.getaddrinfo("example.test", 443)'
	[ "$status" -ne 0 ]
	grep -qF '"name": "example.test"' "$(engine_dns_log "$NAME")"
	engine_dns "$NAME" 'example.test' 203.0.113.7
	engine_exec "$NAME" python3 -c 'import socket; assert socket.gethostbyname("example.test") == "203.0.113.7"'
}

@test "a started engine replaces a stale one of the same name" {
	engine_start "$NAME"
	first=$(engine_keeper "$NAME")
	engine_start "$NAME"
	[ "$(engine_keeper "$NAME")" != "$first" ]
	[ ! -e "/proc/$first" ]
}

@test "restart keeps images and containers" {
	DOCKER_HOST=$(engine_start "$NAME")
	export DOCKER_HOST
	tiny
	id=$(docker run --detach tiny:1)
	engine_restart "$NAME" KILL
	[ "$(docker inspect --format '{{.Id}} {{.State.Running}}' "$id")" = "$id false" ]
}

@test "an engine ends with its owner" {
	sleep 300 3>&- &
	owner=$!
	RIG_OWNER=$owner engine_start "$NAME"
	engine_running "$NAME"
	kill -KILL "$owner"
	for ((i = 0; i < 150; i++)); do
		[ -e "$(engine_dir "$NAME")" ] || break
		sleep 0.1
	done
	clean
}

@test "apt sources: only the Debian release is kept" {
	mkdir "$BATS_TEST_TMPDIR/apt"
	cat >"$BATS_TEST_TMPDIR/apt/a.sources" <<-'END'
		Types: deb deb-src
		URIs: http://mirror.example.com/debian
		Suites: bookworm bookworm-updates experimental
		Components: main contrib
		Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

		Types: deb
		URIs: https://vendor.example.com/debian
		Suites: bookworm
		Components: main
		Signed-By: /usr/share/keyrings/vendor.gpg

		Enabled: no
		Types: deb
		URIs: http://off.example.com/debian
		Suites: bookworm
		Components: main
	END
	cat >"$BATS_TEST_TMPDIR/apt/b.list" <<-'END'
		# deb http://comment.example.com/debian bookworm main
		deb [arch=amd64] http://mirror.example.com/debian-security bookworm-security main
		deb [signed-by=/usr/share/keyrings/other.gpg] https://other.example.com/debian bookworm main
		deb https://packages.example.com/apt cloud-bookworm main
	END
	run python3 "$REPO/tests/rig/images/sources.py" bookworm "$BATS_TEST_TMPDIR"/apt/*
	[ "$status" -eq 0 ]
	[ "$output" = 'deb http://mirror.example.com/debian bookworm main
deb http://mirror.example.com/debian bookworm-updates main
deb http://mirror.example.com/debian-security bookworm-security main' ]
}

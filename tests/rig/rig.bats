#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The rig itself: an engine works, is closed, and leaves nothing.

setup() {
	REPO=$(cd -- "$BATS_TEST_DIRNAME/../.." && pwd)
	# shellcheck source=tests/rig/engine.sh
	. "$REPO/tests/rig/engine.sh"
	# shellcheck source=tests/rig/world.sh
	. "$REPO/tests/rig/world.sh"
	RIG_BUILD=$BATS_TEST_TMPDIR
	NAME=rig-$BATS_TEST_NUMBER
	if [ "$(id -u)" -ne 0 ]; then
		[ "${BOTTLER_TEST_STRICT:-}" != 1 ] || return 1
		skip "needs root"
	fi
}
teardown() { [ "$(id -u)" -ne 0 ] || engine_stop "$NAME"; }

# No process names the engine's directory, neither one of its own nor the one that removes it. They may need a moment to end.
no_process() {
	local deadline=$((SECONDS + 20))
	while pgrep -f "$(engine_dir "$NAME")" >/dev/null; do
		[ "$SECONDS" -lt "$deadline" ] || { pgrep -af "$(engine_dir "$NAME")"; return 1; }
		sleep 0.05
	done
}

# Nothing of the engine is left: directory, mounts, cgroups, processes.
clean() {
	no_process
	[ ! -e "$(engine_dir "$NAME")" ]
	[ -z "$(find /sys/fs/cgroup -maxdepth 2 -name "$(engine_cgroup "$NAME")")" ]
	run grep -F "$RIG_BUILD" /proc/mounts
	[ "$status" -eq 1 ]
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
	engine_dns "$NAME" 'turn.example.test' 203.0.113.7/203.0.113.8
	engine_exec "$NAME" python3 -c 'import socket
assert [socket.gethostbyname("turn.example.test")[-1] for _ in range(4)] == ["7", "8", "7", "8"]'
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
	for ((i = 0; i < 600; i++)); do
		[ -e "$(engine_dir "$NAME")" ] || break
		sleep 0.1
	done
	clean
}

@test "the world records connections and datagrams, and answers" {
	engine_start "$NAME"
	engine_world "$NAME"
	[ -z "$(engine_world_seen "$NAME")" ]
	# In a namespace of its own behind a bridge, as a container is.
	engine_exec "$NAME" ip netns add guest
	engine_exec "$NAME" ip link add outer type veth peer name inner netns guest
	engine_exec "$NAME" ip address add 192.0.2.1/24 dev outer
	engine_exec "$NAME" ip link set outer up
	engine_exec "$NAME" ip -netns guest address add 192.0.2.2/24 dev inner
	engine_exec "$NAME" ip -netns guest link set inner up
	engine_exec "$NAME" ip -netns guest route add default via 192.0.2.1
	engine_world_nearby "$NAME"
	engine_sniff "$NAME" "$BATS_TEST_TMPDIR/capture" outer
	engine_exec "$NAME" ip netns exec guest python3 - <<-'END'
		import base64, socket, struct
		for address in ("203.0.113.66", "169.254.169.254", "1.1.1.1"):
		    with socket.create_connection((address, 443), 5) as s:
		        s.sendall(b"nonce-" + address.encode())
		        assert b"world" in s.recv(200)
		with socket.create_connection(("203.0.113.66", 22), 5):
		    pass
		with socket.create_connection(("203.0.113.66", 80), 5) as s:
		    for piece in (b"GET /?q=", base64.b64encode(b"xxsplit-31415xx"), b" HTTP/1.1\r\n\r\n"):
		        s.sendall(piece)
		    s.recv(200)
		with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
		    s.settimeout(5)
		    s.sendto(b"nonce-udp", ("100.100.100.200", 123))
		    assert b"world" in s.recv(200)
		    s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
		    for address, port in (("255.255.255.255", 67), ("224.0.0.251", 5353), ("192.0.2.255", 9)):
		        s.sendto(f"to-all-{address}".encode(), (address, port))
		        assert b"world" in s.recv(200)
		    name = b"".join(bytes([len(label)]) + label for label in (b"secret-1", b"canary", b"example", b"net", b""))
		    s.sendto(b"\x12\x34\1\0\0\1\0\0\0\0\0\0" + name + b"\0\1\0\1", ("8.8.8.8", 53))
		    answer = s.recv(200)
		    assert answer[:2] == b"\x12\x34" and answer[-4:] == bytes([8, 8, 8, 8]), answer
	END
	engine_sniff_end "$NAME" "$BATS_TEST_TMPDIR/capture"
	seen=$(engine_world_seen "$NAME" | jq -c '[.event, .proto, .local, .peer, .text]')
	for line in '["connect","tcp","203.0.113.66:443","192.0.2.2",null]' '["data","tcp","169.254.169.254:443","192.0.2.2","nonce-169.254.169.254"]' \
		'["data","tcp","1.1.1.1:443","192.0.2.2","nonce-1.1.1.1"]' '["connect","tcp","203.0.113.66:22","192.0.2.2",null]' \
		'["data","udp","100.100.100.200:123","192.0.2.2","nonce-udp"]' '["data","udp","0.0.0.0:67","192.0.2.2","to-all-255.255.255.255"]' \
		'["data","udp","0.0.0.0:5353","192.0.2.2","to-all-224.0.0.251"]' '["data","udp","0.0.0.0:9","192.0.2.2","to-all-192.0.2.255"]'; do
		grep -qxF "$line" <<<"$seen"
	done
	grep -qF '"udp","8.8.8.8:53"' <<<"$seen"

	# And the sniffer: every flow with its ends, strings in plain and in disguise, names of queries.
	seen=$(engine_sniff_flows "$BATS_TEST_TMPDIR/capture" | jq -c '[.proto, .src, .dst, .port, .names]')
	for line in '["tcp","192.0.2.2","203.0.113.66",443,[]]' '["tcp","192.0.2.2","203.0.113.66",22,[]]' \
		'["udp","192.0.2.2","8.8.8.8",53,["secret-1.canary.example.net"]]'; do
		grep -qxF "$line" <<<"$seen"
	done
	for text in nonce-1.1.1.1 nonce-udp split-31415 secret-1.canary.example.net; do
		engine_sniff_find "$BATS_TEST_TMPDIR/capture" <<<"$text"
	done
	run engine_sniff_find "$BATS_TEST_TMPDIR/capture" <<<nothing-of-the-kind
	[ "$status" -eq 1 ]
	[ -z "$output" ]
}

@test "the sniffer reads the server name of a TLS handshake" {
	engine_start "$NAME"
	engine_upstream "$NAME"
	engine_sniff "$NAME" "$BATS_TEST_TMPDIR/capture" lo
	engine_exec "$NAME" curl --silent --fail --cacert "$(engine_ca "$NAME")" https://named.example.com/in-the-dark
	engine_sniff_end "$NAME" "$BATS_TEST_TMPDIR/capture"
	engine_sniff_flows "$BATS_TEST_TMPDIR/capture" | jq -se 'any(.port == 443 and .sni == ["named.example.com"])'
	engine_sniff_flows "$BATS_TEST_TMPDIR/capture" | jq -se 'any(.port == 53 and .names == ["named.example.com"])'
	run engine_sniff_find "$BATS_TEST_TMPDIR/capture" <<<in-the-dark
	[ "$status" -eq 1 ]
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

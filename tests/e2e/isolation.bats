#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What opens a bottle is closed first and mended then; the agent waits, and is the same one afterwards.

load lib

setup_file() { e2e_engine_start agent; }
teardown_file() { e2e_engine_stop; }
setup() {
	e2e_setup
	[ -z "${E2E_SKIP:-}" ] || return 0
	controller_start
	bottle one | put one.yaml
	wait_ready one
	AGENT=$(container_started one agent)
	BEGAN=$(engine_now)
}
teardown() { installations_end; }

same_agent() { [ "$(container_started one agent)" = "$AGENT" ]; }
works() { answers one 200 https://api.example.com/repos/acme/site; }
agent_is() { [ "$(docker inspect --format '{{.State.Status}}' "$(container one agent)")" = "$1" ]; }
nets() { docker inspect --format '{{range $name, $e := .NetworkSettings.Networks}}{{$name}} {{end}}' "$(container one "$1")"; }
nets_are() { [ "$(nets "$1")" = "$2" ] || { nets "$1"; return 1; }; }

# told REASON TEXT: an event of that reason names TEXT.
told() {
	local json
	json=$("$BOTTLER" events one -o json --socket "$(inst_dir)/socket") || return 1
	jq -e --arg reason "$1" --arg text "$2" \
		'any(.items[]; .reason == $reason and (.message | contains($text)))' <<<"$json" >/dev/null ||
		{ jq -c '.items[] | [.reason, .message]' <<<"$json"; return 1; }
}

# event_time ACTION NAME: the engine's time of the first such event since the test began, in ns; empty: none.
event_time() {
	docker events --since "$BEGAN" --until "$(engine_now)" --filter "event=$1" --format \
		'{{.TimeNano}} {{index .Actor.Attributes "name"}}' | awk -v name="$2" '$2 == name {print $1; exit}'
}

@test "a network attached to the agent by hand is cut off within a second, and the event names it" {
	local opened paused cut
	docker network create extra >/dev/null
	docker network connect extra "$(container one agent)"
	wait_for 10 nets_are agent "$INST.one.agent "
	wait_ready one
	works
	same_agent
	told ForeignNetwork "$INST.one.agent is attached to network 'extra'"
	opened=$(event_time connect extra)
	paused=$(event_time pause "$(container one agent)")
	cut=$(event_time disconnect extra)
	printf '# paused %d ms after the engine said that it was attached, cut off after %d ms\n' \
		$(((paused - opened) / 1000000)) $(((cut - opened) / 1000000)) >&3
	[ "$paused" -gt "$opened" ] && [ $((paused - opened)) -lt 1000000000 ]
	[ "$cut" -gt "$opened" ] && [ $((cut - opened)) -lt 1000000000 ]
	# First made safe, then mended.
	[ "$(event_time unpause "$(container one agent)")" -gt "$cut" ]
}

@test "a sidecar put where it doesn't belong is taken off again, with the agent paused meanwhile" {
	docker network connect "$INST.one.agent" "$(container one pipelock)"
	wait_for 10 nets_are pipelock "$INST.one.chain $INST.one.out "
	[ -n "$(event_time pause "$(container one agent)")" ]
	told ForeignNetwork "$INST.one.pipelock"
	wait_ready one
	docker network connect "$INST.one.out" "$(container one egress)"
	wait_for 10 nets_are egress "$INST.one.agent $INST.one.chain "
	wait_ready one
	works
	same_agent
}

@test "a stranger on the bottle's network is put off it, and is not touched otherwise" {
	docker run --detach --name spy --network "$INST.one.agent" "$BOTTLER_IMAGE_AGENT" sleep 300 >/dev/null
	spy_is_off() { [ "$(docker inspect --format '{{len .NetworkSettings.Networks}}' spy)" -eq 0 ]; }
	wait_for 10 spy_is_off
	[ "$(docker inspect --format '{{.State.Status}}' spy)" = running ]
	[ -n "$(event_time pause "$(container one agent)")" ]
	told ForeignContainer "container 'spy'"
	wait_ready one
	same_agent
	works
}

@test "while a stranger shares the agent's network namespace the agent stays paused" {
	docker run --detach --name spy --network "container:$(container one agent)" "$BOTTLER_IMAGE_AGENT" sleep 300 >/dev/null
	wait_for 10 agent_is paused
	wait_for 10 condition_says one Isolated False "SharedNamespace container 'spy'"
	# Also while the rest is mended, and for a controller that is new.
	docker kill "$(container one egress)" >/dev/null
	controller_stop KILL
	controller_start
	wait_for 20 condition_says one Isolated False "container 'spy'"
	egress_runs() { [ "$(docker inspect --format '{{.State.Status}}' "$(container one egress)")" = running ]; }
	wait_for 20 egress_runs
	agent_is paused
	docker rm --force spy >/dev/null
	wait_ready one
	agent_is running
	same_agent
	works
}

@test "an agent made anew by somebody, privileged and under our labels, is replaced" {
	local labels
	controller_stop
	mapfile -t labels < <(docker inspect "$(container one agent)" |
		jq -r '.[0].Config.Labels | to_entries[] | "--label=\(.key)=\(.value)"')
	docker rm --force "$(container one agent)" >/dev/null
	docker run --detach --privileged --name "$(container one agent)" --network "$INST.one.agent" --user 1000:1000 \
		"${labels[@]}" "$BOTTLER_IMAGE_AGENT" sleep infinity >/dev/null
	AGENT=$(container_id one agent)
	BEGAN=$(engine_now)
	controller_start
	other_agent() { [ "$(container_id one agent)" != "$AGENT" ]; }
	wait_for 20 other_agent
	wait_ready one
	[ -n "$(event_time pause "$(container one agent)")" ]
	told WrongSettings "$INST.one.agent is not sealed as asked: HostConfig."
	[ "$(docker inspect --format '{{.HostConfig.Privileged}} {{.HostConfig.CapDrop}}' "$(container one agent)")" = "false [ALL]" ]
	works
}

@test "a network made anew by somebody without its guards is taken away and made again" {
	local labels
	controller_stop
	mapfile -t labels < <(docker network inspect "$INST.one.agent" |
		jq -r '.[0].Labels | to_entries[] | "--label=\(.key)=\(.value)"')
	docker network disconnect "$INST.one.agent" "$(container one agent)"
	docker network disconnect "$INST.one.agent" "$(container one egress)"
	docker network rm "$INST.one.agent" >/dev/null
	docker network create "${labels[@]}" --subnet 10.213.7.0/28 "$INST.one.agent" >/dev/null
	docker network connect --alias agent "$INST.one.agent" "$(container one agent)"
	docker network connect --alias egress "$INST.one.agent" "$(container one egress)"
	BEGAN=$(engine_now)
	controller_start
	internal() { [ "$(docker network inspect --format '{{.Internal}} {{index .Options "com.docker.network.bridge.inhibit_ipv4"}}' "$INST.one.agent")" = "true true" ]; }
	wait_for 20 internal
	wait_ready one
	told WrongNetwork "network '$INST.one.agent' is not closed as asked: it is not internal"
	[ -n "$(event_time pause "$(container one agent)")" ]
	works
	same_agent
}

@test "limits and restart policy changed by hand are put back in place" {
	docker update --restart always --memory 1g --memory-swap 1g --pids-limit 100 "$(container one agent)" >/dev/null
	docker update --restart always "$(container one egress)" >/dev/null
	as_asked() {
		[ "$(docker inspect --format '{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}' \
			"$(container one agent)")" = "no 2147483648 512" ] &&
			[ "$(docker inspect --format '{{.HostConfig.RestartPolicy.Name}}' "$(container one egress)")" = no ]
	}
	wait_for 10 as_asked
	wait_ready one
	same_agent
	[ -z "$(event_time pause "$(container one agent)")" ]
}

@test "a bottle that can't be reconciled is still kept closed" {
	bottle one '.spec.agent.env = {T: "${MISSING_ONE}"}' | put one.yaml
	wait_for 20 condition_says one SecretsResolved False MISSING_ONE
	docker network create extra >/dev/null
	docker network connect extra "$(container one agent)"
	wait_for 10 nets_are agent "$INST.one.agent "
	[ -n "$(event_time pause "$(container one agent)")" ]
	secret MISSING_ONE here-it-is
	wait_ready one
	works
}

# on_link BOTTLE TEXT: UDP from inside the agent to addresses of the host, past the routing table, and to everybody.
on_link() {
	docker exec --interactive "$(container "$1" agent)" python3 - "$2" <<-'END'
		import socket, struct, sys
		DONTROUTE, BROADCAST, BINDTODEVICE, PKTINFO, MSG_DONTROUTE = 5, 6, 25, 8, 4
		text = sys.argv[1].encode()
		index = socket.if_nametoindex("eth0")
		def attempt(address, pktinfo=False):
		    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		    s.setsockopt(socket.SOL_SOCKET, BROADCAST, 1)
		    if pktinfo:
		        s.sendmsg([text], [(0, PKTINFO, struct.pack("=I4s4s", index, bytes(4), bytes(4)))], MSG_DONTROUTE, (address, 9999))
		    else:
		        s.setsockopt(socket.SOL_SOCKET, BINDTODEVICE, b"eth0")
		        s.setsockopt(socket.SOL_SOCKET, DONTROUTE, 1)
		        s.sendto(text, (address, 9999))
		for address in ("255.255.255.255", "224.0.0.1", "172.17.0.1", "198.51.100.1", "198.51.100.10"):
		    for pktinfo in (False, True):
		        try:
		            attempt(address, pktinfo)
		        except OSError:
		            pass
	END
}

@test "the host takes nothing from the agent's network, not even what needs no answer" {
	local bridge log=$BATS_TEST_TMPDIR/udp.log
	engine_spawn "$E2E_ENGINE" "$log" python3 -u -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 9999))
print("up", flush=True)
while True: print(s.recvfrom(2000)[0].decode(), flush=True)'
	wait_for 10 grep -q up "$log"
	on_link one guarded
	# The same attempts where the guard is taken off: they are what arrives.
	bridge=$(docker network inspect --format '{{index .Options "com.docker.network.bridge.name"}}' "$INST.one.agent")
	engine_exec "$E2E_ENGINE" sysctl -qw "net.ipv4.conf.$bridge.rp_filter=0" "net.ipv4.conf.$bridge.arp_ignore=0"
	on_link one unguarded
	four_unguarded() { [ "$(grep -c unguarded "$log")" -ge 4 ]; }
	wait_for 10 four_unguarded
	absent guarded <(grep -v unguarded "$log")
	# An agent that starts anew on a network that nobody knows finds it guarded again.
	controller_stop
	docker kill "$(container one agent)" >/dev/null
	controller_start
	wait_ready one
	on_link one again
	[ "$(engine_exec "$E2E_ENGINE" sysctl -n "net.ipv4.conf.$bridge.rp_filter" "net.ipv4.conf.$bridge.arp_ignore" | xargs)" = "1 8" ]
	absent again "$log"
	run docker ps --all --quiet --filter "label=dev.bottler.role=guard"
	[ "$status" -eq 0 ] && [ -z "$output" ]
}

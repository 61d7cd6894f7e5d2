# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Recorders for private engines; source it after engine.sh. Both run inside an engine's namespaces and end with it.
#
# The *world*: addresses that only this engine's namespace has, such as a metadata service's or a public resolver's,
# on which every port of a list takes and records what comes (world.py). The *sniffer*: what passes an interface, such
# as the bridge of a bottle's network (sniff.py).

RIG_CANARY=203.0.113.66
# A canary's, metadata services', public resolvers'.
RIG_CANARIES="$RIG_CANARY 169.254.169.254 169.254.169.253 169.254.170.2 100.100.100.200 168.63.129.16 1.1.1.1 8.8.8.8 9.9.9.9"
RIG_WORLD_TCP=22,25,53,80,443,465,587,853,993,2375,3389,5228,5432,6667,8080,8443,8888,9418,32526
RIG_NEARBY_UDP=9,67,1900,3702,5353,5355
RIG_NEARBY_GROUPS=224.0.0.1,224.0.0.2,224.0.0.22,224.0.0.251,224.0.0.252,239.255.255.250
RIG_WORLD_UDP=53,123,443,500,853,1194,3478,4444,4500,51820

engine_world_log() { printf '%s/world.log\n' "$(engine_dir "$1")"; }

# engine_world NAME [ADDRESS...]: opens the world on the addresses (default: $RIG_CANARIES).
engine_world() {
	local name=$1
	shift
	# shellcheck disable=SC2086
	[ $# -gt 0 ] || set -- $RIG_CANARIES
	engine_addr "$name" "$@" && engine_world_open "$name" --tcp "$RIG_WORLD_TCP" --udp "$RIG_WORLD_UDP" "$@"
}

# engine_world_nearby NAME: also what is sent to everybody on one of the interfaces that there are now.
engine_world_nearby() {
	engine_exec "$1" sysctl -qw net.ipv4.igmp_max_memberships=4096 &&
		engine_world_open "$1" --udp "$RIG_NEARBY_UDP" --join "$RIG_NEARBY_GROUPS" 0.0.0.0
}

engine_world_open() {
	local name=$1 dir before deadline=$((SECONDS + RIG_DEADLINE))
	shift
	dir=$(engine_dir "$name")
	: >>"$dir/world.log"
	before=$(grep -c '"listening"' "$dir/world.log" || true)
	engine_spawn "$name" "$dir/world.err" python3 "$RIG_DIR/world.py" "$dir/world.log" "$@" >/dev/null || return 1
	until [ "$(grep -c '"listening"' "$dir/world.log")" -gt "$before" ]; do
		if [ "$SECONDS" -ge "$deadline" ] || grep -q Traceback "$dir/world.err"; then
			cat -- "$dir/world.err" >&2
			rig_fail "engine $name: its world does not open"
			return 1
		fi
		sleep 0.05
	done
}

# engine_world_seen NAME [MARK]: what the world recorded, after the line MARK: one JSON object a line.
engine_world_seen() { tail -n "+$((${2:-0} + 1))" -- "$(engine_world_log "$1")" | grep -v '"event": "listening"' || true; }
engine_world_mark() { wc -l <"$(engine_world_log "$1")"; }

# The bridge of a network, by the network's name or id.
engine_bridge() {
	docker network inspect --format '{{with index .Options "com.docker.network.bridge.name"}}{{.}}{{else}}br-{{slice .Id 0 12}}{{end}}' "$1"
}

# engine_sniff NAME FILE INTERFACE...: captures into FILE until engine_sniff_end.
engine_sniff() {
	local name=$1 file=$2 deadline=$((SECONDS + RIG_DEADLINE))
	shift 2
	rm -f -- "$file" "$file.log" "$file.pid"
	engine_spawn "$name" "$file.log" python3 "$RIG_DIR/sniff.py" capture "$file" "$@" >"$file.pid" || return 1
	until grep -q '"capturing"' "$file.log" 2>/dev/null; do
		if [ "$SECONDS" -ge "$deadline" ] || grep -q Traceback "$file.log" 2>/dev/null; then
			cat -- "$file.log" >&2
			rig_fail "engine $name: no capture on $*"
			return 1
		fi
		sleep 0.05
	done
}

# engine_sniff_end NAME FILE: ends the capture; fails when it has missed a packet.
engine_sniff_end() {
	local name=$1 file=$2 deadline=$((SECONDS + RIG_DEADLINE))
	engine_exec "$name" kill -TERM "$(cat -- "$file.pid")" || return 1
	until grep -q '"end"' "$file.log"; do
		[ "$SECONDS" -lt "$deadline" ] || rig_fail "engine $name: the capture does not end" || return 1
		sleep 0.05
	done
	grep -q '"dropped": 0}' "$file.log" || rig_fail "engine $name: the capture missed packets: $(tail -n 1 -- "$file.log")"
}

# engine_sniff_flows FILE: its flows, one JSON object a line. engine_sniff_find FILE: succeeds when one of the lines of
# standard input is in it, in any spelling, and prints where.
engine_sniff_flows() { python3 "$RIG_DIR/sniff.py" flows "$1"; }
engine_sniff_find() { python3 "$RIG_DIR/sniff.py" find "$1"; }

#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The escape suite on the real chain: `bottler attest` from inside a bottle that has routes of every kind, beside another
# bottle, with the whole outside listening: canaries' and metadata services' addresses, the resolver, the upstream, and a
# capture of all that leaves. mutations.bats shows that it can fail; escape_chain.bats has what takes two ends.

load lib
load escape

setup_file() {
	e2e_engine_start agent
	[ -z "${E2E_SKIP:-}" ] || return 0
	export E2E_ROOT=$BATS_FILE_TMPDIR
	inst_make
	engine_world "$E2E_ENGINE"
	escape_secrets
	controller_start
	escape_bottle one | put one.yaml
	bottle two | put two.yaml
	bottle sealed '.spec.egress = {}' | put sealed.yaml
	wait_ready one
	wait_ready two
	wait_ready sealed
	engine_world_nearby "$E2E_ENGINE"
}
teardown_file() {
	[ -n "${E2E_SKIP:-}" ] || controller_stop
	e2e_engine_stop
}
setup() {
	e2e_setup
	WORLD=$(engine_world_mark "$E2E_ENGINE")
}

# Where attest is run matters: on the engine's own host its listeners there stand for the host's services.
attest() {
	engine_exec "$E2E_ENGINE" "$BOTTLER" attest --engine "$DOCKER_HOST" --instance "$INST" -o json "$@"
}

# says FILE FILTER [ARGUMENT...]: the jq filter holds for a report.
says() {
	local file=$1 filter=$2
	shift 2
	jq -e "$@" "$filter" "$file" >/dev/null || {
		printf 'not so: %s\n' "$filter"
		jq -c '.verdict, .summary, (.controls[] | select(.ok | not)), (.results[] | select(.verdict == "open" or .verdict == "error") | [.as, .id, .verdict, .evidence])' "$file"
		return 1
	}
}

# What may be skipped, and why nothing is lost by it. Whether anybody takes the agent's broadcasts and multicasts, the recorders
# here tell: they listen for them on every interface of the host. A probe that is root already can't gain by a set-user-ID program. Control groups of version 1 have no namespaces
# here; without br_netfilter, containers of one bridge can't be kept apart, and pipelock is alone on it.
SKIPPED='N11[.](broadcast|multicast)[.].*|H3[.]setuid|I[.][a-z-]*[.]cgroupns|I[.]net-out[.]icc'

# Rows of the list of tests that attest has to have tried, in both guises.
ROWS='["N1","N2","N4","N5","N7","N8","N10","N11","N14","P1","P2","P3","P4","P5","P7","P9","P13","P14","P15","P17","P25","H1","H2","H3","H5","H10"]'

@test "attest: at least 120 attempts as the agent's user and as root, all refused, each with a control that worked" {
	local dir=$BATS_FILE_TMPDIR as status=0
	docker logs "$(container one egress)" 2>/dev/null | wc -l >"$dir/egress.mark"
	docker logs "$(container one pipelock)" 2>/dev/null | wc -l >"$dir/pipelock.mark"
	upstream_mark >"$dir/upstream.mark"
	names_asked | wc -l >"$dir/names.mark"
	engine_sniff "$E2E_ENGINE" "$dir/out" "$(engine_bridge "$INST.one.out")"
	engine_sniff "$E2E_ENGINE" "$dir/inside" "$(engine_bridge "$INST.one.agent")"
	attest one --target "$RIG_CANARY:443" --target "$RIG_CANARY:53/udp" >"$dir/report.json" || status=$?
	engine_sniff_end "$E2E_ENGINE" "$dir/out"
	engine_sniff_end "$E2E_ENGINE" "$dir/inside"

	[ "$status" -eq 0 ] || says "$dir/report.json" 'empty'
	says "$dir/report.json" '.kind == "AttestReport" and .verdict == "sealed" and .bottle == "one" and .user == "1000:1000"'
	says "$dir/report.json" '.summary.open == 0 and .summary.error == 0'
	says "$dir/report.json" '.results | all(.verdict == "denied" or .verdict == "skipped")'
	says "$dir/report.json" '[.results[] | select(.verdict == "skipped" and (.id | test($skipped) | not))] == []' --arg skipped "^($SKIPPED)\$"
	for as in user root; do
		says "$dir/report.json" '[.results[] | select(.as == $who and .verdict == "denied" and .class != "inspect")] | length >= 120' --arg who $as
		says "$dir/report.json" '. as $r | [.controls[] | select(.as == $who)] | length >= 4 and all(.ok)' --arg who $as
		# Each refusal names a control of the same run, which worked.
		says "$dir/report.json" '([.controls[] | select(.as == $who and .ok) | .id]) as $ok |
			[.results[] | select(.as == $who and .verdict == "denied" and (.control | IN($ok[]) | not))] == []' --arg who $as
		says "$dir/report.json" '$rows - [.results[] | select(.as == $who and .verdict == "denied") | .row] == []' --arg who $as --argjson rows "$ROWS"
	done
	# Nothing of it is left.
	[ "$(docker ps --all --format '{{.Names}}' | grep -c probe)" -eq 0 ]
}

# The mark of the probes, which is in every name, path, header and body that they sent.
nonces() {
	docker logs "$(container one egress)" 2>/dev/null | tail -n "+$(($(cat "$BATS_FILE_TMPDIR/egress.mark") + 1))" |
		grep -oE '[0-9a-f]{16}\.canary\.example\.net' | cut -c1-16 | sort -u
}

@test "the world saw nothing of it" {
	[ "$(nonces | wc -l)" -ge 1 ]
	expect '' engine_world_seen "$E2E_ENGINE" 0
	# It would have: from another container, whose network has a way out.
	docker run --rm --network bridge "$BOTTLER_IMAGE_AGENT" python3 -c '
import socket, sys
for address in sys.argv[1:]:
    with socket.create_connection((address, 443), 5) as s:
        s.sendall(b"control")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        s.sendto(b"control", (address, 123))
        s.recv(100)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    for address, port in (("255.255.255.255", 67), ("255.255.255.255", 9), ("224.0.0.1", 9), ("224.0.0.251", 5353), ("224.0.0.252", 5355),
                          ("239.255.255.250", 1900), ("239.255.255.250", 3702)):
        s.sendto(b"nearby", (address, port))' $RIG_CANARIES
	expect "$(wc -w <<<"$RIG_CANARIES")" jq -rs '[.[] | select(.proto == "udp" and .text == "control") | .local] | unique | length' \
		<<<"$(engine_world_seen "$E2E_ENGINE" "$WORLD")"
	expect "$(wc -w <<<"$RIG_CANARIES")" jq -rs '[.[] | select(.proto == "tcp" and .text == "control") | .local] | unique | length' \
		<<<"$(engine_world_seen "$E2E_ENGINE" "$WORLD")"
	expect '9 9 67 1900 3702 5353 5355' jq -rs '[.[] | select(.text == "nearby") | .local | split(":")[1] | tonumber] | sort | join(" ")' \
		<<<"$(engine_world_seen "$E2E_ENGINE" "$WORLD")"
}

# The bottle's allowed hosts.
HOSTS='["api.example.com","api.example.org","stream.example.net","hooks.example.com","files.example.org","rebind.example.net"]'

@test "the resolver was asked for allowed names only" {
	local nonce
	names_asked | tail -n "+$(($(cat "$BATS_FILE_TMPDIR/names.mark") + 1))" >"$BATS_TEST_TMPDIR/names"
	# The chain was used: there are names.
	grep -q . "$BATS_TEST_TMPDIR/names"
	expect '[]' jq -Rsc --argjson hosts "$HOSTS" 'split("\n") | map(select(. != "")) | unique - $hosts' "$BATS_TEST_TMPDIR/names"
	for nonce in $(nonces); do
		absent "$nonce" "$(engine_dns_log "$E2E_ENGINE")"
	done
}

@test "the capture behind pipelock holds no byte of what was refused" {
	local capture=$BATS_FILE_TMPDIR/out flows=$BATS_TEST_TMPDIR/flows pipelock gateway nonce
	pipelock=$(docker inspect --format "{{(index .NetworkSettings.Networks \"$INST.one.out\").IPAddress}}" "$(container one pipelock)")
	gateway=$(docker inspect --format "{{(index .NetworkSettings.Networks \"$INST.one.out\").Gateway}}" "$(container one pipelock)")
	engine_sniff_flows "$capture" >"$flows"
	# pipelock asks the resolver and speaks TLS to the upstream, naming allowed hosts; that is all. The host says on its bridge
	# which groups the recorders have joined.
	[ "$(jq -c 'select(.proto == "tcp" and .bytes > 100)' "$flows" | wc -l)" -ge 1 ]
	expect '' jq -c --arg me "$pipelock" --arg host "$gateway" --arg up "$RIG_WORLD_UPSTREAM" --arg dns "$RIG_WORLD_DNS" --argjson hosts "$HOSTS" '
		select(.proto != "arp" and (.proto != "igmp" or .src != $host)) |
		select((.src == $me and .proto == "tcp" and .dst == $up and .port == 443 and (.sni - $hosts == [])
			or .src == $me and .proto == "udp" and .dst == $dns and .port == 53 and (.names - $hosts == [])) | not)' "$flows"
	run engine_sniff_find "$capture" <<<"$(nonces && printf '%s\n' "$FIRST_TOKEN" "$SECOND_TOKEN" "$STREAM_TOKEN" canary.example.net bottler-probe)"
	[ "$status" -eq 1 ]
	# The search works: the same words are all over the agent's own side.
	for nonce in $(nonces); do
		engine_sniff_find "$BATS_FILE_TMPDIR/inside" <<<"$nonce" >"$BATS_TEST_TMPDIR/found"
		grep -q . "$BATS_TEST_TMPDIR/found"
	done
}

@test "the upstream had the allowed requests, and those alone" {
	local dir=$BATS_FILE_TMPDIR role
	upstream_since "$(cat "$dir/upstream.mark")" >"$BATS_TEST_TMPDIR/requests"
	for role in egress pipelock; do
		docker logs "$(container one "$role")" 2>/dev/null | tail -n "+$(($(cat "$dir/$role.mark") + 1))" >"$BATS_TEST_TMPDIR/$role"
	done
	# Judged by the manifest, and not by any code of the proxies.
	FIRST=$FIRST_TOKEN SECOND=$SECOND_TOKEN STREAM=$STREAM_TOKEN python3 - "$BATS_TEST_TMPDIR" <<-'END'
		import json, os, sys

		def lines(name):
		    with open(os.path.join(sys.argv[1], name), encoding="utf-8") as file:
		        return [json.loads(line) for line in file]

		def below(path, prefix):
		    plain = path.split("?")[0]
		    assert all(c.isalnum() or c in "/-_.~!$&'()*+,;=:@%" for c in plain), plain
		    segments = plain[1:].split("/")
		    assert not any(s.split(";")[0] in (".", "..") for s in segments) and "%2" not in plain.lower() and "%5c" not in plain.lower(), plain
		    return plain.startswith(prefix)

		def allowed(host, method, path, headers):
		    if host == "api.example.com":
		        return method in ("GET", "POST") and below(path, "/repos/acme/")
		    if host == "api.example.org":
		        return below(path, "/v1/")
		    if host == "stream.example.net":
		        return method == "GET"
		    if host == "hooks.example.com":
		        hook = path.split("?")[0] == "/hook" and method == "POST" and headers.get("x-team") == ["acme"]
		        return hook or (method == "GET" and below(path, "/state/"))
		    return host in ("files.example.org", "rebind.example.net")

		wanted = {"api.example.com": "Bearer " + os.environ["FIRST"], "api.example.org": "token " + os.environ["SECOND"],
		          "stream.example.net": "Bearer " + os.environ["STREAM"]}
		requests = lines("requests")
		assert requests
		for entry in requests:
		    headers = {}
		    for name, value in entry["headers"]:
		        headers.setdefault(name.lower(), []).append(value)
		    assert headers["host"] == [entry["host"]] == [entry["sni"]], entry
		    assert allowed(entry["host"], entry["method"], entry["path"], headers), entry
		    assert headers.get("authorization", []) == [v for v in [wanted.get(entry["host"])] if v], entry
		    assert not any(part in json.dumps(entry) for part in ("ghp_", "AKIA", "BEGIN ", "canary.example.net")), entry

		# As many as egress says that it has let through, less those that pipelock says it has stopped.
		passed = [e for e in lines("egress") if e["event"] == "decision" and e["verdict"] == "allow" and e["rule"] not in ("introspection", "connect")]
		blocked = [e for e in lines("pipelock") if e["event"] == "blocked"]
		denied = [e for e in lines("egress") if e["event"] == "decision" and e["verdict"] == "deny"]
		# A client in Go asks again, when a connection ends before the answer has begun.
		wanted, count = len(passed) - len(blocked), len(requests)
		if count > wanted:
		    same = lambda a, b: b["time"] - a["time"] < 1 and {**a, "time": 0} == {**b, "time": 0}
		    count -= sum(same(a, b) for a, b in zip(requests, requests[1:]))
		print(len(requests), "requests,", len(passed), "let through by egress,", len(blocked), "stopped by pipelock,", len(denied), "denied by egress")
		assert count == wanted, [e["path"] for e in passed]
		assert len(denied) >= 100
	END
}

@test "attest --all: a neighbour and a bottle without any route are sealed as well" {
	local dir=$BATS_TEST_TMPDIR
	attest --all --only 'N2*' --only 'N5*' --only 'N10*' --only 'N14*' --only 'P*' --only 'I*' >"$dir/all.json"
	jq -e 'if type == "array" then . else .items end | map({key: .bottle, value: .verdict}) | from_entries ==
		{"one": "sealed", "two": "sealed", "sealed": "sealed"}' "$dir/all.json"
	expect '' engine_world_seen "$E2E_ENGINE" "$WORLD"
}

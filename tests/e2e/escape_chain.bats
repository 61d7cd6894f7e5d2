#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What a probe inside the bottle can't bring about alone: upstreams that redirect, reflect and change their address,
# proxies that disagree, files that break under them. On the real chain, seen from both of its ends.

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
	wait_ready one
}
teardown_file() {
	[ -n "${E2E_SKIP:-}" ] || controller_stop
	e2e_engine_stop
}
setup() {
	e2e_setup
	MARK=$(upstream_mark)
	WORLD=$(engine_world_mark "$E2E_ENGINE")
}
# Whatever a test did, nobody but the upstream and the resolver was reached.
teardown() { [ -n "${E2E_SKIP:-}" ] || expect '' engine_world_seen "$E2E_ENGINE" "$WORLD"; }

# follow URL CURL-ARGUMENT...: the agent's client follows a redirect to URL; prints the last status, redirects, last URL.
follow() {
	local to=$1
	shift
	in_agent one curl --silent --location --max-redirs 3 --max-time 20 --output /dev/null "$@" \
		--write-out '%{http_code} %{http_connect} %{num_redirects} %{url_effective}\n' \
		"https://api.example.com/repos/acme/redirect?to=$(jq -rn --arg to "$to" '$to | @uri')&code=${CODE:-302}"
}
FIRST_ASKED="api.example.com /repos/acme/redirect Bearer $FIRST_TOKEN"

@test "P10: a redirect's target is judged anew, and no credential goes along" {
	local to
	# To hosts that no route has: refused before anybody asks for their names.
	for to in https://steal.canary.example.net/x //steal.canary.example.net/x "https://$RIG_CANARY/x" \
		https://api.example.com.canary.example.net/repos/acme/ https://api.example.com@steal.canary.example.net/; do
		MARK=$(upstream_mark)
		run follow "$to"
		[ "$status" -ne 0 ]
		[[ $output == "000 403 1 https://"* ]]
		expect "$FIRST_ASKED" authorization "$MARK"
	done
	# To plain http, a metadata service, another port.
	for to in http://api.example.com/repos/acme/plain http://169.254.169.254/latest/meta-data/; do
		expect "403 200 1 $to" follow "$to"
	done
	expect '000 403 1 https://api.example.com:8443/repos/acme/x' follow https://api.example.com:8443/repos/acme/x
	run names_asked
	[[ $output != *canary* ]]
	# To paths and methods that the host's own rules do not cover.
	MARK=$(upstream_mark)
	expect '403 200 1 https://api.example.com/admin/keys' follow https://api.example.com/admin/keys
	expect '403 200 1 https://api.example.com/repos/acme/..%2f..%2fadmin' follow https://api.example.com/repos/acme/..%2f..%2fadmin
	CODE=307 expect '403 200 1 https://api.example.com/admin/keys' follow https://api.example.com/admin/keys --data body-of-a-307
	CODE=308 expect '403 200 1 https://hooks.example.com/hook/x' follow https://hooks.example.com/hook/x --data body-of-a-308
	[ "$(upstream_brief "$MARK" | grep -cv '^api.example.com [A-Z]* /repos/acme/redirect?')" -eq 0 ]
	[ "$(upstream_brief "$MARK" | wc -l)" -eq 4 ]

	# Controls: to what is allowed it goes, with that route's own credential, or none.
	MARK=$(upstream_mark)
	expect '200 200 1 https://api.example.com/repos/acme/next' follow https://api.example.com/repos/acme/next
	expect "$FIRST_ASKED
api.example.com /repos/acme/next Bearer $FIRST_TOKEN" authorization "$MARK"
	MARK=$(upstream_mark)
	expect '200 200 1 https://api.example.org/v1/x' follow https://api.example.org/v1/x --header 'Authorization: Bearer of-the-agent'
	expect "$FIRST_ASKED
api.example.org /v1/x token $SECOND_TOKEN" authorization "$MARK"
	MARK=$(upstream_mark)
	expect '200 200 1 https://files.example.org/landing' follow https://files.example.org/landing --location-trusted --header 'Authorization: Bearer of-the-agent'
	expect "$FIRST_ASKED
files.example.org /landing " authorization "$MARK"
}

@test "P11: a credential that the upstream hands back is masked, in headers, bodies and split across chunks" {
	reflections_masked one api.example.com /repos/acme/ "$FIRST_TOKEN"
	# Past pipelock's own buffer, so that pieces come as they were sent.
	reflections_masked one stream.example.net /any/ "$STREAM_TOKEN"
}

@test "P12: credentials of the agent's own do not get to a host whose credential the proxy adds" {
	local name
	own_credentials_stripped one
	# In the query: refused.
	MARK=$(upstream_mark)
	for name in access_token api_key private_token ACCESS_TOKEN access%5ftoken; do
		answers one 403 "https://api.example.com/repos/acme/own?x=1&$name=of-the-agent"
	done
	expect '' upstream_brief "$MARK"
}

@test "N7: an allowed name that turns to an internal address is not followed there" {
	local address i
	answers one 200 https://rebind.example.net/before
	for address in 169.254.169.254 100.100.100.200 127.0.0.1 0.0.0.0 10.213.0.1 198.51.100.1/169.254.169.254 \
		::ffff:169.254.169.254 ::1; do
		engine_dns "$E2E_ENGINE" rebind.example.net "$address"
		run fetch one https://rebind.example.net/during
		[[ $(tail -n 1 <<<"$output") == 40[0-9] || $(tail -n 1 <<<"$output") == 50[0-9] || $output == *403* ]]
	done
	# Between the check and the connection: every other answer is the upstream's.
	engine_dns "$E2E_ENGINE" rebind.example.net "$RIG_WORLD_UPSTREAM/169.254.169.254"
	for ((i = 0; i < 12; i++)); do
		fetch one "https://rebind.example.net/flip-$i" >/dev/null || true
	done
	engine_dns "$E2E_ENGINE" rebind.example.net "$RIG_WORLD_UPSTREAM"
	answers one 200 https://rebind.example.net/after
	# The world was asked for nothing (teardown); the upstream only under its own address.
	upstream_brief "$MARK" | grep -q '/after$'
	[ "$(upstream_brief "$MARK" | grep -c /during)" -eq 0 ]
}

@test "P23: nothing that the agent sends forges a line of a log" {
	local role
	docker exec --interactive "$(container one agent)" python3 - <<-'END'
		import os, socket, ssl, urllib.parse
		proxy = urllib.parse.urlsplit(os.environ["https_proxy"])

		def ask(first, *rest, host="api.example.com"):
		    """Sends raw bytes to the proxy, or with a rest into the tunnel of a CONNECT."""
		    try:
		        with socket.create_connection((proxy.hostname, proxy.port), 10) as s:
		            s.sendall(first)
		            answer = s.recv(65536)
		            if rest and b" 200 " in answer:
		                context = ssl.create_default_context()
		                with context.wrap_socket(s, server_hostname=host) as t:
		                    t.sendall(rest[0])
		                    t.recv(65536)
		    except OSError:
		        pass

		forged = b'\n{"event": "forged-31415", "verdict": "allow"}\n'
		connect = b"CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com:443\r\n\r\n"
		for evil in (forged, b"\x1b[2J\x1b[31mforged-31415", b"\r\n\r\n" + forged, b'"}' + forged, b"\xe2\x80\xa8forged-31415\xc2\x85",
		             b"A" * 65000 + b"forged-31415", b"\0forged-31415", b"%0a%7b%22event%22:%22forged-31415%22%7d%0a"):
		    ask(b"CONNECT " + evil + b".example.com:443 HTTP/1.1\r\n\r\n")
		    ask(b"CONNECT api.example.com:443 HTTP/1.1\r\nHost: " + evil + b"\r\n\r\n")
		    ask(b"GET http://x/" + evil + b" HTTP/1.1\r\n\r\n")
		    ask(evil)
		    for head in (b"GET /repos/acme/" + evil + b" HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
		                 b"GET /elsewhere" + evil + b" HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
		                 b"G" + evil + b" / HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
		                 b"GET /repos/acme/ HTTP/1.1\r\nHost: api.example.com\r\nX-Note: " + evil + b"\r\n\r\n",
		                 b"POST /repos/acme/ HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: %d\r\n\r\n" % len(evil) + evil):
		        ask(connect, head)
	END
	# In what pipelock refuses, and writes down.
	answers one 403 --globoff --data "key=ghp_$(printf 'aB3%.0s' {1..12})" \
		'https://api.example.com/repos/acme/x?q=%0A%7B%22event%22%3A%22forged-31415%22%7D%0A&r=%1b[2J&s="}{"event":"forged-31415"'
	for role in egress pipelock; do
		docker logs "$(container one "$role")" >"$BATS_TEST_TMPDIR/$role.log" 2>/dev/null
		python3 - "$BATS_TEST_TMPDIR/$role.log" "$role" <<-'END'
			import json, sys
			with open(sys.argv[1], "rb") as file:
			    lines = file.read().split(b"\n")
			assert lines.pop() == b""
			for line in lines:
			    entry = json.loads(line)
			    assert isinstance(entry, dict) and isinstance(entry["event"], str), line
			    assert entry["event"] != "forged-31415", line
			    assert not any(byte < 32 for byte in line) and b"\x1b" not in line, line
			    assert sys.argv[2] != "egress" or (len(line) <= 4096 and line.isascii()), line
		END
	done
	grep -q forged-31415 "$BATS_TEST_TMPDIR/egress.log"
	grep -q '"event":"blocked"' "$BATS_TEST_TMPDIR/pipelock.log"
}

# From here on the controller is away: nobody repairs.

# edit ROLE FILE SED: changes a file of a sidecar in place; the old one is kept.
edit() {
	local name
	name=$(container one "$1")
	docker cp "$name:$2" "$BATS_TEST_TMPDIR/old" >/dev/null
	sed -E "$3" "$BATS_TEST_TMPDIR/old" >"$BATS_TEST_TMPDIR/new"
	chmod 0644 -- "$BATS_TEST_TMPDIR/new"
	! cmp -s "$BATS_TEST_TMPDIR/old" "$BATS_TEST_TMPDIR/new" || return 1
	docker cp "$BATS_TEST_TMPDIR/new" "$name:$2" >/dev/null
}
# logged ROLE TEXT SINCE: in the lines after that number.
log_mark() { docker logs "$(container one "$1")" 2>/dev/null | wc -l; }
logged() { docker logs "$(container one "$1")" 2>/dev/null | tail -n "+$(($3 + 1))" | grep -F "$2"; }
# reload ROLE: and the file's hash is confirmed.
reload() {
	local mark hash
	mark=$(log_mark "$1")
	hash=$(sha256sum <"$BATS_TEST_TMPDIR/new" | cut -d' ' -f1)
	docker kill --signal HUP "$(container one "$1")" >/dev/null
	wait_for 30 logged "$1" "$hash" "$((mark > 1 ? mark - 1 : 0))"
}
refused_by() {
	local output
	output=$(fetch one --include "$2" 2>&1)
	[[ ${output,,} == *"x-bottler-denied: $1"* ]] || { printf '%s\n' "$output"; return 1; }
}
connect_refused() {
	local output
	output=$(fetch one --verbose "$2" 2>&1) && false
	[[ ${output,,} == *"x-bottler-denied: $1"* ]] || { printf '%s\n' "$output"; return 1; }
}

@test "P26: a host that only one of the two lists has is denied" {
	controller_stop
	# The second key alone.
	edit pipelock /etc/bottler/pipelock.yaml 's/^(- "api\.example\.com")$/\1\n- "extra.example.net"/'
	reload pipelock
	connect_refused host https://extra.example.net/only-pipelock
	expect '' upstream_brief "$MARK"
	# The control: with both it passes.
	edit egress /etc/bottler/routes.yaml '$a - host: "extra.example.net"'
	reload egress
	answers one 200 https://extra.example.net/both
	expect 'extra.example.net GET /both' upstream_brief "$MARK"
	# The first alone.
	edit pipelock /etc/bottler/pipelock.yaml '/^- "extra\.example\.net"$/d'
	reload pipelock
	answers one 403 https://extra.example.net/only-egress
	refused_by pipelock https://extra.example.net/only-egress
	expect 'extra.example.net GET /both' upstream_brief "$MARK"
	# A name that only egress allows is not even asked for.
	edit egress /etc/bottler/routes.yaml 's/extra\.example\.net/unasked.example.net/'
	reload egress
	refused_by pipelock https://unasked.example.net/
	run names_asked
	[[ $output == *extra.example.net* && $output != *unasked* ]]
	edit egress /etc/bottler/routes.yaml '/unasked/d'
	reload egress
}

restarted() { docker restart --time 2 "$(container one "$1")" >/dev/null; }
# Everything is refused, also what was allowed.
all_refused() {
	connect_refused host https://api.example.com/repos/acme/x && connect_refused host https://files.example.org/x &&
		in_agent one curl --silent --max-time 5 --proxy "http://egress:9099" http://_egress.local/allowlist |
		jq -e '.routes == []' >/dev/null
}
hang_up() {
	local mark
	mark=$(log_mark egress)
	docker kill --signal HUP "$(container one egress)" >/dev/null
	wait_for 30 logged egress "$1" "$mark"
}

@test "P22: broken or missing files of the egress proxy deny, or leave the last good ones in force" {
	local name part
	controller_stop
	name=$(container one egress)
	docker cp "$name:/etc/bottler" "$BATS_TEST_TMPDIR/good" >/dev/null
	for part in broken missing token; do
		case $part in
		broken) edit egress /etc/bottler/routes.yaml 's/^routes:/routes: [/' ;;
		missing) docker exec --user 0 "$name" mv /etc/bottler/routes.yaml /etc/bottler/gone.yaml ;;
		token) docker exec --user 10001 "$name" sh -c 'chmod u+w /etc/bottler/tokens && rm /etc/bottler/tokens/EGRESS_TOKEN_0' ;;
		esac
		# In a running proxy the last good set stays whole.
		hang_up routes_rejected
		answers one 200 "https://api.example.com/repos/acme/$part"
		answers one 403 "https://api.example.com/elsewhere/$part"
		authorization "$MARK" | grep -qxF "api.example.com /repos/acme/$part Bearer $FIRST_TOKEN"
		# A new one has none, and denies.
		MARK=$(upstream_mark)
		restarted egress
		wait_for 30 all_refused
		expect '' upstream_brief "$MARK"
		# Put right, it allows again.
		docker exec --user 0 "$name" rm -f /etc/bottler/gone.yaml
		tar -C "$BATS_TEST_TMPDIR/good" --owner=10001 --group=10001 -c routes.yaml tokens generation | docker cp - "$name:/etc/bottler"
		hang_up '"canary"'
		wait_for 30 answers one 200 "https://api.example.com/repos/acme/$part-again"
	done
}

ended() { [ "$(docker inspect --format '{{.State.Running}}' "$(container one "$1")")" = false ]; }

@test "D.3: an addon that loses its files goes on denying, and does not start without them" {
	local name
	controller_stop
	name=$(container one egress)
	answers one 403 https://api.example.com/elsewhere
	docker exec --user 0 "$name" sh -c 'rm -r /opt/bottler/egress/*.py && mkdir /opt/bottler/egress/addon.py'
	hang_up '"canary"'
	answers one 403 https://api.example.com/elsewhere
	connect_refused host https://steal.canary.example.net/
	answers one 200 https://api.example.com/repos/acme/still
	MARK=$(upstream_mark)
	docker restart --time 2 "$name" >/dev/null || true
	wait_for 30 ended egress
	run fetch one https://api.example.com/repos/acme/x
	[ "$status" -ne 0 ]
	run fetch one https://steal.canary.example.net/
	[ "$status" -ne 0 ]
	expect '' upstream_brief "$MARK"
	# Its owner comes back and makes a new one.
	controller_start
	wait_for 60 answers one 200 https://api.example.com/repos/acme/repaired
	answers one 403 https://api.example.com/elsewhere
}

#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# pipelock as bottler configures it, on the real chain: what it catches, what it lets pass, and what an edit costs.

load lib

PRIVATE=10.66.7.10

setup_file() {
	e2e_engine_start agent
	[ -z "${E2E_SKIP:-}" ] || return 0
	export E2E_ROOT=$BATS_FILE_TMPDIR
	inst_make
	engine_upstream "$E2E_ENGINE" "$PRIVATE" >/dev/null
	engine_dns "$E2E_ENGINE" intern.example.com "$PRIVATE"
	secret GH_TOKEN "$(token)"
	controller_start
	manifest . | put one.yaml
	wait_ready one
}
teardown_file() {
	[ -n "${E2E_SKIP:-}" ] || controller_stop
	e2e_engine_stop
}
setup() { e2e_setup; }

token() { printf 'ghp_%s' "$(printf 'inJecTed%.0s' {1..5})"; }

# One bottle with a route of each kind, changed by a jq filter.
manifest() {
	bottle one '.spec.egress.routes = [
		{host: "api.example.com", path_allowlist: ["/repos/"], auth: {scheme: "Bearer", token_ref: "GH_TOKEN"}},
		{host: "open.example.com"}, {host: "gone.example.com"},
		{host: "pinned.example.com", pipelock: {tls_passthrough: true}},
		{host: "intern.example.com"}]' | jq "$1"
}

# edit FILTER: the changed manifest is taken up.
edit() {
	local old
	old=$(generation one)
	manifest "$1" | put one.yaml
	wait_later one "$old"
}

# upstream_got PATH [FILTER]: a request for the path that the filter is true of.
upstream_got() {
	jq -se --arg path "$1" "any(.[] | select(.event == \"request\" and .path == \$path); ${2:-true})" \
		"$(engine_upstream_log "$E2E_ENGINE")" >/dev/null
}
never_upstream() {
	[ -s "$(engine_upstream_log "$E2E_ENGINE")" ]
	absent "$1" "$(engine_upstream_log "$E2E_ENGINE")"
}
pipelock_log() { docker logs "$(container one pipelock)" 2>/dev/null; }
# logged FILTER: of an entry in pipelock's log.
logged() { pipelock_log | jq -R 'fromjson? // empty' | jq -se "any(.[]; $1)" >/dev/null; }
# every FILTER FILE: of each case; shows the others.
every() {
	[ "$(jq -s "map(select($1 | not)) | length" "$2")" = 0 ] || { jq -c "select($1 | not)" "$2"; return 1; }
}
ids() { for role in agent egress pipelock; do container_started one "$role"; done; }

# Everything that an agent might send, one JSON object a case.
send_all() { docker exec --interactive "$(container one agent)" python3 - "$@" <"$E2E_REPO/tests/e2e/agent_dlp.py"; }

@test "what an edit of each key costs is what the real pipelock does with it" {
	local dir=$BATS_FILE_TMPDIR/reload
	mkdir -m 0700 -- "$dir"
	cp -- "$E2E_REPO/tests/golden/render/everything/pipelock.yaml" "$dir/"
	"$E2E_REPO/tests/rig/ca.sh" "$dir"
	# The one form that it reads.
	openssl ec -in "$dir/ca-key.pem" -out "$dir/ca-key.pem" 2>/dev/null
	engine_exec "$E2E_ENGINE" python3 "$E2E_REPO/tests/rig/pipelock_reload.py" "$E2E_IMAGES/.pipelock" "$dir/pipelock.yaml" \
		"$E2E_REPO/tests/golden/render/pipelock-reload.tsv" "$(engine_ca "$E2E_ENGINE")"
}

@test "credentials that the agent sends are caught in every place, harmless text passes" {
	local cases=$BATS_TEST_TMPDIR/cases
	send_all open.example.com /block/ >"$cases"
	[ "$(jq -s 'map(select(.secret)) | length' "$cases")" -ge 80 ]
	# Each is refused with a reason, and none has reached the upstream.
	every 'if .secret then .status == 403 and (.text | startswith("blocked: ")) else .status == 200 end' "$cases"
	jq -r 'select(.secret) | .id' "$cases" | while read -r id; do never_upstream "/block/$id\""; done
	jq -r 'select(.secret | not) | .id' "$cases" | while read -r id; do grep -qF "/block/$id" "$(engine_upstream_log "$E2E_ENGINE")"; done
}

@test "an injected credential reaches the upstream, the agent's own does not" {
	answers one 200 --header "Authorization: Bearer ghp_$(printf 'agenTown%.0s' {1..5})" https://api.example.com/repos/mine
	upstream_got /repos/mine "any(.headers[]; . == [\"Authorization\", \"Bearer $(token)\"])"
	never_upstream agenTown
	# Where nothing is injected nothing of the kind arrives.
	answers one 200 --header "Authorization: Bearer ghp_$(printf 'agenTown%.0s' {1..5})" https://open.example.com/bare
	upstream_got /bare 'all(.headers[]; .[0] | ascii_downcase != "authorization")'
	# In any other header pipelock would see it.
	answers one 403 --header "X-Note: $(token)" https://open.example.com/elsewhere
	never_upstream /elsewhere
}

@test "bodies that can't be scanned are refused with a reason" {
	local output
	output=$(in_agent one sh -c 'echo hello | gzip | curl --silent --max-time 20 --header "Content-Encoding: gzip" \
		--data-binary @- https://open.example.com/zipped')
	[[ $output == *"compressed bodies cannot be scanned"* ]]
	output=$(in_agent one sh -c 'head -c 17000000 /dev/zero | curl --silent --max-time 20 --data-binary @- https://open.example.com/huge')
	[[ $output == *"exceeds max_body_bytes (16777216)"* ]]
	never_upstream /zipped
	never_upstream /huge
	output=$(fetch one 'https://open.example.com/big?bytes=17000000')
	printf '%s\n' "${output:0:400}"
	[[ $output == *"response"*"too large"* || $output == *"max_response_bytes"* || $output == *"exceeds"* ]]
	[ "$(tail -n 1 <<<"$output")" != 200 ]
	# Above what egress takes: it refuses by the length, before any byte.
	answers one 413 --request POST --header 'Content-Length: 68000000' --data x https://open.example.com/vast
	never_upstream /vast
}

@test "long tunnels and streams are within the limits of the rendered file" {
	local file=$BATS_TEST_TMPDIR/pipelock.yaml
	manifest . >"$BATS_TEST_TMPDIR/one.yaml"
	"$BOTTLER" render pipelock "$BATS_TEST_TMPDIR/one.yaml" >"$file"
	grep -qx '  max_tunnel_seconds: 86400' "$file"
	grep -qx '  idle_timeout_seconds: 900' "$file"
	grep -qx '    max_event_bytes: 4194304' "$file"
	# It is the file that runs.
	docker cp "$(container one pipelock):/etc/bottler/pipelock.yaml" - | tar -xO | cmp - "$file"
	pipelock_log | grep -qF "\"config_hash\":\"$(sha256sum <"$file" | cut -d' ' -f1)\""
}

# issuer HOST: who signed what egress is shown for a host, through pipelock, from where egress is.
issuer() {
	local pid proxy
	pid=$(docker inspect --format '{{.State.Pid}}' "$(container one egress)")
	proxy=$(docker inspect --format "{{(index .NetworkSettings.Networks \"$INST.one.chain\").IPAddress}}" "$(container one pipelock)")
	engine_exec "$E2E_ENGINE" nsenter --target "$pid" --net openssl s_client -proxy "$proxy:8888" -connect "$1:443" -servername "$1" \
		</dev/null 2>/dev/null | sed -n 's/^issuer=//p'
}

@test "a passthrough host is not intercepted, and egress still decides" {
	[ "$(issuer pinned.example.com)" = 'CN = bottler test upstream CA' ]
	[[ $(issuer open.example.com) == *pipelock* ]]
	answers one 200 --data "note=$(token)" https://pinned.example.com/scanned/by/nobody
	upstream_got /scanned/by/nobody ".text == \"note=$(token)\""
	logged '.event == "tunnel_open" and (tostring | contains("pinned.example.com"))'
}

@test "a host that is gone: its open tunnel is cut, nothing is restarted" {
	local before out=$BATS_TEST_TMPDIR/out
	before=$(ids)
	in_agent one python3 -c '
import os, socket, ssl, sys, urllib.parse
proxy = urllib.parse.urlsplit(os.environ["https_proxy"])
s = socket.create_connection((proxy.hostname, proxy.port), 20)
s.sendall(b"CONNECT gone.example.com:443 HTTP/1.1\r\nHost: gone.example.com:443\r\n\r\n")
s.recv(4096)
s = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"]).wrap_socket(s, server_hostname="gone.example.com")
def ask(path):
    s.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: gone.example.com\r\n\r\n")
    return s.recv(65536).split(b" ", 2)[1]
print("first", ask(b"/kept/first"), flush=True)
while piece := s.recv(65536):
    pass
print("cut", flush=True)' >"$out" 2>&1 3>&- &
	wait_for 20 grep -q "first b'200'" "$out"
	edit 'del(.spec.egress.routes[2])'
	wait_for 10 grep -qx cut "$out"
	run fetch one https://gone.example.com/kept/second
	[[ $output == *403* ]]
	never_upstream /kept/second
	[ "$(ids)" = "$before" ]
}

@test "a private upstream is reached only with ssrf_ip_allowlist; the edit replaces pipelock and nothing else" {
	local before after
	answers one 403 https://intern.example.com/private
	never_upstream /private
	mapfile -t before < <(ids)
	edit '.spec.egress.routes[4].pipelock = {ssrf_ip_allowlist: ["10.66.7.0/24"]}'
	answers one 200 https://intern.example.com/private
	mapfile -t after < <(ids)
	[ "${after[0]} ${after[1]}" = "${before[0]} ${before[1]}" ]
	[ "${after[2]}" != "${before[2]}" ]
	# Another private address stays closed.
	engine_dns "$E2E_ENGINE" intern.example.com 10.66.8.10
	answers one 403 https://intern.example.com/elsewhere-private
	never_upstream /elsewhere-private
	engine_dns "$E2E_ENGINE" intern.example.com "$PRIVATE"
}

@test "dlp_action warn lets pass and logs; the edit replaces pipelock and nothing else" {
	local cases=$BATS_TEST_TMPDIR/cases before after
	mapfile -t before < <(ids)
	edit '.spec.egress.dlp_action = "warn"'
	mapfile -t after < <(ids)
	[ "${after[0]} ${after[1]}" = "${before[0]} ${before[1]}" ]
	[ "${after[2]}" != "${before[2]}" ]
	send_all open.example.com /warn/ >"$cases"
	# What is in a URL is refused all the same: only bodies and headers are subject to the action.
	every '.status == (if .secret and (.id | startswith("query")) then 403 else 200 end)' "$cases"
	upstream_got /warn/header.github 'any(.headers[]; .[0] == "X-Note" and (.[1] | startswith("ghp_")))'
	upstream_got /warn/text.aws '.text | contains("AKIA")'
	logged '.event == "anomaly" and .scanner == "header_dlp"'
	logged '.event == "anomaly" and .scanner == "body_dlp" and (.reason | contains("GitHub Token"))'
	pipelock_log >"$BATS_TEST_TMPDIR/log"
	# The log names the kind and not the credential, but for what stood in a URL.
	jq -R 'fromjson? | select(.scanner == "core_dlp" | not)' "$BATS_TEST_TMPDIR/log" >"$BATS_TEST_TMPDIR/others"
	absent "$(printf 'aB3dE6gH9jK2%.0s' {1..3})" "$BATS_TEST_TMPDIR/others"
}

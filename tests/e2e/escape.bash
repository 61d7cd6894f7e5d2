# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the escape tests share: a bottle with a route of every kind, what stood at the other end, and checks that are also made
# where a guard has been taken away. Load it after lib.

# shellcheck source=tests/rig/world.sh
. "$E2E_REPO/tests/rig/world.sh"

# Credentials with characters that spellings differ in; no pattern of a scanner knows them.
FIRST_TOKEN='first/4f+9q==Zx81~canary'
SECOND_TOKEN='second/77+k2==Lw05~canary'
STREAM_TOKEN='stream/e1+c3==Qv64~canary'

escape_secrets() {
	secret FIRST_TOKEN "$FIRST_TOKEN"
	secret SECOND_TOKEN "$SECOND_TOKEN"
	secret STREAM_TOKEN "$STREAM_TOKEN"
}

# A bottle with path and method rules, matches, credentials of both kinds, a passthrough host and bare hosts.
escape_bottle() {
	bottle "$1" '.spec.egress = {routes: [
		{host: "api.example.com", path_allowlist: ["/repos/acme/"], methods: ["GET", "POST"],
			auth: {scheme: "Bearer", token_ref: "FIRST_TOKEN"}},
		{host: "api.example.org", path_allowlist: ["/v1/"], auth: {scheme: "token", token_ref: "SECOND_TOKEN"}},
		{host: "stream.example.net", methods: ["GET"], auth: {scheme: "Bearer", token_ref: "STREAM_TOKEN"},
			pipelock: {tls_passthrough: true}},
		{host: "hooks.example.com", matches: [
			{paths: [{type: "exact", value: "/hook"}], methods: ["POST"], headers: [{name: "x-team", value: "acme"}]},
			{paths: [{type: "prefix", value: "/state/"}], methods: ["GET"]}]}],
		allowlist: ["files.example.org", "rebind.example.net"]}' | jq "${2:-.}"
}

# The requests that the upstream has had, after the line MARK of its log, one JSON object a line.
upstream_mark() { wc -l <"$(engine_upstream_log "$E2E_ENGINE")"; }
upstream_since() {
	tail -n "+$(($1 + 1))" -- "$(engine_upstream_log "$E2E_ENGINE")" | jq -c 'select(.event == "request")'
}

# Host, method and path of each of them.
upstream_brief() { upstream_since "$1" | jq -r '"\(.host) \(.method) \(.path)"'; }

# The names that were asked for.
names_asked() { jq -r .name "$(engine_dns_log "$E2E_ENGINE")"; }

# expect TEXT COMMAND...: the command prints just that.
expect() {
	local wanted=$1 output
	shift
	output=$("$@") || true
	[ "$output" = "$wanted" ] || { printf 'expected:\n%s\ngot:\n%s\n' "$wanted" "$output"; return 1; }
}

# authorization MARK: host, path and Authorization header of each request since.
authorization() {
	upstream_since "$1" | jq -r '"\(.host) \(.path | split("?")[0]) \([.headers[] | select(.[0] | ascii_downcase == "authorization")[1]] | join(","))"'
}

# reflections_masked BOTTLE HOST PATH TOKEN: an upstream that hands the credential back, in every form: nothing of it comes to
# the agent.
reflections_masked() {
	local form split mark urls=() token=$4
	mark=$(upstream_mark)
	for form in plain url hex 'base64&shift=0' 'base64&shift=1' 'base64&shift=2'; do
		urls+=("https://$2$3reflect?as=$form&where=header")
		for split in 0 1 7; do
			urls+=("https://$2$3reflect?as=$form&split=$split")
		done
	done
	urls+=("https://$2$3reflect?as=plain&split=3&type=text/event-stream" "https://$2$3echo")
	in_agent "$1" curl --silent --show-error --include --max-time 60 "${urls[@]}" >"$BATS_TEST_TMPDIR/reflected" || return 1
	# Everything was asked, with the credential, and answered.
	expect "     ${#urls[@]} Bearer $token" uniq -c <<<"$(authorization "$mark" | cut -d' ' -f3-)" || return 1
	expect "${#urls[@]}" grep -c . <<<"$(grep -ao 'HTTP/1.1 200 OK' "$BATS_TEST_TMPDIR/reflected")" || return 1
	python3 - "$token" "$RIG_DIR" "$BATS_TEST_TMPDIR/reflected" <<-'END'
		import sys
		token, rig, path = sys.argv[1:]
		sys.path.insert(0, rig)
		import sniff
		with open(path, "rb") as file:
		    text = file.read()
		found = [kind for kind, wanted in sniff.spellings(token).items() if wanted.lower() in text.lower()]
		assert not found, (found, text)
		# Any half of it is one too many as well.
		for at in range(0, len(token) - 8):
		    assert token[at : at + 8].encode() not in text, token[at : at + 8]
		assert text.count(b"*" * len(token)) >= 7, text
	END
}

# own_credentials_stripped BOTTLE: whatever of the kind the agent sends, hosts whose credential the proxy adds get that one only.
own_credentials_stripped() {
	local header mark sent=() mine=of-the-agent-31415
	mark=$(upstream_mark)
	for header in Authorization Proxy-Authorization X-Api-Key x-goog-api-key Cookie X-Auth-Token Private-Token \
		X-Amz-Security-Token Api-Key Ocp-Apim-Subscription-Key X-Forwarded-Authorization Authorization_; do
		sent+=(--header "$header: $mine")
	done
	answers "$1" 200 "${sent[@]}" --header "X-Plain: kept" https://api.example.com/repos/acme/own || return 1
	answers "$1" 200 --user "me:$mine" https://api.example.com/repos/acme/own || return 1
	answers "$1" 200 --header "Authorization: Basic $mine" --header "aUtHoRiZaTiOn: Bearer $mine" https://api.example.org/v1/own || return 1
	# On a host without one, Authorization is left out all the same.
	answers "$1" 200 --header "Authorization: Bearer $mine" https://files.example.org/own || return 1
	expect "api.example.com /repos/acme/own Bearer $FIRST_TOKEN
api.example.com /repos/acme/own Bearer $FIRST_TOKEN
api.example.org /v1/own token $SECOND_TOKEN
files.example.org /own " authorization "$mark" || return 1
	[ -z "$(upstream_since "$mark" | grep -F "$mine")" ] || return 1
	[ -z "$(upstream_since "$mark" | grep -F "$(printf 'me:%s' "$mine" | base64)")" ] || return 1
	upstream_since "$mark" | head -n 1 | jq -e '.headers | any(. == ["X-Plain", "kept"])'
}

#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Secrets and CAs change under a bottle that runs: effective when confirmed, and nobody is interrupted.

load lib

# A life of CAs that goes through all its stages within the test, in seconds from now: 15 until the next ones are made,
# 35 until they sign.
BEGAN=-65 ENDS=55

setup_file() {
	e2e_engine_start agent
	[ -z "${E2E_SKIP:-}" ] || return 0
	export E2E_ROOT=$BATS_FILE_TMPDIR
	inst_make
	secret TOKEN token-value-0
	controller_start --ca-days 1
	manifest . | put one.yaml
	wait_ready one
}
teardown_file() {
	[ -n "${E2E_SKIP:-}" ] || controller_stop
	e2e_engine_stop
}
setup() { e2e_setup; }

manifest() {
	bottle one '.spec.egress.routes = [{host: "open.example.com"},
		{host: "api.example.com", path_allowlist: ["/repos/acme/"], auth: {scheme: "Bearer", token_ref: "TOKEN"}}]' | jq "$1"
}

client() { docker exec --interactive "$(container one agent)" python3 - "$@" <"$E2E_REPO/tests/rig/stream_client.py"; }
parts() { container_started one pipelock && container_started one egress && container_started one agent; }
uses() { answers one 200 https://api.example.com/repos/acme/x; }

# The credentials that the upstream was sent since a time, each once.
credentials_since() {
	jq -r --argjson since "$1" 'select(.time >= $since and .sni == "api.example.com") | .headers[] |
		select((.[0] | ascii_downcase) == "authorization") | .[1]' "$(engine_upstream_log "$E2E_ENGINE")" | sort -u
}

# What the egress proxy's log and bottler say: the files that were written last are in force.
generations() { docker logs "$(container one egress)" 2>&1 | grep '"routes_loaded"' | sed 's/.*"generation": *"\([0-9a-f]*\)".*/\1/'; }
another_is_confirmed() {
	[ "$(generations | tail -n 1)" != "$1" ] && condition_says one PolicyEffective True && is_ready one
}

# The four ways in which files of secrets are replaced.
by_writing() { secret TOKEN "$1"; }
by_renaming() { secret .TOKEN.new "$1" && mv -- "$(inst_dir)/secrets/.TOKEN.new" "$(inst_dir)/secrets/TOKEN"; }
version() {
	mkdir -m 0700 -- "$(inst_dir)/secrets/..$1"
	secret "..$1/TOKEN" "$1"
}
by_link() {
	version "$1"
	ln -s -- "..$1" "$(inst_dir)/secrets/..data"
	ln -s ..data/TOKEN "$(inst_dir)/secrets/TOKEN.link"
	mv -T -- "$(inst_dir)/secrets/TOKEN.link" "$(inst_dir)/secrets/TOKEN"
}
by_swap() {
	version "$1"
	ln -s -- "..$1" "$(inst_dir)/secrets/..new"
	mv -T -- "$(inst_dir)/secrets/..new" "$(inst_dir)/secrets/..data"
}

@test "a token is rotated four times beside a stream: the new value when confirmed, the old one never again" {
	local before way old began stream traffic out=$BATS_TEST_TMPDIR/events
	before=$(parts)
	uses
	[ "$(credentials_since 0)" = "Bearer token-value-0" ]
	client events open.example.com 150 0.1 >"$out" 3>&- &
	stream=$!
	client visits api.example.com 60 >"$BATS_TEST_TMPDIR/visits" 3>&- &
	traffic=$!
	for way in by_writing by_renaming by_link by_swap; do
		old=$(generations | tail -n 1)
		began=$(date +%s%N)
		"$way" "token-$way"
		wait_for 20 another_is_confirmed "$old"
		printf '# %s: confirmed %d ms after the file was written\n' "$way" $((($(date +%s%N) - began) / 1000000)) >&3
		began=$(date +%s.%N)
		uses
		uses
		[ "$(credentials_since "$began")" = "Bearer token-$way" ]
	done
	wait "$traffic"
	wait "$stream"
	jq -e '.status == 200 and .events == 150 and .longest_gap < 3' "$out"
	[ "$(parts)" = "$before" ]
}

@test "a secret that vanishes or is emptied leaves the bottle with its last one, and is named" {
	local before file began
	file=$(inst_dir)/secrets/TOKEN
	before=$(parts)
	rm -- "$file"
	wait_for 20 condition_says one SecretsResolved False TOKEN
	: >"$file" && chmod 0600 -- "$file"
	wait_for 20 condition_says one SecretsResolved False 'is empty'
	began=$(date +%s.%N)
	uses
	[ "$(credentials_since "$began")" = "Bearer token-by_swap" ]
	[ "$(parts)" = "$before" ]
	secret TOKEN token-again
	wait_ready one
	began=$(date +%s.%N)
	uses
	[ "$(credentials_since "$began")" = "Bearer token-again" ]
	[ "$(parts)" = "$before" ]
}

# As the archive API has it, which is not counted as touching the proxy.
token_files() { docker cp "$(container one egress):/etc/bottler/tokens" - | tar -tv --numeric-owner | awk '{print $1, $2, $NF}'; }

@test "the token of a dropped route is gone from the proxy's container" {
	local before old
	before=$(parts)
	[ "$(token_files)" = $'dr-x------ 10001/10001 tokens/\n-r-------- 10001/10001 tokens/EGRESS_TOKEN_0' ]
	old=$(generation one)
	manifest '.spec.egress.routes |= .[:1]' | put one.yaml
	wait_later one "$old"
	[ "$(token_files)" = 'dr-x------ 10001/10001 tokens/' ]
	old=$(generation one)
	manifest . | put one.yaml
	wait_later one "$old"
	uses
	[ "$(parts)" = "$before" ]
}

@test "an agent's secret replaces the agent and nothing else" {
	local egress agent old
	secret NETRC first
	old=$(generation one)
	manifest '.spec.agent.files = [{path: "/home/agent/.netrc", mode: "0600", secret: "NETRC"}]' | put one.yaml
	wait_later one "$old"
	egress=$(container_started one egress)
	agent=$(container_id one agent)
	secret NETRC second
	has_second() { [ "$(in_agent one cat /home/agent/.netrc)" = second ]; }
	wait_for 60 has_second
	wait_ready one
	[ "$(container_id one agent)" != "$agent" ]
	[ "$(container_started one egress)" = "$egress" ]
}

@test "an agent of which nobody knows what it trusts is left alone while no CA rotates" {
	local since agent
	agent=$(container_started one agent)
	controller_stop
	[ -s "$(inst_dir)/state/bottles/one/trust" ]
	rm -- "$(inst_dir)/state/bottles/one/trust"
	since=$(mark)
	controller_start --ca-days 1
	wait_for 90 passed "$since" 2
	wait_ready one
	[ "$(changes_since "$since")" = "" ]
	[ "$(container_started one agent)" = "$agent" ]
}

# ---- CAs -----------------------------------------------------------------------------------------

# Any change among the secrets has every bottle looked at.
poke() { date +%s%N >"$(inst_dir)/secrets/.poke"; }
# stage_is ROLE STAGE: of its CA of bottle `two`.
stage_is() {
	poke
	bottle_is two "[.status.cas[] | select(.role == \"$1\") | .stage] == [\"$2\"]" && is_ready two
}
# came REASON: the event of both CAs, and what it asked for is done.
came() {
	poke
	"$BOTTLER" events two -o json --socket "$(inst_dir)/socket" |
		jq -e --arg reason "$1" '[.items[] | select(.reason == $reason)] | map(.message | contains(" of egress "), contains(" of pipelock ")) |
			. == [true, false, false, true]' && is_ready two
}
works() { answers two 200 https://open.example.com/works; }
file_of() { docker cp "$(container two "$1"):/etc/bottler/$2" - | tar -xO; }
holds() { file_of "$1" "$2" | tr -d '\n' | grep -qF "$(grep -v '^-' "$3" | tr -d '\n')"; }
trusted() { file_of "$1" "$2" | grep -c 'BEGIN CERTIFICATE'; }

# A client that reads the bundle for each request, as long as FILE is there: curl's exit code and the status of each.
# shellcheck disable=SC2016 # the agent's shell expands it
visit() {
	while [ -e "$1" ]; do
		in_agent two sh -c 'code=$(curl -s -o /dev/null -m 10 -w "%{http_code}" https://open.example.com/visit); echo "$? $code"'
	done
}

@test "CAs go through all stages under a running agent, with a request succeeding at each" {
	local state agent pipelock role visits
	state=$(inst_dir)/state/bottles/two
	bottle two '.spec.egress.routes = [{host: "open.example.com", auth: {scheme: "Bearer", token_ref: "LATER"}}]' | put two.yaml
	wait_for 30 condition_says two SecretsResolved False LATER
	controller_stop
	mkdir -- "$BATS_TEST_TMPDIR/old"
	for role in egress pipelock; do
		/usr/bin/python3 -B "$E2E_REPO/tests/rig/ca_life.py" "$state/$role-ca" "$role CA of two" "$BEGAN" "$ENDS"
		cp -- "$state/$role-ca.pem" "$BATS_TEST_TMPDIR/old/$role.pem"
	done
	secret LATER later
	controller_start --ca-days 1
	wait_ready two
	works
	agent=$(container_started two agent)
	pipelock=$(container_id two pipelock)
	: >"$BATS_TEST_TMPDIR/go"
	visit "$BATS_TEST_TMPDIR/go" >"$BATS_TEST_TMPDIR/visits" 3>&- &
	visits=$!

	# The next ones are trusted, the old ones sign.
	wait_for 60 came CaIntroduced
	# A controller that is killed goes on from there; meanwhile nothing moves on.
	controller_stop KILL
	works
	holds egress ca/egress-ca.pem "$BATS_TEST_TMPDIR/old/egress.pem"
	[ "$(trusted agent ca.pem)" = 2 ]
	[ "$(trusted egress ca/pipelock-ca.pem)" = 2 ]
	[ "$(container_id two pipelock)" = "$pipelock" ]
	answers two 200 --cacert /etc/bottler/ca.pem https://open.example.com/works
	controller_start --ca-days 1

	# The next ones sign, both are trusted.
	wait_for 60 came CaSwitched
	controller_stop
	works
	[ "$(trusted agent ca.pem)" = 2 ]
	[ "$(trusted egress ca/pipelock-ca.pem)" = 2 ]
	run holds egress ca/egress-ca.pem "$BATS_TEST_TMPDIR/old/egress.pem"
	[ "$status" -ne 0 ]
	run holds pipelock ca.pem "$BATS_TEST_TMPDIR/old/pipelock.pem"
	[ "$status" -ne 0 ]

	controller_start --ca-days 1

	# The old ones are nowhere.
	wait_for 90 came CaRetired
	stage_is egress Steady
	stage_is pipelock Steady
	works
	[ "$(trusted agent ca.pem)" = 1 ]
	[ "$(trusted egress ca/pipelock-ca.pem)" = 1 ]
	run holds agent ca.pem "$BATS_TEST_TMPDIR/old/egress.pem"
	[ "$status" -ne 0 ]
	run holds agent ca-bundle.pem "$BATS_TEST_TMPDIR/old/egress.pem"
	[ "$status" -ne 0 ]
	[ ! -e "$state/egress-ca-old.pem" ] && [ ! -e "$state/pipelock-ca-old.pem" ]
	# The agent was never shown a certificate that it doesn't trust (curl would have ended with 60). Egress was replaced
	# three times, which cuts nothing, and pipelock once, which may cut what is under way at the time; a certificate that
	# egress doesn't trust would have been a 502 for all of a stage.
	rm -- "$BATS_TEST_TMPDIR/go"
	wait "$visits"
	printf '# requests, by exit code and status: %s\n' "$(sort "$BATS_TEST_TMPDIR/visits" | uniq -c | tr -s ' \n' ' ;')" >&3
	[ "$(grep -c '^0 200$' "$BATS_TEST_TMPDIR/visits")" -gt 50 ]
	absent '60 ' "$BATS_TEST_TMPDIR/visits"
	[ "$(grep -vc '^0 200$' "$BATS_TEST_TMPDIR/visits")" -le 1 ]
	docker cp "$BATS_TEST_TMPDIR/old/egress.pem" "$(container two agent):/tmp/old.pem"
	run fetch two --cacert /tmp/old.pem https://open.example.com/works
	[[ $output == *certificate* ]] && [ "$(tail -n 1 <<<"$output")" = 000 ]
	[ "$(container_started two agent)" = "$agent" ]
	bottle_is two '[.status.cas[] | .expires | fromdate - now > 80000] == [true, true]'
	# The neighbour's have years, or a day: nothing was sent to it.
	bottle_is one '[.status.cas[].stage] == ["Steady", "Steady"]'
}

#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A proxy is replaced by one that runs already: no request finds none. Egress finishes what is under way through it;
# pipelock can't, so that at most the one request that is under way is cut.

load lib

setup_file() { e2e_engine_start agent; }
teardown_file() { e2e_engine_stop; }
setup() { e2e_setup; }
teardown() { installations_end; }

# requests BOTTLE: one request after the other, until the file `stop` is there; "STATUS" lines into `answers`.
requests() {
	while [ ! -e "$BATS_TEST_TMPDIR/stop" ]; do
		in_agent "$1" curl --silent --output /dev/null --max-time 30 --write-out "%{http_code} %{time_total}\n" \
			https://api.example.com/repos/acme/site || true
	done >"$BATS_TEST_TMPDIR/answers"
}

# relieves ROLE COMMAND…: the command makes the bottle `one` Ready with another container of that role and the same agent,
# while requests go through it.
relieves() {
	local agent old
	agent=$(container_started one agent)
	old=$(container_id one "$1")
	rm -f -- "$BATS_TEST_TMPDIR/stop"
	requests one 3>&- &
	wait_for 10 test -s "$BATS_TEST_TMPDIR/answers"
	"${@:2}"
	wait_later one "$generation"
	touch "$BATS_TEST_TMPDIR/stop"
	wait $!
	[ "$(container_id one "$1")" != "$old" ]
	[ "$(container_started one agent)" = "$agent" ]
	printf '# %s replaced during %d requests, the longest took %s s\n' "$1" "$(wc -l <"$BATS_TEST_TMPDIR/answers")" \
		"$(cut -d' ' -f2 "$BATS_TEST_TMPDIR/answers" | sort -n | tail -n 1)" >&3
	# One after the other: the one that is on its way through the old proxy when that ends may be cut, and no other.
	[ "$(grep -vc '^200 ' "$BATS_TEST_TMPDIR/answers")" -le 1 ] || { sort "$BATS_TEST_TMPDIR/answers"; return 1; }
	[ "$(tail -n 1 "$BATS_TEST_TMPDIR/answers" | cut -d' ' -f1)" = 200 ]
	run no_container one "$1.next"
	[ "$status" -eq 0 ]
}

edit() {
	generation=$(generation one)
	bottle one "$1" | put one.yaml
}

@test "pipelock is replaced while requests go through it" {
	controller_start
	bottle one | put one.yaml
	wait_ready one
	relieves pipelock edit '.spec.egress.dlp_action = "warn"'
	relieves pipelock edit '.spec.egress.routes += [{host: "files.example.com", pipelock: {tls_passthrough: true}}]'
}

@test "killed while both run, the next start takes the relief over" {
	local agent next
	controller_start
	bottle one | put one.yaml
	wait_ready one
	agent=$(container_started one agent)
	edit '.spec.egress.dlp_action = "warn"'
	wait_for 30 next_runs
	controller_signal KILL
	controller_stop
	next=$(docker inspect --format '{{.Id}}' "$(container one pipelock).next" 2>/dev/null || true)
	controller_start
	wait_later one "$generation"
	[ "$(container_started one agent)" = "$agent" ]
	run no_container one pipelock.next
	[ "$status" -eq 0 ]
	printf '# relief %.12s, now %.12s\n' "$next" "$(container_id one pipelock)" >&3
}
next_runs() { [ "$(docker inspect --format '{{.State.Running}}' "$(container one pipelock).next" 2>/dev/null)" = true ]; }

# ---- egress: replaced when bottler comes with another image, for one ------------------------------

with_routes() { bottle one ".spec.egress.routes += [{host: \"open.example.com\"}] | ${1:-.}"; }

# The bottle, ready; what goes through it in the background, until `enough`: two visitors that never rest, and a stream.
begin_traffic() {
	docker tag "$BOTTLER_IMAGE_EGRESS" e2e/egress:other
	controller_start
	with_routes | put one.yaml
	wait_ready one
	client visitors open.example.com 2 /tmp/enough >"$BATS_TEST_TMPDIR/visitors" 3>&- &
	visitors=$!
	client follow open.example.com 0.1 /tmp/enough >"$BATS_TEST_TMPDIR/stream" 2>&1 3>&- &
	stream=$!
	wait_for 20 in_flight
	agent=$(container_started one agent)
	egress=$(container_id one egress)
}
client() { docker exec --interactive "$(container one agent)" python3 - "$@" <"$E2E_REPO/tests/rig/stream_client.py"; }
in_flight() { docker logs "$(container one egress)" 2>&1 | grep -q '"activity", "in_flight": [1-9]'; }
enough() { in_agent one touch /tmp/enough; }
# has_logged TEXT: the controller, since the last start.
has_logged() { sed -n "$begun,\$p" "$(inst_dir)/log" | grep -F -- "$1"; }
other_image() {
	controller_stop
	begun=$(($(wc -l <"$(inst_dir)/log") + 1))
	controller_start --image egress=e2e/egress:other
}
# moment STEP: when the first of its kind was taken, in seconds.
moment() { date -d "$(has_logged "step=$1 " | head -n 1 | cut -d' ' -f1)" +%s; }
stopping() { has_logged "step=container.stop object=$(container one egress) "; }
relieved() { [ "$(container_id one egress)" != "$egress" ] && no_container one egress.next && is_ready one; }

# lost ROLE: how many requests of the visitors had no answer of their own.
lost() {
	wait "$visitors"
	printf '# while %s was replaced: %s\n' "$1" "$(cat "$BATS_TEST_TMPDIR/visitors")" >&3
	lost=$(jq '[.outcomes | to_entries[] | select(.key != "own answer") | .value] | add // 0' "$BATS_TEST_TMPDIR/visitors")
}

@test "pipelock is replaced: at most one request of each visitor is cut" {
	local agent egress visitors stream generation lost
	begin_traffic
	generation=$(generation one)
	with_routes '.spec.egress.dlp_action = "warn"' | put one.yaml
	wait_later one "$generation"
	enough
	lost pipelock
	[ "$lost" -le 2 ]
	wait "$stream" || true
	[ "$(container_started one agent)" = "$agent" ]
	[ "$(container_id one egress)" = "$egress" ]
}

@test "egress is replaced, and nothing that goes through it is cut" {
	local agent egress visitors stream slow sequence begun number lost
	begin_traffic
	# shellcheck disable=SC2016 # the agent's shell expands it
	in_agent one sh -c '(echo one; until [ -e /tmp/enough ]; do sleep 0.1; done; echo two) |
		curl --silent --max-time 30 --request POST --upload-file - https://open.example.com/slow' >"$BATS_TEST_TMPDIR/slow" 3>&- &
	slow=$!
	rm -f -- "$BATS_TEST_TMPDIR/stop"
	requests one 3>&- &
	sequence=$!
	other_image
	wait_for 30 stopping
	for number in 1 2 3 4 5; do
		answers one 200 "https://open.example.com/beside/$number"
	done
	[ "$(container_id one egress)" = "$egress" ]
	kill -0 "$stream"
	enough
	wait "$stream" || { cat "$BATS_TEST_TMPDIR/stream"; return 1; }
	jq -e '.status == 200 and .longest_gap < 3' "$BATS_TEST_TMPDIR/stream"
	wait "$slow"
	jq -e '.path == "/slow" and .body.size == 8' "$BATS_TEST_TMPDIR/slow"
	wait_for 30 relieved
	touch "$BATS_TEST_TMPDIR/stop"
	lost egress
	[ "$lost" -eq 0 ]
	wait "$sequence"
	[ "$(cut -d' ' -f1 "$BATS_TEST_TMPDIR/answers" | sort -u)" = 200 ] || { sort "$BATS_TEST_TMPDIR/answers"; return 1; }
	[ "$(container_started one agent)" = "$agent" ]
}

@test "with nothing under way, egress is replaced in a few seconds" {
	local agent egress visitors stream begun took
	begin_traffic
	enough
	wait "$visitors"
	wait "$stream" || true
	other_image
	wait_for 30 relieved
	took=$(($(moment container.rename) - $(moment container.stop)))
	printf '# %d s from the stop to the end of the relief\n' "$took" >&3
	[ "$took" -le 5 ]
	[ "$(container_started one agent)" = "$agent" ]
}

@test "a route that goes in the same edit goes at once, with what uses it" {
	local agent egress visitors stream begun
	begin_traffic
	controller_stop
	with_routes 'del(.spec.egress.routes[0])' | put one.yaml
	other_image
	wait_for 30 relieved
	run stopping
	[ "$status" -ne 0 ]
	has_logged 'its policy is not the wanted one: what is in flight through it ends'
	wait "$stream" || true # it would never have ended by itself
	[ "$(container_started one agent)" = "$agent" ]
}

@test "a bottle that is opened while the old one finishes is made safe at once" {
	local agent egress visitors stream begun
	begin_traffic
	other_image
	wait_for 30 stopping
	docker network create passing >/dev/null
	docker network connect passing "$(container one agent)"
	wait_for 5 has_logged "step=container.pause object=$(container one agent) "
	wait_for 30 relieved
	[ "$(container_started one agent)" = "$agent" ]
}

@test "killed while the old one finishes, or when it has: the next start takes the relief over" {
	local agent egress visitors stream begun next state
	for state in true false; do
		begin_traffic
		other_image
		wait_for 30 stopping
		controller_stop KILL
		next=$(docker inspect --format '{{.Id}}' "$(container one egress.next)")
		wait_for 30 old_runs "$state"
		other_image
		wait_for 30 relieved
		[ "$(container_id one egress)" = "$next" ]
		[ "$(container_started one agent)" = "$agent" ]
		installations_end
		wait "$visitors" "$stream" || true
		rm -rf -- "$(inst_dir)"
		inst_make
	done
}
old_runs() { [ "$(docker inspect --format '{{.State.Running}}' "$egress")" = "$1" ]; }

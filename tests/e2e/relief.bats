#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A proxy is replaced by one that runs already: no request finds none; at most the one that is under way is cut.

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

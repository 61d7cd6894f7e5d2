#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Lists that can't be read are no look: nothing is decided on them, and the engine is asked again soon.

load lib

teardown() {
	[ -z "${CONTROLLER:-}" ] || { kill "$CONTROLLER" && wait "$CONTROLLER" || true; }
	[ -z "${ENGINE:-}" ] || { kill "$ENGINE" && wait "$ENGINE" || true; }
}

@test "garbled lists are looked at again within seconds, and nothing is changed on them" {
	local dir=$BATS_TEST_TMPDIR
	/usr/bin/python3 "$E2E_REPO/tests/e2e/garbled_engine.py" "$dir/engine.sock" "$dir/record" 2 3>&- &
	ENGINE=$!
	wait_for 10 test -S "$dir/engine.sock"
	mkdir "$dir/manifests"
	cp -- "$E2E_REPO/examples/sealed.yaml" "$dir/manifests/"
	"$BOTTLER" run --manifests "$dir/manifests" --state "$dir/state" --engine "unix://$dir/engine.sock" \
		--socket "$dir/api.sock" </dev/null >"$dir/log" 2>&1 3>&- &
	CONTROLLER=$!
	# Far sooner than the look that comes every 30 s by itself.
	wait_for 15 grep -q '^GET /images/' "$dir/record"
	grep -q "its lists can't be read" "$dir/log"
	# Two garbled, then the one that was decided on; nothing was asked for before it.
	[ "$(sed '/^GET .images/q' "$dir/record" | grep -c '^GET /containers/json?all')" -eq 3 ]
	! sed '/^GET .images/q' "$dir/record" | grep -E '^(POST|PUT|DELETE)'
}

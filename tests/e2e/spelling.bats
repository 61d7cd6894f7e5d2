#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The corpus of the egress proxy's fuzzer through the whole chain: what comes out behind pipelock, which reads and writes
# each request anew, is still what the rules allow, and spelled as it was where a path rule holds.

load lib

setup_file() {
	e2e_engine_start agent || return 1
	[ -z "${E2E_SKIP:-}" ] || return 0
	export E2E_ROOT=$BATS_FILE_TMPDIR
	inst_make
	secret TOKEN a-credential-of-the-proxys
	controller_start
	bottle one '.spec.egress.routes = [{host: "open.example.com"},
		{host: "api.example.com", matches: [{methods: ["GET", "POST"], paths: [{type: "prefix", value: "/repos/acme/"},
			{type: "prefix", value: "/v1"}, {type: "prefix", value: "/a/b"}, {type: "exact", value: "/only"}]}]},
		{host: "cred.example.com", path_allowlist: ["/v1"], auth: {scheme: "Bearer", token_ref: "TOKEN"}}]' | put one.yaml
	wait_ready one
}
teardown_file() {
	[ -n "${E2E_SKIP:-}" ] || controller_stop
	e2e_engine_stop
}
setup() { e2e_setup; }

@test "every spelling: nothing arrives that the oracle forbids, and what it allows arrives as it was" {
	local dir=$E2E_REPO/tests/egress since report=$BATS_TEST_TMPDIR/report
	since=$(wc -l <"$(engine_upstream_log "$E2E_ENGINE")")
	python3 -B "$E2E_REPO/tests/e2e/spelling.py" cases "$dir" >"$BATS_TEST_TMPDIR/cases"
	docker cp "$E2E_REPO/tests/e2e/spelling.py" "$(container one agent):/tmp/spelling.py" >/dev/null
	docker exec --interactive "$(container one agent)" python3 /tmp/spelling.py send <"$BATS_TEST_TMPDIR/cases" >"$BATS_TEST_TMPDIR/statuses"
	python3 -B "$E2E_REPO/tests/e2e/spelling.py" check "$dir" "$BATS_TEST_TMPDIR/cases" "$BATS_TEST_TMPDIR/statuses" \
		"$(engine_upstream_log "$E2E_ENGINE")" "$since" >"$report"
	cat -- "$report"
	jq -e '.wrong == [] and .sent > 300 and .allowed > 40 and .arrived >= .allowed' "$report"
}

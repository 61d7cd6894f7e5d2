#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The file that `plan --out` writes and `apply` reads: what needs no running bottle.
# shellcheck disable=SC2154 # `run` sets stderr
bats_require_minimum_version 1.5.0

load lib

setup_file() { E2E_PARTS=engine e2e_engine_start; }
teardown_file() { e2e_engine_stop; }
setup() {
	e2e_setup
	PLAN=$BATS_TEST_TMPDIR/plan.json
}
teardown() { installations_end; }

apply() { "$BOTTLER" apply "$PLAN"; }
keep_plan() { run bottler_plan --out "$PLAN"; }
# Neither of another's reading nor half of one, and nothing is left beside it.
is_whole() {
	[ "$(stat -c '%F %a' "$PLAN")" = 'regular file 600' ]
	jq -e '.kind == "Plan"' "$PLAN"
	[ "$(find "$BATS_TEST_TMPDIR" -maxdepth 1 -name '.*' -type f | wc -l)" -eq 0 ]
}

@test "a plan is written over a regular file or nothing, whole and for its owner alone" {
	local odd
	keep_plan
	[ "$status" -eq 0 ]
	is_whole
	printf 'something else' >"$PLAN"
	chmod 0644 "$PLAN"
	keep_plan
	[ "$status" -eq 0 ]
	is_whole
	(cd "$BATS_TEST_TMPDIR" && PLAN=here.json keep_plan && [ "$status" -eq 0 ] && PLAN=here.json is_whole)
	ln -s "$PLAN" "$BATS_TEST_TMPDIR/link"
	mkfifo "$BATS_TEST_TMPDIR/fifo"
	mknod "$BATS_TEST_TMPDIR/null" c 1 3
	for odd in link fifo null manifests; do
		[ "$odd" != manifests ] || mkdir -- "$BATS_TEST_TMPDIR/$odd"
		stat -c '%F %i' "$BATS_TEST_TMPDIR/$odd" >"$BATS_TEST_TMPDIR/before"
		run bottler_plan --out "$BATS_TEST_TMPDIR/$odd"
		[ "$status" -eq 2 ]
		[[ $output == *"--out '$BATS_TEST_TMPDIR/$odd': expected the name of a regular file, or of none"* ]]
		[ "$(stat -c '%F %i' "$BATS_TEST_TMPDIR/$odd")" = "$(<"$BATS_TEST_TMPDIR/before")" ]
	done
	run bottler_plan --out "$BATS_TEST_TMPDIR/nowhere/plan"
	[ "$status" -eq 2 ]
	[[ $output == *"--out '$BATS_TEST_TMPDIR/nowhere/plan': No such file or directory"* ]]
	run bottler_plan --out "$BATS_TEST_TMPDIR/"
	[ "$status" -eq 2 ]
}

@test "a directory whose name is no UTF-8 is planned from, and its plan can't be applied" {
	local odd
	odd=$BATS_TEST_TMPDIR/$(printf 'odd-\xff')
	mkdir -- "$odd"
	run --separate-stderr bottler_plan --secrets "$odd" -o json
	[ "$status" -eq 0 ]
	jq -e '.options.secrets == null' <<<"$output"
	run --separate-stderr bottler_plan --state "$odd" --out "$PLAN"
	[ "$status" -eq 0 ]
	run --separate-stderr apply
	[ "$status" -eq 2 ]
	[[ $stderr == *"its options are not whole"* ]]
}

@test "what is no plan, of another format, or beside a running controller is refused" {
	printf '{"kind": "List"}\n' >"$PLAN"
	run --separate-stderr apply
	[ "$status" -eq 2 ]
	[[ $stderr == *"it is no plan"* ]]
	bottle one '.spec.suspend = true' | put one.yaml
	keep_plan
	jq '.format_version = "99"' "$PLAN" >"$PLAN.other" && mv "$PLAN.other" "$PLAN"
	run --separate-stderr apply
	[ "$status" -eq 2 ]
	[[ $stderr == *"99"*"plan again"* ]]
	keep_plan
	controller_start
	run --separate-stderr apply
	[ "$status" -eq 2 ]
	[[ $stderr == *"holds"* || $stderr == *"another"* ]] || { printf '%s\n' "$stderr"; return 1; }
}

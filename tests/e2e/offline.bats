#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Verbs that need no engine, as a person or a pipeline runs them.
# shellcheck disable=SC2154 # `run` sets stderr
bats_require_minimum_version 1.5.0

setup() {
	cd -- "$BATS_TEST_DIRNAME/../.." || return 1
	BOTTLER=${BOTTLER:-$PWD/build/bottler}
}

@test "every example is valid, and renders" {
	run --separate-stderr "$BOTTLER" validate examples
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	[[ $stderr == *"bottles"*"are valid"* ]]
	for file in examples/*.yaml; do
		while read -r name; do
			"$BOTTLER" render all "$file" --bottle "$name" | grep -q '^mode: strict$'
		done < <(sed -n 's/^  name: //p' "$file")
	done
}

@test "validate tells every error of every file in one run, with line and column, and exits 1" {
	cd tests/golden/validate || return 1
	mkdir "$BATS_TEST_TMPDIR/want"
	local total=0 file
	for file in *.yaml; do
		[ -e "${file%.yaml}.expected" ]
		run --separate-stderr "$BOTTLER" validate "$file"
		[ "$output" = "$(cat -- "${file%.yaml}.expected")" ] || { printf '%s\n' "$file" "$output" && return 1; }
		if [ -n "$output" ]; then
			[ "$status" -eq 1 ]
			total=$((total + 1))
		else
			[ "$status" -eq 0 ]
		fi
	done
	[ "$total" -ge 80 ]
	# Together: nothing hides behind the first broken file. (Duplicate names across the cases add lines.)
	run "$BOTTLER" validate .
	[ "$status" -eq 1 ]
	[ "${#lines[@]}" -ge "$total" ]
	! grep -vE '^[^:]+:[0-9]+:[0-9]+: ' <<<"$output"
}

@test "validate -o json is an array with the same findings" {
	run --separate-stderr "$BOTTLER" validate -o json tests/golden/validate/host-wildcard.yaml
	[ "$status" -eq 1 ]
	[ "$(jq -r '.[0] | "\(.line) \(.column) \(.field)"' <<<"$output")" != "null null null" ]
	jq -e 'all(.file and .message)' <<<"$output"
}

@test "render equals the golden files" {
	local dir n=0
	for dir in tests/golden/render/*/; do
		[ -e "$dir/pipelock.yaml" ] || continue
		diff -u "$dir/pipelock.yaml" <("$BOTTLER" render pipelock "$dir/bottle.yaml")
		diff -u "$dir/routes.yaml" <("$BOTTLER" render routes "$dir/bottle.yaml")
		n=$((n + 1))
	done
	[ "$n" -ge 14 ]
}

@test "the egress proxy's own parser takes every rendered routes.yaml" {
	/usr/bin/python3 tests/golden/render/check-routes.py tests/golden/render/*/routes.yaml
}

@test "validate and render hold manifests against a policy" {
	local cases=tests/golden/policy/judged dir n=0
	for dir in "$cases"/*/; do
		run --separate-stderr "$BOTTLER" validate --policy "$dir/policy.yaml" "$dir"/m-*.yaml
		[ "$status" -eq "$([ -s "$dir/expected" ] && echo 1 || echo 0)" ]
		diff -u <(sed "s|(policy|($dir/policy|" "$dir/expected") <(sed "s|^$dir/||" <<<"$output" | sed '/^$/d')
		n=$((n + 1))
	done
	[ "$n" -ge 10 ]
	run --separate-stderr "$BOTTLER" render routes --policy "$cases/digest/policy.yaml" "$cases/digest/m-one.yaml"
	[ "$status" -eq 1 ]
	[ -z "$output" ]
	[[ $stderr == *"asks for a digest"* ]]
	# A policy that can't be used is no verdict on the manifests.
	run --separate-stderr "$BOTTLER" validate --policy tests/golden/policy/file/unknown-keys.yaml examples
	[ "$status" -eq 2 ]
	[ -z "$output" ]
	[[ $stderr == *"unknown-keys.yaml:5:3: spec.mount: unknown field; did you mean 'mounts'?"*"has 8 faults"* ]]
	run "$BOTTLER" validate --policy <(printf 'apiVersion: bottler.dev/v1\nkind: Policy\nspec: {}\n') examples
	[ "$status" -eq 0 ]
	run "$BOTTLER" validate --policy nowhere.yaml examples
	[ "$status" -eq 2 ]
	# In the directory of manifests it is told where it belongs.
	run "$BOTTLER" validate "$cases/digest"
	[[ $output == *"expected Bottle or Grant, got 'Policy'; a policy is given with --policy"* ]]
}

@test "key order and letter case of hosts change no byte" {
	cat >"$BATS_TEST_TMPDIR/a.yaml" <<-'YAML'
		apiVersion: bottler.dev/v1
		kind: Bottle
		metadata: {name: order}
		spec:
		  agent: {image: example.com/a:1, user: "1:1", command: [x]}
		  egress:
		    allowlist: [Files.Example.com]
		    routes:
		      - {host: API.example.COM, methods: [GET], auth: {scheme: Bearer, token_ref: T}}
	YAML
	cat >"$BATS_TEST_TMPDIR/b.yaml" <<-'YAML'
		{"spec": {"egress": {"routes": [{"auth": {"token_ref": "T", "scheme": "Bearer"}, "methods": ["GET"],
		  "host": "api.example.com"}], "allowlist": ["files.example.com"]},
		  "agent": {"command": ["x"], "user": "1:1", "image": "example.com/a:1"}},
		  "metadata": {"name": "order"}, "kind": "Bottle", "apiVersion": "bottler.dev/v1"}
	YAML
	diff <("$BOTTLER" render all "$BATS_TEST_TMPDIR/a.yaml") <("$BOTTLER" render all "$BATS_TEST_TMPDIR/b.yaml")
	"$BOTTLER" render routes "$BATS_TEST_TMPDIR/b.yaml" | grep -q 'token_env: EGRESS_TOKEN_0'
	! "$BOTTLER" render all "$BATS_TEST_TMPDIR/a.yaml" | grep -q 'token_ref\|: T$'
}

@test "wrong usage exits 2 and says what was expected" {
	run "$BOTTLER"
	[ "$status" -eq 2 ]
	run "$BOTTLER" frobnicate
	[ "$status" -eq 2 ]
	[[ $output == *"no verb 'frobnicate'"* ]]
	run "$BOTTLER" run --manifests /nowhere
	[ "$status" -eq 2 ]
	[[ $output == *"--state DIR is missing"* ]]
	run "$BOTTLER" run --manifests . --state "$BATS_TEST_TMPDIR/s" --address-pool 8.8.8.0/24
	[ "$status" -eq 2 ]
	[[ $output == *"is not private"* ]]
	run "$BOTTLER" run --image agent=x
	[ "$status" -eq 2 ]
	run "$BOTTLER" render git-gate examples/sealed.yaml
	[ "$status" -eq 2 ]
	[[ $output == *"no git-gate"* ]]
}

@test "--help and --version go to stdout and exit 0" {
	run --separate-stderr "$BOTTLER" --help
	[ "$status" -eq 0 ]
	[[ $output == *"validate"* ]]
	run --separate-stderr "$BOTTLER" run --help
	[ "$status" -eq 0 ]
	[[ $output == *"--address-pool"* ]]
	run --separate-stderr "$BOTTLER" --version
	[[ $output =~ ^bottler\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
}

@test "explain knows each field that the schema has" {
	"$BOTTLER" schema | jq -e '.' >/dev/null
	run "$BOTTLER" explain spec.egress.routes
	[ "$status" -eq 0 ]
	[[ $output == *"host"* ]]
	run "$BOTTLER" explain policy.mounts.roots
	[ "$status" -eq 0 ]
	[[ $output == *"Policy"*"spec.mounts.roots"* ]]
	run "$BOTTLER" explain spec.nonsense
	[ "$status" -eq 2 ]
}

@test "get without a controller says how to start one" {
	run "$BOTTLER" get --socket "$BATS_TEST_TMPDIR/none.sock"
	[ "$status" -eq 1 ]
	[[ $output == *"none.sock"* ]]
}

@test "the build fails for a field without a class of change, with its path" {
	local copy=$BATS_TEST_TMPDIR/tree
	mkdir -p "$copy/build/release/tests" "$copy/tests"
	cp -a Makefile spec "$copy"
	cp -a tests/rig "$copy/tests"
	# What is built already, so that only the table is compiled anew.
	cp -a build/*.mk "$copy/build" || true
	cp -a build/release/spec build/release/libspec.a "$copy/build/release" || true
	sed -i 's/{EGRESS, "log", FIELD_INT, 0, CHANGE_RELOAD,/{EGRESS, "log", FIELD_INT,/' "$copy/spec/fields_table.c"
	! cmp -s spec/fields_table.c "$copy/spec/fields_table.c" || return 1
	run make -C "$copy" build/release/fields.ok
	[ "$status" -eq 2 ]
	[[ $output == *"spec/fields_table.c: these fields don't say what changing them costs"*"Bottle: spec.egress.log"* ]]
	[ ! -e "$copy/build/release/fields.ok" ]
	# And the program needs that check.
	make -n -B build/release/bottler | grep -q 'fields_check && touch build/release/fields.ok'
}

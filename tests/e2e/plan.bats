#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# `plan` says what `run` then does; `images build`; Ctrl-C.
# shellcheck disable=SC2154 # `run` sets stderr
bats_require_minimum_version 1.5.0

load lib

setup_file() { e2e_engine_start agent; }
teardown_file() { e2e_engine_stop; }
setup() { e2e_setup; }
teardown() { installations_end; }


# The changing steps of a plan, and of the controller's log, as "kind object".
planned() { jq -r '.bottles[].steps[] | select(.mutates) | .kind + " " + .object + (if .next then ".next" else "" end)' | sort; }
done_since() { tail -n "+$(($1 + 1))" "$(inst_dir)/log" | sed -n 's/.* step=\([^ ]*\) object=\([^ ]*\) .*/\1 \2/p' | sort; }

@test "plan names every change beforehand, changes nothing, and run does exactly that" {
	inst_make
	bottle one '.spec.egress.routes[0].auth = {scheme: "Bearer", token_ref: "ONE_TOKEN"}' >"$(manifests)/one.yaml"
	secret ONE_TOKEN one-secret-0123456789abcdef
	run --separate-stderr bottler_plan -o json
	[ "$status" -eq 1 ]
	[[ $output != *one-secret* ]]
	planned <<<"$output" >"$BATS_TEST_TMPDIR/planned"
	grep -qx "container.start $(container one agent)" "$BATS_TEST_TMPDIR/planned"
	nothing
	[ ! -e "$(inst_dir)/state/bottles/one" ]

	controller_start
	wait_ready one
	diff -u "$BATS_TEST_TMPDIR/planned" <(done_since 0)

	# Beside the running controller, and with nothing to do.
	run --separate-stderr bottler_plan
	[ "$status" -eq 0 ]
	[[ $output == *"no change"* ]]
}

@test "a route edit is planned as a reload of what it touches, an agent edit as a replacement of the agent" {
	controller_start
	bottle one >"$(manifests)/one.yaml"
	wait_ready one
	controller_stop
	bottle one '.spec.egress.routes[0].methods = ["GET", "PUT"]' >"$(manifests)/one.yaml"
	run --separate-stderr bottler_plan -o json
	[ "$status" -eq 1 ]
	[ "$(planned <<<"$output")" = "$(printf 'container.reload %s\ncontainer.upload %s\n' "$(container one egress)" "$(container one egress)")" ]

	bottle one '.spec.agent.env = {MARK: "2"}' >"$(manifests)/one.yaml"
	run --separate-stderr bottler_plan -o json
	planned <<<"$output" >"$BATS_TEST_TMPDIR/planned"
	# A controller that is new doesn't know whether the host is closed to the agent's network: it closes it again.
	run ! grep -v -e "$(container one agent)" -e "^guard\.[a-z]* $(container one guard)\$" "$BATS_TEST_TMPDIR/planned"
	grep -qx "container.create $(container one agent).next" "$BATS_TEST_TMPDIR/planned"
	local at
	at=$(wc -l <"$(inst_dir)/log")
	controller_start
	wait_ready one
	diff -u "$BATS_TEST_TMPDIR/planned" <(done_since "$at")
}

@test "SIGTERM ends bottler with 0 and leaves the bottle running" {
	controller_start
	bottle one >"$(manifests)/one.yaml"
	wait_ready one
	local before
	before=$(container_id one agent)
	controller_stop TERM
	grep -q 'the bottles run on' "$(inst_dir)/log"
	[ "$(container_id one agent)" = "$before" ]
	[ "$(docker inspect --format '{{.State.Running}}' "$before")" = true ]
}

@test "images build makes the egress image from its build context" {
	docker import "$E2E_IMAGES/.mitm.root.tar" e2e-base:1 >/dev/null
	run "$BOTTLER" images build --engine "$DOCKER_HOST" --context "$E2E_REPO/sidecars" --base e2e-base:1 --image egress=e2e-egress:1
	[ "$status" -eq 0 ]
	[ "$(docker image inspect --format '{{.Config.User}}' e2e-egress:1)" = 10001:10001 ]
	run "$BOTTLER" images build --engine "$DOCKER_HOST" --context /nowhere
	[ "$status" -eq 1 ]
	[[ $output == *"/nowhere"* ]]
}

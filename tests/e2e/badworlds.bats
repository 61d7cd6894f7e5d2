#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Bad worlds: a clear error, and no damage to what runs.

load lib

setup_file() { e2e_engine_start agent tiny root; }
teardown_file() { e2e_engine_stop; }
setup() { e2e_setup; }
teardown() {
	[ -z "${HELPER:-}" ] || kill "$HELPER" 2>/dev/null || true
	installations_end
	if mountpoint --quiet "$(inst_dir)/state"; then
		umount "$(inst_dir)/state"
	fi
	[ -z "${WORLD:-}" ] || rm -rf -- "$WORLD"
}

# once ARGUMENT...: `run --once` with the last ones of repeated options winning; output is kept.
once() {
	local arguments
	mapfile -t arguments < <(inst_run_arguments)
	run timeout 60 "$BOTTLER" "${arguments[@]}" --once "$@"
	printf '%s\n' "$output"
}

everything() { for role in agent egress pipelock; do container_started "$1" "$role"; done; }

@test "engine not running" {
	bottle one | put one.yaml
	once --engine "unix://$BATS_TEST_TMPDIR/no.sock"
	failed
	[[ $output == *"$BATS_TEST_TMPDIR/no.sock"* ]]
}

@test "socket without permission" {
	WORLD=$(mktemp -d /tmp/bottler-e2e.XXXXXX)
	mkdir -- "$WORLD/manifests" "$WORLD/state"
	bottle one >"$WORLD/manifests/one.yaml"
	ln -- "$BOTTLER" "$WORLD/bottler" 2>/dev/null || cp -- "$BOTTLER" "$WORLD/bottler"
	chmod 0755 -- "$WORLD" "$WORLD/bottler"
	chown -R 65534:65534 -- "$WORLD/manifests" "$WORLD/state"
	python3 "$E2E_REPO/tests/e2e/old_engine.py" "$WORLD/engine.sock" 3>&- &
	HELPER=$!
	wait_for 10 test -S "$WORLD/engine.sock"
	chmod 0600 -- "$WORLD/engine.sock"
	run timeout 60 setpriv --reuid 65534 --regid 65534 --clear-groups "$WORLD/bottler" run --once \
		--manifests "$WORLD/manifests" --state "$WORLD/state" --socket "$WORLD/state/socket" \
		--engine "unix://$WORLD/engine.sock"
	failed
	[[ $output == *"$WORLD/engine.sock"* ]]
	[[ ${output,,} == *permission* ]]
}

@test "engine too old" {
	local socket=$BATS_TEST_TMPDIR/old.sock
	python3 "$E2E_REPO/tests/e2e/old_engine.py" "$socket" 3>&- &
	HELPER=$!
	wait_for 10 test -S "$socket"
	bottle one | put one.yaml
	once --engine "unix://$socket"
	failed
	[[ $output == *1.24* && $output == *1.41* ]]
}

@test "manifests directory missing: nothing running is removed, and it is taken up again" {
	local before
	controller_start
	bottle one | put one.yaml
	wait_ready one
	before=$(everything one)
	mv -- "$(manifests)" "$(inst_dir)/away"
	wait_for 45 grep -q "$(manifests)" "$(inst_dir)/log"
	place=$(mark)
	wait_for 90 passed "$place" 2
	[ "$(everything one)" = "$before" ]
	mv -- "$(inst_dir)/away" "$(manifests)"
	bottle two | put two.yaml
	wait_ready two
	[ "$(everything one)" = "$before" ]
}

@test "manifests directory that is not there at the start" {
	rmdir -- "$(manifests)"
	once
	failed
	[[ $output == *"$(manifests)"* ]]
}

@test "address pool exhausted: the second bottle waits and says why, the first is untouched" {
	local before
	# Room for four networks; a bottle needs three.
	controller_start --address-pool 10.213.0.0/26
	bottle one | put one.yaml
	wait_ready one
	before=$(everything one)
	bottle two | put two.yaml
	wait_for 45 bottle_is two '[.status.conditions[] | select((.message | test("10\\.213\\.0\\.0/26")))] | length > 0'
	condition_says two Ready False
	[ "$(everything one)" = "$before" ]
	rm -- "$(manifests)/one.yaml"
	wait_for 90 none_of one
	wait_ready two 90
}

@test "secret missing, then empty, then there" {
	controller_start
	bottle one '.spec.egress.routes[0].auth = {scheme: "Bearer", token_ref: "ONE_TOKEN"}' | put one.yaml
	bottle two | put two.yaml
	wait_for 30 condition_says one SecretsResolved False ONE_TOKEN
	wait_ready two
	secret ONE_TOKEN ''
	wait_for 45 condition_says one SecretsResolved False ONE_TOKEN
	no_container one agent
	secret ONE_TOKEN one-secret-0123456789abcdef
	wait_ready one
	answers one 200 https://api.example.com/repos/acme/x
}

@test "image without a shell or anything else" {
	controller_start
	bottle one '.spec.agent |= (.image = env.BOTTLER_IMAGE_TINY | .command = ["/tiny"] | del(.user))' | put one.yaml
	wait_ready one
	[ "$(docker inspect --format '{{.Config.User}}' "$(container one agent)")" = 1000:1000 ]
}

@test "image whose user is root" {
	controller_start
	bottle one '.spec.agent |= (.image = env.BOTTLER_IMAGE_ROOT | .command = ["/tiny"] | del(.user))' | put one.yaml
	bottle two | put two.yaml
	wait_ready two
	# It says so and never runs as root; with a user in the manifest it comes up.
	wait_for 30 condition_says one Ready False root
	no_container one agent
	bottle one '.spec.agent |= (.image = env.BOTTLER_IMAGE_ROOT | .command = ["/tiny"] | .user = "1000:1000")' | put one.yaml
	wait_ready one
}

@test "container name taken by a stranger" {
	local stranger
	stranger=$(docker run --detach --name "$(container one agent)" "$BOTTLER_IMAGE_AGENT")
	controller_start
	bottle one | put one.yaml
	bottle two | put two.yaml
	wait_ready two
	wait_for 30 condition_says one Ready False "$(container one agent)"
	[ "$(docker inspect --format '{{.Id}} {{.State.Running}}' "$(container one agent)")" = "$stranger true" ]
	docker rm --force "$stranger"
	wait_ready one 90
}

@test "disk full while writing state" {
	local before
	mount -t tmpfs -o size=2m,mode=0700 e2e-state "$(inst_dir)/state"
	controller_start
	bottle one | put one.yaml
	wait_ready one
	before=$(everything one)
	dd if=/dev/zero of="$(inst_dir)/state/filler" bs=4096 status=none 2>/dev/null || true
	bottle two | put two.yaml
	wait_for 30 grep -qi 'no space' "$(inst_dir)/log"
	controller_alive
	answers one 200 https://api.example.com/repos/acme/x
	[ "$(everything one)" = "$before" ]
	rm -- "$(inst_dir)/state/filler"
	wait_ready two 90
	[ "$(everything one)" = "$before" ]
}

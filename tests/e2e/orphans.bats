#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Objects whose manifest went while nobody looked are removed; everybody else's stay.

load lib

setup_file() { e2e_engine_start agent; }
teardown_file() { e2e_engine_stop; }
setup() { e2e_setup; }
teardown() { installations_end; }

# Foreign objects, some of them named and labelled as if they were ours; their ids, to compare.
foreign_make() {
	docker network create foreign-net
	docker run --detach --name foreign --network foreign-net "$BOTTLER_IMAGE_AGENT"
	docker run --detach --name "$INST.one.other" "$BOTTLER_IMAGE_AGENT"
	docker run --detach --name foreign-labelled --label dev.bottler.bottle=one --label dev.bottler.role=agent \
		"$BOTTLER_IMAGE_AGENT"
	docker volume create foreign-volume
} >/dev/null
foreign() {
	docker inspect --format '{{.Id}} {{.State.StartedAt}}' foreign "$INST.one.other" foreign-labelled
	docker network inspect --format '{{.Id}}' foreign-net
	docker volume inspect --format '{{.CreatedAt}}' foreign-volume
}
some_objects() { [ "$(objects | grep -vc "$INST.one.other")" -ge "$1" ]; }
only_foreign() {
	local left
	left=$(objects | grep -v "$INST.one.other")
	[ -z "$left" ] || { printf '%s\n' "$left"; return 1; }
}

@test "killed with -9 in the middle of a bring-up, manifest deleted, started again: nothing of ours is left" {
	local before count
	foreign_make
	before=$(foreign)
	# After the first object, after some, and after most: three networks and three containers make a bottle.
	for count in 1 3 5; do
		controller_start
		bottle one | put one.yaml
		wait_for 60 some_objects "$count"
		controller_stop KILL
		rm -- "$(manifests)/one.yaml"
		some_objects 1
		controller_start
		wait_for 90 only_foreign
		controller_stop
	done
	[ "$(foreign)" = "$before" ]
}

@test "a second installation's bottles of the same name are left alone" {
	local theirs
	INST=other inst_make
	INST=other controller_start
	bottle one | INST=other put one.yaml
	INST=other wait_ready one
	theirs=$(INST=other; for role in agent egress pipelock; do container_started one "$role"; done)

	controller_start
	bottle one | put one.yaml
	wait_ready one
	controller_stop KILL
	rm -- "$(manifests)/one.yaml"
	controller_start
	wait_for 90 nothing
	[ "$(INST=other; for role in agent egress pipelock; do container_started one "$role"; done)" = "$theirs" ]
	INST=other is_ready one
}

@test "--once: converges, changes nothing when there is nothing to do, removes what has no manifest" {
	local arguments place
	mapfile -t arguments < <(inst_run_arguments)
	bottle one | put one.yaml
	run timeout 90 "$BOTTLER" "${arguments[@]}" --once
	[ "$status" -eq 0 ]
	[ -n "$(objects_of one)" ]
	place=$(mark)
	run timeout 90 "$BOTTLER" "${arguments[@]}" --once
	[ "$status" -eq 0 ]
	[ -z "$(changes_since "$place")" ] || { changes_since "$place"; false; }
	rm -- "$(manifests)/one.yaml"
	run timeout 90 "$BOTTLER" "${arguments[@]}" --once
	[ "$status" -eq 0 ]
	nothing
}

@test "nothing is an orphan while nobody knows what a broken file holds" {
	local arguments before
	mapfile -t arguments < <(inst_run_arguments)
	bottle one | put one.yaml
	run timeout 90 "$BOTTLER" "${arguments[@]}" --once
	[ "$status" -eq 0 ]
	before=$(for role in agent egress pipelock; do container_started one "$role"; done)
	# The last good manifest is lost, and the manifest is broken at the same time.
	: >"$(inst_dir)/state/bottles/one/manifest.yaml"
	printf 'spec: [\n' | put one.yaml
	run timeout 90 "$BOTTLER" "${arguments[@]}" --once
	[ "$status" -eq 1 ]
	[ "$(for role in agent egress pipelock; do container_started one "$role"; done)" = "$before" ]
	# Mended, it is as it was; gone, it is gone.
	bottle one | put one.yaml
	run timeout 90 "$BOTTLER" "${arguments[@]}" --once
	[ "$status" -eq 0 ]
	[ "$(for role in agent egress pipelock; do container_started one "$role"; done)" = "$before" ]
	rm -- "$(manifests)/one.yaml"
	run timeout 90 "$BOTTLER" "${arguments[@]}" --once
	[ "$status" -eq 0 ]
	nothing
}

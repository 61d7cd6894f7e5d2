#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Deletion on purpose, for objects that stand without a manifest: grace, breaker, approval, adoption. The bottles here are
# just the labelled containers of one, so no test needs a running agent.

load lib

setup_file() { E2E_PARTS=engine e2e_engine_start; }
teardown_file() { e2e_engine_stop; }
setup() {
	export BOTTLER_IMAGE_PIPELOCK=${BOTTLER_IMAGE_PIPELOCK:-example/pipelock:1} BOTTLER_IMAGE_AGENT=${BOTTLER_IMAGE_AGENT:-example/agent:1}
	e2e_setup
}
teardown() { installations_end; }

installation() { cat -- "$(inst_dir)/state/installation"; }

# Mints the installation without any bottle.
mint() {
	local arguments
	mapfile -t arguments < <(inst_run_arguments)
	timeout 60 "$BOTTLER" "${arguments[@]}" --once
}

# remains NAME...: an agent's container of each, as a crash leaves it behind. NAME:OTHER names it otherwise.
remains() {
	local name called
	for name in "$@"; do
		called=$INST.${name%%:*}.agent
		case $name in *:*) ;; *) name=$name:$called ;; esac
		docker create --name "${name#*:}" --label "dev.bottler.installation=$(installation)" --label "dev.bottler.bottle=${name%%:*}" \
			--label dev.bottler.role=agent --label dev.bottler.uid=0b9c9c3a-6d1f-4b8e-9a53-2f7d1f0e6c11 \
			--label "dev.bottler.self=$called" "$BOTTLER_IMAGE_EGRESS" true >/dev/null
	done
}

prune() { "$BOTTLER" prune --socket "$(inst_dir)/socket" "$@"; }
# state_of NAME: "held TooMany", of what is listed.
state_of() { prune -o json | jq -r --arg name "$1" '.items[] | select(.name == $name) | "\(.verdict) \(.reason)"'; }
state_is() { [ "$(state_of "$1")" = "$2" ] || { prune; return 1; }; }
# listed_are NAME...: these stand to be deleted, and no others. What has gone from the engine is listed until bottler has seen it.
listed_are() { prune -o json | json_holds --arg names "$*" '(.items | map(.name) | sort | join(" ")) == $names'; }
stands() { docker inspect "$INST.$1.agent" >/dev/null; }
event() { "$BOTTLER" events --socket "$(inst_dir)/socket" -o json | json_holds --arg reason "$1" --arg part "$2" \
	'[.items[] | select(.reason == $reason and (.message | contains($part)))] | length == 1'; }

@test "nothing goes before its grace, and a restart begins a new one" {
	mint
	remains a
	controller_start --delete-grace 24h
	wait_for 20 state_is a "waits null"
	prune -o json | json_holds '.items[0] | (.until | test("^20..-..-..T..:..:..Z$")) and (.message | contains("unless the manifest comes back"))
		and (.objects | length) == 1 and .objects[0].kind == "container" and .objects[0].name == "'"$INST"'.a.agent"
		and .objects[0].proof.self == "'"$INST"'.a.agent"'
	run prune
	[ "$status" -eq 1 ]
	[[ $output == *"$INST.a.agent"*"role agent"* ]]
	stands a
	controller_stop
	controller_start --delete-grace 1s
	wait_for 20 none_of a
	wait_for 20 listed_are
	run prune
	[ "$status" -eq 0 ]
	grep -q 'bottle=a event=NoManifest .* it is deleted at 20' "$(inst_dir)/log"
}

@test "more than half, or more than five: held until approved, also over a restart" {
	mint
	remains a b c
	controller_start --delete-grace 1s --max-deletes 5,50%
	wait_for 20 state_is a "held TooMany"
	state_is b "held TooMany"
	condition_says c PruneHeld True 'TooMany 3 of 3 bottles have gone together, and --max-deletes lets 5 and 50 % go'
	condition_says c Ready False PruneHeld
	controller_stop KILL
	controller_start --delete-grace 1s --max-deletes 5,50%
	wait_for 20 state_is a "held TooMany"
	# One by its name, by itself; then the others.
	run prune --approve b nobody
	[ "$status" -eq 1 ]
	[[ $output == *"bottle/b approved"* && $output == *"'nobody' is not approved: it is not to be deleted"* ]]
	wait_for 20 none_of b
	wait_for 20 listed_are a c
	stands a
	stands c
	run prune --approve
	[ "$status" -eq 0 ]
	[ "$(sort <<<"$output")" = "$(printf '%s\n' 'bottle/a approved' 'bottle/c approved')" ]
	wait_for 20 nothing
	wait_for 20 listed_are
	run prune --approve
	[ "$status" -eq 0 ]
	[[ $output == *"nothing is to be deleted"* ]]
}

@test "what has come back in the moment before isn't approved" {
	mint
	remains a
	controller_start --delete-grace 24h
	wait_for 20 state_is a "waits null"
	bottle a '.spec.suspend = true' >"$BATS_TEST_TMPDIR/a.yaml"
	# A file that isn't closed is looked at after a second.
	exec 7>"$(inst_dir)/manifests/a.yaml"
	cat -- "$BATS_TEST_TMPDIR/a.yaml" >&7
	run prune --approve a
	exec 7>&-
	printf '%s\n' "$output"
	[ "$status" -eq 1 ]
	[[ $output == *"'a' is not approved: it is not to be deleted: a manifest wants it"* ]]
	stands a
}

@test "the last one goes by itself, and no number is too small to hold it" {
	mint
	remains a
	controller_start --delete-grace 0s --max-deletes 5,50%
	wait_for 20 nothing
	controller_stop
	remains a
	controller_start --delete-grace 0s --max-deletes 0
	wait_for 20 state_is a "held TooMany"
	stands a
	run prune --approve --dry-run
	[ "$status" -eq 2 ]
	run prune a -o json
	[ "$status" -eq 1 ]
	run prune nobody
	[ "$status" -eq 1 ]
	[[ $output == *"'nobody' is not to be deleted"* ]]
}

@test "plan says what would go, when, and what is held" {
	local dir
	dir=$(inst_dir)
	mint
	remains a
	planned() { "$BOTTLER" plan --manifests "$dir/manifests" --state "$dir/state" --engine "$DOCKER_HOST" --instance "$INST" "$@"; }
	run planned
	[ "$status" -eq 1 ]
	[[ $output == *"container.remove"*"$INST.a.agent"*"would be deleted after 30s, unless the manifest comes back"* ]]
	remains b c
	run planned --delete-grace 5m
	[ "$status" -eq 1 ]
	[[ $output == *"held: TooMany: 3 of 3 bottles"* && $output != *container.remove* ]]
	run planned -o json --max-deletes 100%
	jq -e '.bottles | length == 3 and all(.[]; .deletion.verdict == "due" and .deletion.graceSeconds == 30 and .held == null and .changes)' <<<"$output"
	run planned --max-deletes 5,500%
	[ "$status" -eq 2 ]
	[[ $output == *"--max-deletes '5,500%': expected a number, a share, or both"* ]]
	run planned --delete-grace 30
	[ "$status" -eq 2 ]
	[[ $output == *"--delete-grace '30': expected seconds, minutes or hours"* ]]
}

@test "--once waits for the grace, and ends with 1 when something is held" {
	local arguments
	mapfile -t arguments < <(inst_run_arguments)
	mint
	remains a
	run timeout 60 "$BOTTLER" "${arguments[@]}" --once --delete-grace 2s --max-deletes 5,50%
	[ "$status" -eq 0 ]
	nothing
	remains a b
	run timeout 60 "$BOTTLER" "${arguments[@]}" --once --delete-grace 0s --max-deletes 5,50%
	[ "$status" -eq 1 ]
	[[ $output == *"event=PruneHeld"*"2 of 2 bottles"* ]]
	stands a
	stands b
}

@test "what was renamed by hand is told of and left alone; adopted it is ours again, forgotten it is quiet" {
	local id other
	mint
	remains a:renamed
	docker create --name half --label "dev.bottler.installation=$(installation)" --label dev.bottler.bottle=a "$BOTTLER_IMAGE_EGRESS" true >/dev/null
	docker network create --label "dev.bottler.installation=$(installation)" --label dev.bottler.bottle=a --label dev.bottler.role=net-agent \
		--label dev.bottler.uid=x --label "dev.bottler.self=$INST.a.agent" halfnet >/dev/null
	id=$(docker inspect --format '{{.Id}}' renamed)
	controller_start --delete-grace 24h
	wait_for 20 event OrphanFound "it is named 'renamed', and its labels say '$INST.a.agent'"
	event OrphanFound "container 'half'"
	event OrphanFound "has no label dev.bottler.role"
	bottler_get | json_holds --arg id "$id" '.controller.orphans | length == 3 and any(.[]; .id == $id and .kind == "container" and .bottle == "a")'
	run prune
	[ "$status" -eq 0 ] # none of them is to be deleted
	[[ $output == *ORPHANS*"container renamed "* ]]

	adopt() { "$BOTTLER" adopt --socket "$(inst_dir)/socket" "$@"; }
	forget() { "$BOTTLER" forget --socket "$(inst_dir)/socket" "$@"; }
	run adopt half
	[ "$status" -eq 4 ]
	[[ $output == *"container 'half' can't be adopted: it has no label dev.bottler.role, and labels can't be changed"* ]]
	run adopt halfnet
	[ "$status" -eq 4 ]
	[[ $output == *"only containers can be renamed"* ]]
	run adopt nobody
	[ "$status" -eq 1 ]
	[[ $output == *"no orphan is called 'nobody'"* ]]
	# Its name is taken by somebody whom the lists don't show: the engine says so.
	docker create --name "$INST.a.agent" "$BOTTLER_IMAGE_EGRESS" true >/dev/null
	run adopt "${id:0:12}"
	[ "$status" -eq 1 ]
	[[ $output == *"is already in use"* ]]
	docker rm "$INST.a.agent" >/dev/null
	run adopt renamed
	[ "$status" -eq 0 ]
	[ "$(docker inspect --format '{{.Name}}' "$id")" = "/$INST.a.agent" ]
	wait_for 20 state_is a "waits null"
	event Adopted "container 'renamed' is '$INST.a.agent' again"

	run forget half
	[ "$status" -eq 0 ]
	run forget halfnet
	[ "$status" -eq 0 ]
	bottler_get | json_holds '.controller.orphans == []'
	# It stays forgotten, for as long as there is anything to forget.
	controller_stop
	: >"$(inst_dir)/log"
	controller_start --delete-grace 24h
	wait_for 20 state_is a "waits null"
	bottler_get | json_holds '.controller.orphans == []'
	absent OrphanFound "$(inst_dir)/log"
	docker rm half >/dev/null
	docker network rm halfnet >/dev/null
	forgotten_nothing() { [ ! -e "$(inst_dir)/state/forgotten.json" ]; }
	wait_for 60 forgotten_nothing
	other=$(docker inspect --format '{{.Id}}' "$INST.a.agent")
	[ "$other" = "$id" ]
}

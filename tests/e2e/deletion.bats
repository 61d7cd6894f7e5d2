#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Bottles are never deleted by accident, and always on purpose. prune.bats has what needs no running bottle.

load lib

setup_file() { e2e_engine_start tiny; }
teardown_file() { e2e_engine_stop; }
setup() { e2e_setup; }
teardown() {
	installations_end
	while mountpoint --quiet "$(manifests)"; do umount "$(manifests)" || break; done
}

prune() { "$BOTTLER" prune --socket "$(inst_dir)/socket" "$@"; }
small() { bottle "$1" '.spec.agent |= (.image = env.BOTTLER_IMAGE_TINY | .command = ["/tiny"] | del(.user))'"${2:-}"; }
# ours NAME...: what must not change.
ours() {
	local name role
	for name in "$@"; do
		for role in agent egress pipelock; do container_started "$name" "$role"; done
	done
}
same() { [ "$1" = "$2" ] || { diff <(echo "$1") <(echo "$2"); tail -n 80 -- "$(inst_dir)/log"; return 1; }; }
held() { condition_says "$1" PruneHeld True "$2"; }
event() { "$BOTTLER" events --socket "$(inst_dir)/socket" -o json |
	json_holds --arg reason "$1" --arg part "$2" 'any(.items[]; .reason == $reason and (.message | contains($part)))'; }
running() { docker inspect --format '{{.State.Running}}' "$(container "$1" "$2")"; }
is_stopped() { [ "$(for role in agent egress pipelock; do running "$1" "$role"; done | sort -u)" = false ]; }

@test "an empty listing, an unmounted directory, rm -rf of it: nothing is deleted; then approved, all is" {
	local before name
	mount -t tmpfs none "$(manifests)"
	for name in a b c; do small "$name" | put "$name.yaml"; done
	# Long enough for a busy machine to see it wait.
	controller_start --delete-grace 10s --max-deletes 5,50%
	for name in a b c; do wait_ready "$name" 90; done
	before=$(ours a b c)

	# Restored within the grace: as if nothing had been.
	mv -- "$(manifests)/a.yaml" "$(inst_dir)/a.yaml"
	wait_for 20 condition_says a SpecAccepted False "Removed its manifest is gone; it is deleted at 20"
	mv -- "$(inst_dir)/a.yaml" "$(manifests)/a.yaml"
	wait_for 20 event DeletionCancelled "its manifest is back"
	wait_ready a

	# An empty listing.
	rm -- "$(manifests)"/*.yaml
	for name in a b c; do wait_for 40 held "$name" "TooMany 3 of 3 bottles have gone together"; done
	same "$before" "$(ours a b c)"
	# That others come back releases nobody, nor does a new start.
	for name in b c; do small "$name" | put "$name.yaml"; done
	for name in b c; do wait_ready "$name"; done
	held a "TooMany 3 of 3 bottles have gone together"
	controller_stop KILL
	controller_start --delete-grace 0s --max-deletes 5,50%
	wait_for 20 held a "TooMany it had gone together with more than --max-deletes lets go"
	same "$before" "$(ours a b c)"
	small a | put a.yaml
	for name in a b c; do wait_ready "$name"; done

	# Unmounted: not even tombstones that wait, also for a controller that wasn't there when it happened.
	controller_stop
	umount "$(manifests)"
	controller_start --delete-grace 5s --max-deletes 1000,100%
	for name in a b c; do wait_for 20 held "$name" "SourceReplaced '$(manifests)' is empty and is not the directory"; done
	event SourceReplaced "nothing is deleted for it"
	same "$before" "$(ours a b c)"

	# Mounted again, and unmounted while the controller runs.
	mount -t tmpfs none "$(manifests)"
	for name in a b c; do small "$name" | put "$name.yaml"; done
	for name in a b c; do wait_ready "$name"; done
	umount "$(manifests)"
	for name in a b c; do wait_for 30 held "$name" SourceReplaced; done
	same "$before" "$(ours a b c)"
	for name in a b c; do small "$name" | put "$name.yaml"; done
	for name in a b c; do wait_ready "$name"; done

	# The whole directory.
	rm -rf -- "$(manifests)"
	gone() { prune -o json | json_holds '(.items | length) == 3 and all(.items[]; .reason == "SourceMissing" and .verdict == "held" and (.objects | length) >= 6)'; }
	wait_for 30 gone
	controller_stop # a new start doesn't know more
	controller_start --delete-grace 5s --max-deletes 1000,100%
	wait_for 30 gone
	same "$before" "$(ours a b c)"
	run prune --approve a
	[ "$status" -eq 4 ]
	same "$before" "$(ours a b c)"
	run prune --approve
	printf '%s\n' "$output"
	[ "$status" -eq 0 ]
	[ "$(sort <<<"$output")" = "$(printf 'bottle/%s approved\n' a b c)" ]
	wait_for 60 nothing

	# The same once more, and a legitimate last one.
	mkdir -- "$(manifests)"
	small a | put a.yaml
	wait_ready a
	rm -- "$(manifests)/a.yaml"
	wait_for 60 nothing
}

@test "a bottle in its grace, or held, is repaired as ever; a restart begins the grace anew" {
	local id
	small a | put a.yaml
	controller_start --delete-grace 24h
	wait_ready a 90
	rm -- "$(manifests)/a.yaml"
	wait_for 20 condition_says a Ready False "Removed no manifest wants it; it is deleted at 20"
	id=$(container_id a egress)
	docker rm --force "$id" >/dev/null
	replaced() { [ "$(container_id a egress)" != "$id" ] && [ "$(running a egress)" = true ] && condition_says a PolicyEffective True; }
	wait_for 60 replaced
	[ "$(running a agent)" = true ]
	controller_stop KILL
	controller_start --delete-grace 1s
	wait_for 60 nothing
}

@test "suspended, and renamed: held until asked for by name; preserved: stopped and kept" {
	local agent
	small a '| .spec.suspend = false' | put a.yaml
	small keep '| .spec.preserve = true | .spec.agent.env = {A: "1"}' | put keep.yaml
	controller_start --delete-grace 1s --max-deletes 5
	wait_ready a 90
	wait_ready keep 90
	small a '| .spec.suspend = {reason: "audit"}' | put a.yaml
	wait_for 20 condition_says a Suspended True audit
	rm -- "$(manifests)/a.yaml"
	wait_for 20 held a "Suspended it is suspended"
	run prune --approve
	printf '%s\n' "$output"
	[ "$status" -eq 4 ]
	[[ $output == *"'a' is not approved: it is suspended"* ]]
	[ "$(running a agent)" = true ]

	# Preserved: first the grace, then it is stopped, agent first; what is stopped is no drift.
	agent=$(container_id keep agent)
	rm -- "$(manifests)/keep.yaml"
	wait_for 40 held keep "Preserved spec.preserve: it is stopped and kept"
	wait_for 60 is_stopped keep
	[ "$(container_id keep agent)" = "$agent" ]
	small keep '| .spec.preserve = true | .spec.agent.env = {A: "1"}' | put keep.yaml
	wait_ready keep
	[ "$(container_id keep agent)" = "$agent" ]
	rm -- "$(manifests)/keep.yaml"
	wait_for 60 is_stopped keep
	# A new start leaves it stopped.
	controller_stop
	place=$(mark)
	controller_start --delete-grace 1s --max-deletes 5
	wait_for 20 held keep "Preserved"
	wait_for 20 held a "Suspended"
	[ -z "$(changes_since "$place" | grep -v attest)" ] || { changes_since "$place"; false; }
	is_stopped keep
	run prune --approve keep
	[ "$status" -eq 0 ]
	wait_for 60 none_of keep
	run prune --approve a
	[ "$status" -eq 0 ]
	wait_for 60 nothing

	# Renamed in the manifest: the new one comes up, the old one stays until somebody decides.
	small old | put one.yaml
	wait_ready old 90
	agent=$(container_started old agent)
	small new | put one.yaml
	wait_for 20 held old "MoveOffered looks like a rename to 'new'"
	event MoveOffered "\`bottler prune --approve old\`"
	wait_ready new 90
	[ "$(container_started old agent)" = "$agent" ]
	# Neither an edit of the new one nor a new start says anything about the old one.
	small new '| .metadata.labels = {team: "platform"}' | put one.yaml
	edited() { [ "$(generation new)" -eq 2 ]; }
	wait_for 20 edited
	held old "MoveOffered looks like a rename to 'new'"
	controller_stop
	controller_start --delete-grace 1s --max-deletes 5
	wait_for 20 held old "MoveOffered looks like a rename to 'new'"
	wait_ready new
	[ "$(container_started old agent)" = "$agent" ]
	run prune --approve old
	[ "$status" -eq 0 ]
	wait_for 60 none_of old
	is_ready new
	rm -- "$(manifests)/one.yaml"
	wait_for 60 nothing
}

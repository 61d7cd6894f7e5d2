#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Where manifests come from: several directories, subdirectories, and directories that are swapped as a whole. The bottles
# are suspended: nothing of them has to run.
# shellcheck disable=SC2016 # jq's variables

load lib

setup_file() { E2E_PARTS=engine e2e_engine_start; }
teardown_file() { e2e_engine_stop; }
setup() { e2e_setup; }
teardown() { installations_end; }

# parked NAME STEP: a suspended bottle that carries a label.
parked() { bottle "$1" ".spec.suspend = true | .metadata.labels = {step: \"$2\"}"; }

# at_step NAME STEP GENERATION [FILTER]
at_step() {
	bottle_is "$1" ".metadata.labels.step == \"$2\" and .metadata.generation == $3 and (${4:-true})"
}

told() {
	"$BOTTLER" events --socket "$(inst_dir)/socket" -o json | json_holds "[.items[] | select($1)] | length == ${2:-1}"
}

# Its manifest is known to be gone, whatever becomes of the bottle then.
not_wanted() {
	bottler_get | json_holds --arg name "$1" '[.items[] | select(.metadata.name == $name) | .status.conditions[]
		| select(.type == "SpecAccepted" and (.reason == "Accepted" or .reason == "SourceUnreadable"))] == []'
}

@test "the first directory has priority, and says so" {
	local second
	second=$(inst_dir)/second
	mkdir -- "$second"
	parked one first | put one.yaml
	parked one second >"$second/one.yaml"
	parked two second >"$second/two.yaml"
	controller_start --manifests "$second"
	wait_for 20 at_step one first 1
	wait_for 20 at_step two second 1
	condition_says one SpecAccepted True "also in $second/one.yaml:5:13, which has less priority"
	told '.bottle == "one" and .reason == "AlsoDefined" and .count == 1'
	# Two in one directory are none.
	parked two third >"$second/two-again.yaml"
	wait_for 20 condition_says two SpecAccepted False "$second/two-again.yaml"
	at_step two second 1
	rm -- "$second/two-again.yaml"
	wait_for 20 condition_says two SpecAccepted True
	# What had priority goes: what is left counts.
	rm -- "$(manifests)/one.yaml"
	wait_for 20 at_step one second 2
	told '.bottle == "one" and .reason == "AlsoDefined"'
}

@test "a directory that is missing is unknown, and the others go on" {
	local second
	second=$(inst_dir)/second
	mkdir -p -- "$second/sub"
	parked one 1 | put one.yaml
	parked two 1 >"$second/two.yaml"
	parked one hidden >"$second/sub/one.yaml"
	controller_start --manifests "$second"
	wait_for 20 at_step one 1 1
	wait_for 20 at_step two 1 1
	mv -- "$second" "$second.away"
	wait_for 30 condition_says two SpecAccepted Unknown "$second"
	bottler_get | json_holds --arg dir "$second" '.controller.problem | contains($dir)'
	parked one 2 | put one.yaml
	parked three 1 | put three.yaml
	wait_for 20 at_step one 2 2
	wait_for 20 at_step three 1 1
	rm -- "$(manifests)/three.yaml"
	wait_for 20 not_wanted three
	at_step two 1 1
	# The first one too, in a start without it: what the second says of `one` doesn't step in.
	controller_stop
	mv -- "$second.away" "$second"
	mv -- "$(manifests)" "$(inst_dir)/away"
	controller_start --manifests "$second"
	wait_for 20 condition_says one SpecAccepted Unknown "$(manifests)"
	wait_for 20 condition_says two SpecAccepted True
	at_step one 2 2
	mv -- "$(inst_dir)/away" "$(manifests)"
	wait_for 20 condition_says one SpecAccepted True
	at_step one 2 2
	bottler_get | json_holds '.controller.problem == null'
}

# switch TARGET LINK, as git-sync and kubelet do it.
switch() { ln -s -- "$1" "$2.new" && mv -T -- "$2.new" "$2"; }

@test "a swapped directory is one snapshot, with its revision" {
	local dir i
	dir=$(inst_dir)
	mkdir -p -- "$dir/trees/aaa" "$dir/trees/bbb" "$dir/volume/..v1"
	for i in 1 2 3; do
		parked "one-$i" a >"$dir/trees/aaa/$i.yaml"
		parked "one-$i" b >"$dir/trees/bbb/$i.yaml"
	done
	parked two v1 >"$dir/volume/..v1/two.yaml"
	ln -s ..v1 "$dir/volume/..data"
	ln -s ..data/two.yaml "$dir/volume/two.yaml"
	switch trees/aaa "$dir/current"
	parked three x | put three.yaml
	controller_start --manifests "$dir/current" --manifests "$dir/volume"
	for i in 1 2 3; do
		wait_for 20 at_step "one-$i" a 1 '.metadata.source.revision == "aaa"'
	done
	wait_for 20 at_step two v1 1 '.metadata.source.revision == "..v1"'
	wait_for 20 at_step three x 1 '.metadata.source.revision == null'

	switch trees/bbb "$dir/current"
	cp -r -- "$dir/volume/..v1" "$dir/volume/..v2"
	parked two v2 >"$dir/volume/..v2/two.yaml"
	switch ..v2 "$dir/volume/..data"
	for i in 1 2 3; do
		wait_for 20 at_step "one-$i" b 2 '.metadata.source.revision == "bbb"'
	done
	wait_for 20 at_step two v2 2 '.metadata.source.revision == "..v2"'
	rm -r -- "$dir/trees/aaa" "$dir/volume/..v1"

	run "$BOTTLER" get -o wide --socket "$dir/socket"
	[ "$status" -eq 0 ]
	[[ ${lines[0]} == *"SOURCE  REVISION  MESSAGE" ]]
	[[ $output == *"/current/1.yaml  bbb  "* && $output == *"/three.yaml  -  "* ]]
}

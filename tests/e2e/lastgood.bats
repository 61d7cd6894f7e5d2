#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A manifest that breaks, in whatever way, leaves its bottle exactly as it runs.

load lib

setup_file() { e2e_engine_start; }
teardown_file() { e2e_engine_stop; }
setup() { e2e_setup; }
teardown() { installations_end; }

# manifest NAME: with its name at the end, so that a beginning of it can be a manifest of another bottle.
manifest() {
	cat <<END
apiVersion: bottler.dev/v1
kind: Bottle
spec:
  agent:
    image: $BOTTLER_IMAGE_AGENT
    pull_policy: never
    command:
    - sleep
    - infinity
    user: "1000:1000"
    env:
      LOG_LEVEL: debug
      TOKEN: \${ONE_TOKEN}
  egress:
    allowlist:
    - files.example.org
    routes:
    - host: api.example.com
      path_allowlist:
      - /repos/acme/
      methods:
      - GET
metadata:
  labels:
    team: platform
  name: $1
END
}

everything() { for role in agent egress pipelock; do container_started "$1" "$role"; done; }

# The bottle runs, and nothing has been asked of the engine since the mark but to tell how things are.
untouched() {
	local name=$1 before=$2 place=$3
	[ "$(everything "$name")" = "$before" ] || return 1
	[ -z "$(changes_since "$place")" ] || { changes_since "$place"; return 1; }
}

listings() { bottler_get | jq -er .controller.source.listings; }
listed_since() { [ "$(listings)" -gt "$1" ]; }

running() {
	secret ONE_TOKEN one-secret-0123456789abcdef
	manifest one | put one.yaml
	wait_ready one
}

@test "cut after every byte, the agent runs on" {
	local before place
	controller_start
	running
	before=$(everything one)
	place=$(mark)
	run python3 "$BATS_TEST_DIRNAME/lastgood.py" "$(inst_dir)/socket" "$(manifests)/one.yaml" one
	printf '%s\n' "$output"
	[ "$status" -eq 0 ]
	[ "$output" = "$(($(manifest one | wc -c) + 1)) 0 0" ]
	untouched one "$before" "$place"
	wait_for 20 is_ready one
	# The truth is told of it: the last line gone is a whole manifest of no bottle, half a name one of another bottle.
	manifest one | head -n -1 >"$(manifests)/one.yaml"
	wait_for 20 condition_says one SpecAccepted False metadata.name
	manifest one | head -c -2 >"$(manifests)/one.yaml"
	wait_for 20 condition_says one SpecAccepted Unknown "HalfWritten"
	untouched one "$before" "$place"
	# So it is for a bottler that starts with the cut file in its place.
	controller_stop KILL
	controller_start
	wait_for 20 condition_says one SpecAccepted Unknown "HalfWritten"
	[ "$(everything one)" = "$before" ]
	manifest one | put one.yaml
	wait_for 20 is_ready one
	untouched one "$before" "$place"
}

# broken STATUS TEXT: after a listing, SpecAccepted says so and nothing has moved; then the manifest comes back.
broken() {
	wait_for 20 listed_since "$LISTED"
	wait_for 20 condition_says one SpecAccepted "$1" "$2"
	untouched one "$BEFORE" "$PLACE"
	replace manifest one
	wait_for 20 condition_says one SpecAccepted True
	untouched one "$BEFORE" "$PLACE"
	LISTED=$(listings)
}

# replace COMMAND...: what it prints, or makes under the name in $PUT, takes the manifest's place while bottler doesn't look:
# it is another thing now, not removed and made again.
replace() {
	local file
	file=$(manifests)/one.yaml
	PUT=$BATS_TEST_TMPDIR/put
	"$@" >"$BATS_TEST_TMPDIR/printed"
	[ -e "$PUT" ] || [ -L "$PUT" ] || mv -- "$BATS_TEST_TMPDIR/printed" "$PUT"
	controller_signal STOP
	rm -rf -- "$file"
	mv -- "$PUT" "$file"
	controller_signal CONT
}
make_directory() { mkdir -- "$PUT"; }
make_fifo() { mkfifo -- "$PUT"; }
make_link() { ln -s -- "$1" "$PUT"; }

@test "anything else in the manifest's place, the agent runs on" {
	local file
	file=$(manifests)/one.yaml
	controller_start
	running
	manifest two | put two.yaml
	wait_ready two
	BEFORE=$(everything one)
	PLACE=$(mark)
	LISTED=$(listings)

	: >"$file"
	broken False "one.yaml:1:1: the file is empty"
	printf 'apiVersion: [\n' >"$file"
	broken False "one.yaml:2:1"
	manifest one | gzip --no-name >"$file"
	broken False "not text in UTF-8"
	{ manifest one && head -c 1048576 /dev/zero | tr '\0' '#'; } >"$file"
	broken False "one.yaml"
	replace make_directory
	broken Unknown "one.yaml is a directory"
	replace make_fifo
	broken Unknown "not a regular file"
	manifest one | sed 's/debug/info/' >"$BATS_TEST_TMPDIR/outside.yaml"
	replace make_link "$BATS_TEST_TMPDIR/outside.yaml"
	broken Unknown "a symlink that leaves the directory"
	replace make_link nowhere.yaml
	broken Unknown "a symlink that ends nowhere"
	# root reads it all the same.
	chmod 0000 -- "$file"
	broken True "one.yaml"
	# Another bottle's content: two is there twice, and one nowhere.
	manifest two >"$file"
	wait_for 20 condition_says two SpecAccepted False "one.yaml"
	broken Unknown "metadata.name: bottle 'two' is also defined at"
	wait_for 20 condition_says two SpecAccepted True
	# Its own, twice.
	manifest one | put again.yaml
	wait_for 20 condition_says one SpecAccepted False "again.yaml"
	rm -- "$(manifests)/again.yaml"
	wait_for 20 condition_says one SpecAccepted True
	LISTED=$(listings)
	# A parent that isn't there, and a circle.
	manifest one | sed 's/^spec:/spec:\n  extends: nobody/' >"$file"
	broken False "there is no bottle 'nobody'"
	manifest one | sed 's/^spec:/spec:\n  extends: one/' >"$file"
	broken False "a bottle can't extend itself"
	# Moved into a file that is another's, and broken in that moment.
	{ manifest two && printf -- '---\n' && manifest one && printf 'x: [\n'; } >"$BATS_TEST_TMPDIR/both.yaml"
	mv -- "$BATS_TEST_TMPDIR/both.yaml" "$(manifests)/two.yaml"
	rm -- "$file"
	wait_for 20 condition_says one SpecAccepted Unknown "two.yaml"
	manifest one | put one.yaml
	wait_for 20 condition_says one SpecAccepted True
	manifest two | put two.yaml
	wait_for 20 condition_says two SpecAccepted True
	untouched one "$BEFORE" "$PLACE"
	# A secret that is gone.
	rm -- "$(inst_dir)/secrets/ONE_TOKEN"
	wait_for 45 condition_says one SecretsResolved False ONE_TOKEN
	untouched one "$BEFORE" "$PLACE"
	secret ONE_TOKEN one-secret-0123456789abcdef
	wait_for 45 condition_says one SecretsResolved True
	untouched one "$BEFORE" "$PLACE"
}

# Of its last good generation, with another egress than $1: not yet what it was before that went.
repaired() { local id && id=$(container_id one egress) && [ "$id" != "$1" ] && bottle_is one 'condition("Ready").status == "True"'; }

@test "a broken manifest at the start: what ran goes on being kept" {
	local before place egress
	controller_start
	running
	before=$(everything one)
	controller_stop
	printf 'kind: {\n' >"$(manifests)/one.yaml"
	place=$(mark)
	controller_start
	wait_for 20 condition_says one SpecAccepted False "one.yaml:2:1"
	[ "$(generation one)" -eq 1 ]
	untouched one "$before" "$place"
	# Kept means repaired too.
	egress=$(container_id one egress)
	docker rm --force "$egress" >/dev/null
	wait_for 60 repaired "$egress"
	[ "$(everything one | head -n 1)" = "$(head -n 1 <<<"$before")" ]
	answers one 200 https://files.example.org/
}

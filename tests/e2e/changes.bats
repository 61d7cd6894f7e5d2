#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Every field of the schema, edited on a running bottle: the containers that are replaced, reloaded, updated or left alone are
# those that its class says. change_edits.json has an edit for each field; `bottler explain -o json` has the class.

load lib

EDITS=$E2E_REPO/tests/e2e/change_edits.json
RUNNERS=4 # bottles that are edited at the same time, a field each

# The first test needs no engine; where there is none, it is the only one.
setup_file() {
	e2e_engine_start agent
	export E2E_ROOT=$BATS_FILE_TMPDIR
	export OTHER_IMAGE=bottler-test/agent:other
	inst_make
	mkdir -p -- "$E2E_ROOT/one" "$E2E_ROOT/two"
	[ -z "${E2E_SKIP:-}" ] || return 0
	docker commit --change 'LABEL other=yes' "$(docker create "$BOTTLER_IMAGE_AGENT" true)" "$OTHER_IMAGE" >/dev/null
	docker ps --all --quiet | xargs -r docker rm >/dev/null
	secret ONE first-secret-0123456789abcdef
	secret TWO other-secret-0123456789abcdef
	local number
	jq -n '{apiVersion: "bottler.dev/v1", kind: "Bottle", metadata: {name: "parent", labels: {from: "parent"}}, spec: {abstract: true}}' |
		put parent.yaml
	for ((number = 0; number < RUNNERS; number++)); do
		full "runner-$number" | put "runner-$number.yaml"
	done
	full named | put named.yaml
	full abstracted | put abstracted.yaml
	controller_start
	wait_for 120 all_settled
}
teardown_file() {
	[ -n "${E2E_SKIP:-}" ] || controller_stop
	e2e_engine_stop
}

# A manifest in which every field that can stand beside the others is set.
full() {
	jq -n --arg name "$1" --arg image "${BOTTLER_IMAGE_AGENT:-bottler-test/agent:1}" --arg one "$E2E_ROOT/one" '{
		apiVersion: "bottler.dev/v1", kind: "Bottle", metadata: {name: $name, labels: {team: "one"}},
		spec: {
			agent: {
				image: $image, pull_policy: "never", command: ["sleep", "infinity"], user: "1000:1000", working_dir: "/tmp",
				env: {LEVEL: "one", SECRET: "${ONE}"},
				mounts: [{source: $one, target: "/data", read_only: false}, {volume: "cache", target: "/cache"}],
				files: [{path: "/opt/one", content: "one", mode: "0644"}, {path: "/opt/two", secret: "ONE"}],
				restart: "always", tty: false, runtime: "auto", resources: {memory: "256Mi", cpus: 1, pids: 100}},
			egress: {
				presets: [], allowlist: ["one.example.com"], dlp_action: "block", log: 1,
				routes: [
					{host: "api.example.com", path_allowlist: ["/one/"], methods: ["GET"], auth: {scheme: "Bearer", token_ref: "ONE"}},
					{host: "matches.example.com", matches: [{paths: [{type: "exact", value: "/one"}], methods: ["GET"],
						headers: [{name: "x-mode", value: "one"}]}]},
					{host: "open.example.com", pipelock: {tls_passthrough: false, ssrf_ip_allowlist: ["10.1.2.3"]}}]}}}'
}

# The edits, each with what the table of fields says of its field.
edits() {
	jq -n --slurpfile edits "$EDITS" --slurpfile fields <("$BOTTLER" explain -o json) \
		'[$edits[0][] | . as $edit | . + ($fields[0][] | select(.path == $edit.path) | {class})]' -c
}
# edited EDIT: a manifest on stdin, with that edit.
edited() { jq --arg other_image "$OTHER_IMAGE" "$(jq -r .edit <<<"$1")"; }
edit_of() { jq -c --arg path "$1" '.[] | select(.path == $path)' "$EDITS"; }

# ask JQ-ARGUMENT...: with the definitions of changes.jq.
ask() {
	local filter=${*: -1}
	jq -L "$E2E_REPO/tests/e2e" "${@:1:$#-1}" "include \"changes\"; $filter"
}

settled() { bottler_get | ask -e --arg name "$1" '[.items[] | select(.metadata.name == $name)] | length == 1 and all(ready)' >/dev/null; }
all_settled() {
	bottler_get | ask -e --argjson count $((RUNNERS + 2)) '[.items[] | select(.metadata.name != "parent")]
		| length == $count and all(ready)' >/dev/null
}

@test "every field has an edit, which changes that field" {
	local edit number=0 before=$BATS_TEST_TMPDIR/before after=$BATS_TEST_TMPDIR/after valid=$BATS_TEST_TMPDIR/valid
	[ -x "$BOTTLER" ] || e2e_missing 'build/bottler (make)'
	mkdir -- "$valid"
	# Those that hold a value of their own.
	diff <("$BOTTLER" explain -o json | jq -r '.[] | select(.kind | IN("object", "list", "map") | not) | .path' | sort) \
		<(jq -r '.[].path' "$EDITS" | sort)
	full any | tee "$before" >"$valid/any.yaml"
	while read -r edit; do
		edited "$edit" <"$before" >"$after"
		ask -n -e --argjson edit "$edit" --slurpfile before "$before" --slurpfile after "$after" \
			'changed_fields($before[0]; $after[0]) == ([$edit.path, $edit.with[]?] | unique)' ||
			{ printf 'it changes something else: %s\n' "$edit"; return 1; }
		if [[ $edit == *'"expect":"rejected"'* ]]; then
			run "$BOTTLER" validate "$after"
			[ "$status" -eq 1 ]
		else
			number=$((number + 1))
			jq ".metadata.name = \"edit-$number\" | del(.spec.extends)" "$after" >"$valid/$number.yaml"
		fi
	done < <(jq -c '.[]' "$EDITS")
	"$BOTTLER" validate "$valid"
}

inspected() { docker ps --all --quiet | xargs docker inspect; }
# The steps that the controller has carried out since a line of its log.
steps() {
	tail -n "+$(($1 + 1))" -- "$(inst_dir)/log" |
		sed -nE 's/.*bottle=[^ ]+ step=([^ ]+) object=([^ ]+) .*/{"step": "\1", "object": "\2"}/p' | jq -s .
}
log_lines() { wc -l <"$(inst_dir)/log"; }

# The files below hold the edits of a round, in the order of the runners.
ROUND='to_entries[] | .value + {name: "runner-\(.key)"}'
round_is() {
	bottler_get | ask -e --slurpfile round "$E2E_ROOT/round" --slurpfile old "$E2E_ROOT/old" --slurpfile at "${2:-$E2E_ROOT/old}" "
		def item(\$from; \$name): \$from.items[] | select(.metadata.name == \$name);
		def generation(\$from; \$name): item(\$from; \$name) | .metadata.generation;
		. as \$now | [\$round[0] | $ROUND | . as \$edit | item(\$now; .name) | $1]
		| length == (\$round[0] | length) and all" >/dev/null
}
round_taken() { round_is 'taken($edit.expect; generation($old[0]; $edit.name))'; }
round_undone() { round_is '($edit.undo | not) or restored(generation($at[0]; $edit.name); generation($old[0]; $edit.name))' "$E2E_ROOT/at"; }

# One edit for each runner, all at once, and what is not as it should be after them.
round() {
	local edit name number=0 line
	bottler_get >"$E2E_ROOT/old"
	inspected >"$E2E_ROOT/before"
	line=$(log_lines)
	while read -r edit; do
		name=$(manifests)/runner-$number.yaml
		cp -- "$name" "$E2E_ROOT/runner-$number"
		edited "$edit" <"$name" >"$E2E_ROOT/edited-$number"
		number=$((number + 1))
	done < <(jq -c '.[]' "$E2E_ROOT/round")
	while [ $number -gt 0 ]; do
		number=$((number - 1))
		put "runner-$number.yaml" <"$E2E_ROOT/edited-$number"
	done
	wait_for 90 round_taken || return 1
	inspected >"$E2E_ROOT/after"
	ask -r --slurpfile before "$E2E_ROOT/before" --slurpfile after "$E2E_ROOT/after" --argjson steps "$(steps "$line")" \
		--arg instance "$INST" "$ROUND"' | . as $edit
		| ["agent", "egress", "pipelock"] | map({key: ., value: fate($before[0]; $after[0]; $steps; "\($instance).\($edit.name).\(.)")})
		| from_entries | select(is_as(if $edit.expect then "none" else $edit.class end; $edit.sidecar) | not)
		| "\($edit.path), whose class is \($edit.class): \(tojson)"' <"$E2E_ROOT/round"
}

# Those whose edit isn't to stay are as they were before.
undo() {
	local number
	[ "$(jq 'any(.undo)' "$E2E_ROOT/round")" = true ] || return 0
	bottler_get >"$E2E_ROOT/at"
	for number in $(jq -r 'to_entries[] | select(.value.undo) | .key' "$E2E_ROOT/round"); do
		put "runner-$number.yaml" <"$E2E_ROOT/runner-$number"
	done
	wait_for 90 round_undone
}

@test "an edit of any field does to a running bottle what the field's class says" {
	e2e_setup
	local count at began=$SECONDS
	edits | jq 'map(select(.expect | IN("another", "gone") | not))' >"$E2E_ROOT/edits"
	count=$(jq length "$E2E_ROOT/edits")
	for ((at = 0; at < count; at += RUNNERS)); do
		jq --argjson at $at --argjson next $((at + RUNNERS)) '.[$at:$next]' "$E2E_ROOT/edits" >"$E2E_ROOT/round"
		round >"$E2E_ROOT/said" || return 1
		tee -a "$E2E_ROOT/wrong" <"$E2E_ROOT/said"
		undo
	done
	printf '# %d fields edited on running bottles: %d s\n' "$count" $((SECONDS - began)) >&3
	[ ! -s "$E2E_ROOT/wrong" ]
}

@test "another name is another bottle" {
	e2e_setup
	local before
	before=$(docker ps --no-trunc --quiet | sort)
	full named | edited "$(edit_of metadata.name)" | put named.yaml
	wait_for 90 settled named-2
	for role in agent egress pipelock; do
		! grep -qx "$(container_id named-2 "$role")" <<<"$before"
	done
}

@test "a bottle that becomes abstract is removed" {
	e2e_setup
	full abstracted | edited "$(edit_of spec.abstract)" | put abstracted.yaml
	wait_for 90 none_of abstracted
}

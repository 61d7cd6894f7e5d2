# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the end-to-end tests share: one private engine for each file of tests, controllers that run in
# the background, and waits for conditions with deadlines.
#
# An *installation* is a controller with its own directories, under $BATS_TEST_TMPDIR (or E2E_ROOT)
# and named like its --instance. INST names the one that functions act on (default `e2e`).

E2E_REPO=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/rig/engine.sh
. "$E2E_REPO/tests/rig/engine.sh"
BOTTLER=${BOTTLER:-$E2E_REPO/build/bottler}
E2E_POLL=0.2
E2E_IMAGES=$RIG_BUILD/images
INST=${INST:-e2e}

# A part that isn't there: a failure where everything must be there, else the test is skipped aloud, or every
# test of the file (by e2e_setup: bats can't skip from setup_file). BOTTLER_TEST_WITHOUT names one that the run has said
# beforehand it can't have.
e2e_missing() {
	if [ "${BOTTLER_TEST_STRICT:-}" = 1 ] && [ "${BOTTLER_TEST_WITHOUT:-}" != "$1" ]; then
		printf 'missing: %s\n' "$*" >&2
		return 1
	fi
	[ -z "${BATS_TEST_NAME:-}" ] || skip "missing: $*"
	export E2E_SKIP="missing: $*"
}

# For setup: skips, or makes the default installation's directories.
e2e_setup() {
	[ -z "${E2E_SKIP:-}" ] || skip "$E2E_SKIP"
	[ -n "${E2E_ROOT:-}" ] || inst_make
}

# The docker command talks to this file's private engine and to no other.
e2e_engine_is_ours() {
	[ -n "${E2E_ENGINE:-}" ] && engine_running "$E2E_ENGINE" && [ "${DOCKER_HOST:-}" = "$(engine_host "$E2E_ENGINE")" ]
}

# ---- the engine of a file of tests ---------------------------------------------------------------

e2e_missing_part() {
	if [ "$(id -u)" -ne 0 ]; then
		printf 'root, for private engines\n'
	elif [ ! -x "$BOTTLER" ]; then
		printf 'build/bottler (make)\n'
	elif [ "${E2E_PARTS:-bottle}" = bottle ] && [ ! -s "$E2E_IMAGES/pipelock.tar" ]; then
		printf 'pipelock\n'
	elif [ ! -s "$E2E_IMAGES/images.env" ]; then
		printf 'images (make images)\n'
	fi
}

# For setup_file: an engine with the named images (default: those of a bottle), and its upstream; nothing
# where a part is missing and E2E_SKIP says so. E2E_PARTS=engine: a file whose tests need no bottle, so
# just the engine with the egress image.
e2e_engine_start() {
	local image name part tars=("$E2E_IMAGES/egress.tar")
	name=$(basename -- "$BATS_TEST_FILENAME" .bats)
	export E2E_ENGINE=e2e-${name//[^a-z0-9-]/-}
	part=$(e2e_missing_part)
	if [ -n "$part" ]; then
		e2e_missing "$part"
		return
	fi
	set -a
	# shellcheck source=/dev/null
	. "$E2E_IMAGES/images.env"
	set +a
	DOCKER_HOST=$(RIG_OWNER=$$ engine_start "$E2E_ENGINE") || return 1
	export DOCKER_HOST
	unset DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_CERT_PATH
	if [ "${E2E_PARTS:-bottle}" = bottle ]; then
		for image in pipelock "${@:-agent}"; do
			tars+=("$E2E_IMAGES/$image.tar")
		done
	fi
	engine_load "$E2E_ENGINE" "${tars[@]}" || return 1
	# What was just loaded is in the record: a log that can't be read would hold no changes ever.
	if ! changes_since 0 | grep -q '/images/load'; then
		printf 'the log of the engine names no requests\n' >&2
		return 1
	fi
	engine_upstream "$E2E_ENGINE" >/dev/null
}

# For teardown_file.
e2e_engine_stop() { [ -n "${E2E_SKIP:-}" ] || [ -z "${E2E_ENGINE:-}" ] || engine_stop "$E2E_ENGINE"; }

# ---- waiting -------------------------------------------------------------------------------------

# wait_for SECONDS COMMAND...: until it succeeds; fails with its last output at the deadline.
wait_for() {
	local deadline=$((SECONDS + $1)) output
	shift
	until output=$("$@" 2>&1); do
		if [ "$SECONDS" -ge "$deadline" ]; then
			printf 'waited in vain for: %s\n%s\n' "$*" "$output" >&2
			e2e_report >&2
			return 1
		fi
		sleep "$E2E_POLL"
	done
}

# json_holds JQ-ARGUMENT...: `jq -e` of standard input. Nothing at all, of a command that failed, is not true: to jq 1.6 it is.
json_holds() {
	local json
	json=$(cat)
	if [ -z "$json" ] || ! jq -e "$@" <<<"$json" >/dev/null; then
		printf '%s\n' "$json"
		return 1
	fi
}

# What to look at when a test fails.
e2e_report() {
	{
		printf -- '--- containers\n'
		docker ps --all --format '{{.Names}}\t{{.Status}}'
		printf -- '--- bottles\n'
		bottler_get | jq -c '.items[] | {name: .metadata.name, generation: .metadata.generation,
			conditions: [.status.conditions[] | "\(.type)=\(.status) \(.reason): \(.message)"]}'
		printf -- '--- the end of the log of %s\n' "$INST"
		tail -n 40 -- "$(inst_dir)/log"
	} 2>&1 || true
}

# ---- an installation -----------------------------------------------------------------------------

inst_dir() { printf '%s/%s\n' "${E2E_ROOT:-$BATS_TEST_TMPDIR}" "$INST"; }
manifests() { printf '%s/manifests\n' "$(inst_dir)"; }

# Its directories, empty.
inst_make() {
	local dir
	dir=$(inst_dir)
	mkdir -p -- "$dir/manifests" "$dir/state" "$dir/secrets"
	chmod 0700 -- "$dir/state" "$dir/secrets"
}

secret() {
	(umask 077 && printf '%s' "$2" >"$(inst_dir)/secrets/$1")
}

# The arguments of `run`; more are added to them, and the last of a kind counts. What is deleted goes at once, and
# all of it, but for tests that say otherwise.
inst_run_arguments() {
	local dir
	dir=$(inst_dir)
	printf '%s\n' run --manifests "$dir/manifests" --state "$dir/state" --secrets "$dir/secrets" \
		--engine "$DOCKER_HOST" --instance "$INST" --socket "$dir/socket" \
		--upstream-ca "$(engine_ca "$E2E_ENGINE")" \
		--image "egress=$BOTTLER_IMAGE_EGRESS" --image "pipelock=$BOTTLER_IMAGE_PIPELOCK" \
		--delete-grace 0s --max-deletes 1000,100%
}

# bottler plan with the installation's own arguments.
bottler_plan() {
	local argument arguments kept=() skip=
	mapfile -t arguments < <(inst_run_arguments)
	for argument in "${arguments[@]:1}"; do
		if [ -n "$skip" ]; then
			skip=
		elif [ "$argument" = --socket ]; then
			skip=1
		else
			kept+=("$argument")
		fi
	done
	"$BOTTLER" plan "${kept[@]}" "$@"
}

# Starts the controller in the background and waits until it answers.
controller_start() {
	local dir arguments
	dir=$(inst_dir)
	mapfile -t arguments < <(inst_run_arguments)
	"$BOTTLER" "${arguments[@]}" "$@" </dev/null >>"$dir/log" 2>&1 3>&- &
	printf '%s\n' $! >"$dir/pid"
	wait_for 20 bottler_get
}

controller_alive() {
	local pid
	{ read -r pid <"$(inst_dir)/pid"; } 2>/dev/null && rig_start_time "$pid" >/dev/null
}

controller_signal() {
	local pid
	read -r pid <"$(inst_dir)/pid" && kill -s "$1" "$pid"
}

# Ends the controller with a signal (default TERM) and waits for it.
controller_stop() {
	local pid deadline=$((SECONDS + 30))
	controller_alive || return 0
	read -r pid <"$(inst_dir)/pid"
	kill -s "${1:-TERM}" "$pid"
	while rig_start_time "$pid" >/dev/null; do
		if [ "$SECONDS" -ge "$deadline" ]; then
			kill -s KILL "$pid"
			printf 'the controller did not end by itself\n' >&2
			return 1
		fi
		sleep 0.05
	done
	rm -f -- "$(inst_dir)/pid"
}

# For teardown: every installation of the test ends, and everything of theirs goes from the engine.
installations_end() {
	local dir
	for dir in "${E2E_ROOT:-$BATS_TEST_TMPDIR}"/*/pid; do
		[ -e "$dir" ] || continue
		INST=$(basename -- "$(dirname -- "$dir")") controller_stop KILL
	done
	e2e_engine_is_ours || return 0
	docker ps --all --quiet | xargs -r docker rm --force --volumes >/dev/null
	docker network ls --quiet --filter type=custom | xargs -r docker network rm >/dev/null
	docker volume ls --quiet | xargs -r docker volume rm --force >/dev/null
}

# ---- manifests -----------------------------------------------------------------------------------

# bottle NAME [FILTER]: a manifest on stdout, as JSON (which is YAML), changed by a jq filter.
bottle() {
	jq -n --arg name "$1" --arg image "$BOTTLER_IMAGE_AGENT" '{
		apiVersion: "bottler.dev/v1", kind: "Bottle", metadata: {name: $name},
		spec: {
			agent: {image: $image, pull_policy: "never", command: ["sleep", "infinity"], user: "1000:1000"},
			egress: {routes: [{host: "api.example.com", path_allowlist: ["/repos/acme/"], methods: ["GET", "POST"]}]}
		}}' | jq "${2:-.}"
}

# put FILE: stdin becomes a file of the manifests directory, in one step.
put() {
	local dir
	dir=$(inst_dir)
	cat >"$dir/put.tmp" && mv -- "$dir/put.tmp" "$dir/manifests/$1"
}

# ---- what the controller says --------------------------------------------------------------------

bottler_get() { "$BOTTLER" get -o json --socket "$(inst_dir)/socket"; }

# bottle_is NAME FILTER: the jq filter holds for the item of that name.
bottle_is() {
	local json
	json=$(bottler_get) || return 1
	jq -e --arg name "$1" "def condition(\$t): .status.conditions[]? | select(.type == \$t);
		.items[] | select(.metadata.name == \$name) | $2" <<<"$json" >/dev/null ||
		{ jq -c --arg name "$1" '.items[] | select(.metadata.name == $name)' <<<"$json"; return 1; }
}

generation() { bottler_get | jq -er --arg name "$1" '.items[] | select(.metadata.name == $name) | .metadata.generation'; }
# shellcheck disable=SC2016 # $g is jq's
is_ready() {
	bottle_is "$1" '.metadata.generation as $g | .status.observedGeneration == $g
		and (condition("Ready") | .status == "True" and .observedGeneration == $g)'
}
wait_ready() { wait_for "${2:-60}" is_ready "$1"; }

# wait_generation NAME OLD: a later generation than OLD has been taken up and is ready.
is_later() { [ "$(generation "$1")" -gt "$2" ] && is_ready "$1"; }
wait_later() { wait_for "${3:-60}" is_later "$1" "$2"; }

# condition_says NAME TYPE STATUS [TEXT]: TEXT is in the reason or the message.
condition_says() {
	bottle_is "$1" "condition(\"$2\") | .status == \"$3\" and ((.reason + \" \" + .message) | contains(\"${4:-}\"))"
}

# ---- what stands on the engine -------------------------------------------------------------------

container() { printf '%s.%s.%s\n' "$INST" "$1" "$2"; }
container_id() { docker inspect --format '{{.Id}}' "$(container "$1" "$2")"; }
container_started() { docker inspect --format '{{.Id}} {{.State.StartedAt}}' "$(container "$1" "$2")"; }

# Everything of the installation: containers, networks and volumes, one name a line.
objects() {
	docker ps --all --format 'container {{.Names}}' | grep -F " $INST." || true
	docker network ls --format 'network {{.Name}}' | grep -F " $INST." || true
	docker volume ls --format 'volume {{.Name}}' | grep -F " $INST." || true
}
objects_of() { objects | grep -F " $INST.$1." || true; }
none_of() { [ -z "$(objects_of "$1")" ] || { objects_of "$1"; return 1; }; }
nothing() { [ -z "$(objects)" ] || { objects; return 1; }; }

no_container() {
	local id
	id=$(docker ps --all --quiet --no-trunc --filter "name=^/$(container "$1" "$2")\$")
	[ -z "$id" ] || { printf '%s is there\n' "$(container "$1" "$2")"; return 1; }
}

# absent TEXT FILE: FILE is there and TEXT is nowhere in it.
absent() {
	[ -e "$2" ] || return 1
	if grep -F -- "$1" "$2"; then
		return 1
	fi
}

# After `run`: it ended by itself with an error.
failed() {
	printf 'status %s: %s\n' "$status" "$output"
	[ "$status" -gt 0 ] && [ "$status" -lt 124 ]
}

in_agent() {
	local bottle=$1
	shift
	docker exec "$(container "$bottle" agent)" "$@"
}

# fetch BOTTLE CURL-ARGUMENT...: from inside the agent; prints the body and, last, the status.
fetch() {
	local bottle=$1
	shift
	in_agent "$bottle" curl --silent --show-error --max-time 20 --write-out '\n%{http_code}\n' "$@" 2>&1
}

# answers BOTTLE STATUS CURL-ARGUMENT...
answers() {
	local bottle=$1 status=$2 output
	shift 2
	output=$(fetch "$bottle" "$@")
	[ "$(tail -n 1 <<<"$output")" = "$status" ] || { printf '%s\n' "$output"; return 1; }
}

# ---- the engine's own record ---------------------------------------------------------------------

# A place in the engine's log, and the requests since such a place, as "METHOD PATH" lines. 20.10 logs
# `msg="Calling GET /path"`; 28 `msg="handling GET request" … request-url=/path`, quoted where it must be.
mark() { wc -l <"$(engine_log "$E2E_ENGINE")"; }
requests_since() {
	tail -n "+$(($1 + 1))" -- "$(engine_log "$E2E_ENGINE")" |
		sed -nE 's/.*msg="Calling ([A-Z]+ [^ "]*)".*/\1/p
			s/.*msg="handling ([A-Z]+) request".* request-url="?([^ "]*).*/\1 \2/p'
}
changes_since() { requests_since "$1" | grep -E '^(POST|PUT|DELETE) ' || true; }

# The engine's time, and its events since then: type, action and name.
engine_now() { docker info --format '{{.SystemTime}}'; }
events_since() {
	docker events --since "$1" --until "$(engine_now)" --filter type=container --filter type=network \
		--filter type=volume --format '{{.Type}} {{.Action}} {{index .Actor.Attributes "name"}}'
}

# passes_since MARK: how many times containers were listed since; a pass over the world lists them.
passes_since() {
	requests_since "$1" | grep -c '^GET [^ ]*/containers/json?all=1' || true
}
passed() { [ "$(passes_since "$1")" -ge "$2" ]; }

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What the chain costs: a bottle on a private engine, and beside it a container that reaches the same upstream directly.
# Prints latency, throughput and memory, and how they compare; writes all figures to build/bench.json. docs/bench.md.
#
#   run.sh          environment: BOTTLER (build/bottler), RIG_BUILD (build/), and the sizes of measure.py

set -uo pipefail
REPO=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/rig/engine.sh
. "$REPO/tests/rig/engine.sh"
BOTTLER=${BOTTLER:-$REPO/build/bottler}
ENGINE=bench-$$
INSTANCE=bench
CONTROLLER=

die() {
	printf 'bench: %s\n' "$*" >&2
	[ ! -s "$HOME_DIR/log" ] || { printf 'bench: the end of the log of bottler:\n' && tail -n 20 -- "$HOME_DIR/log"; } >&2
	exit 1
}

clean_up() {
	local status=$?
	trap - EXIT
	if [ -n "$CONTROLLER" ] && kill -0 "$CONTROLLER" 2>/dev/null; then
		kill "$CONTROLLER"
		wait "$CONTROLLER" 2>/dev/null
	fi
	engine_stop "$ENGINE" || status=1
	rm -rf -- "$HOME_DIR"
	exit "$status"
}

ready() {
	"$BOTTLER" get --socket "$HOME_DIR/socket" -o json 2>/dev/null |
		jq -e '.items[].status.conditions[] | select(.type == "Ready" and .status == "True")' >/dev/null
}

until_true() {
	local deadline=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$deadline" ] || return 1
		sleep 0.2
	done
}

# A credential is put in on one of the routes, so that what comes back is searched for it.
manifest() {
	jq -n --arg image "$BOTTLER_IMAGE_AGENT" '{apiVersion: "bottler.dev/v1", kind: "Bottle", metadata: {name: "bench"}, spec: {
		agent: {image: $image, pull_policy: "never", command: ["sleep", "infinity"], user: "1000:1000"},
		egress: {log: 0, routes: [{host: "scanned.example.com"}, {host: "passed.example.com", pipelock: {tls_passthrough: true}},
			{host: "masked.example.com", auth: {scheme: "Bearer", token_ref: "TOKEN"}}]}}}'
}

bring_up() {
	"$REPO/tests/rig/images.sh" >&2 || exit 1
	set -a
	# shellcheck source=/dev/null
	. "$RIG_BUILD/images/images.env"
	set +a
	DOCKER_HOST=$(RIG_OWNER=$$ engine_start "$ENGINE") || exit 1
	export DOCKER_HOST
	unset DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_CERT_PATH
	engine_load "$ENGINE" "$RIG_BUILD"/images/{agent,egress,pipelock}.tar || exit 1
	engine_upstream "$ENGINE" >/dev/null || exit 1
	(umask 077 && printf 'bench-token-0123456789abcdef' >"$HOME_DIR/secrets/TOKEN")
	manifest >"$HOME_DIR/manifests/bench.yaml"
	"$BOTTLER" run --manifests "$HOME_DIR/manifests" --state "$HOME_DIR/state" --secrets "$HOME_DIR/secrets" \
		--engine "$DOCKER_HOST" --instance "$INSTANCE" --socket "$HOME_DIR/socket" --upstream-ca "$(engine_ca "$ENGINE")" \
		--image "egress=$BOTTLER_IMAGE_EGRESS" --image "pipelock=$BOTTLER_IMAGE_PIPELOCK" </dev/null >"$HOME_DIR/log" 2>&1 &
	CONTROLLER=$!
	until_true 120 ready || die "the bottle is not ready after 120 s"
	# The same image, user and limits on an ordinary network; its names lead straight to the upstream.
	docker run --detach --name direct --user 1000:1000 --memory 2g --add-host "scanned.example.com:$RIG_WORLD_UPSTREAM" \
		--env SSL_CERT_FILE=/ca.pem --volume "$(engine_ca "$ENGINE"):/ca.pem:ro" "$BOTTLER_IMAGE_AGENT" sleep infinity >/dev/null ||
		die "no container beside the bottle"
}

main() {
	rig_need_root || exit 1
	rig_need docker jq curl python3 || exit 1
	[ -x "$BOTTLER" ] || { printf 'bench: %s is not built\n' "$BOTTLER" >&2 && exit 1; }
	HOME_DIR=$(mktemp -d /tmp/bottler-bench.XXXXXX) || exit 1
	trap clean_up EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	mkdir -m 0700 -- "$HOME_DIR/manifests" "$HOME_DIR/state" "$HOME_DIR/secrets"
	bring_up
	docker version --format 'engine {{.Server.Version}}, Linux {{.Server.KernelVersion}}'
	printf '%s processors, load %s\n\n' "$(nproc)" "$(cut -d' ' -f1 /proc/loadavg)"
	python3 "$REPO/tests/bench/measure.py" "$INSTANCE.bench" direct "$RIG_BUILD/bench.json" || die "not everything is as it should be"
	ready || die "the bottle is not ready any more"
}

main "$@"

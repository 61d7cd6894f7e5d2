#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Shows a bottle's life on a private engine: up, allowed, blocked, healed, gone. Exit 0 when each step was as it
# should be. Its only upstream is a server of its own, on an address that exists in the private engine alone.
#
#   demo.sh              environment: BOTTLER (build/bottler), RIG_BUILD (build/)

set -uo pipefail
REPO=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/rig/engine.sh
. "$REPO/tests/rig/engine.sh"
BOTTLER=${BOTTLER:-$REPO/build/bottler}
ENGINE=demo-$$
INSTANCE=demo
BOTTLE=demo
FAILED=0
CONTROLLER=

say() {
	if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
		printf '\n\033[1m== %s\033[0m\n' "$*"
	else
		printf '\n== %s\n' "$*"
	fi
}
ok() { printf '   ok    %s\n' "$*"; }
bad() {
	printf '   FAILED %s\n' "$*"
	FAILED=$((FAILED + 1))
}
check() {
	local text=$1
	shift
	if "$@"; then ok "$text"; else bad "$text"; fi
}
indent() { awk '{ print "   | " $0 }'; }
die() {
	printf 'demo: %s\n' "$*" >&2
	[ ! -s "$HOME_DIR/log" ] || { printf 'demo: the end of the log of bottler:\n' && tail -n 20 -- "$HOME_DIR/log"; } >&2
	exit 1
}

container() { printf '%s.%s.%s\n' "$INSTANCE" "$BOTTLE" "$1"; }
started() { docker inspect --format '{{.Id}} {{.State.StartedAt}}' "$(container "$1")" 2>/dev/null; }
table() { "$BOTTLER" get --socket "$HOME_DIR/socket" -o wide 2>&1 | indent; }
agent() { docker exec "$(container agent)" "$@"; }
ready() {
	"$BOTTLER" get --socket "$HOME_DIR/socket" -o json 2>/dev/null | jq -e --arg name "$BOTTLE" '.items[] |
		select(.metadata.name == $name) | .metadata.generation as $g | .status.conditions[] |
		select(.type == "Ready" and .status == "True" and .observedGeneration == $g)' >/dev/null
}
replaced() { local now && now=$(docker inspect --format '{{.Id}} {{.State.StartedAt}} {{.State.Running}}' "$(container "$1")" 2>/dev/null) &&
	[ "${now% true}" != "$now" ] && [ "${now% true}" != "$2" ]; }
noticed() { ! ready || replaced "$@"; }
objects() {
	docker ps --all --filter label=dev.bottler.installation --format 'container {{.Names}}'
	docker network ls --filter label=dev.bottler.installation --format 'network {{.Name}}'
	docker volume ls --filter label=dev.bottler.installation --format 'volume {{.Name}}'
	{ docker ps --all --format 'container {{.Names}}' && docker network ls --format 'network {{.Name}}' &&
		docker volume ls --format 'volume {{.Name}}'; } | grep -F " $INSTANCE."
}
no_objects() { [ -z "$(objects)" ]; }

# until SECONDS COMMAND...
until_true() {
	local deadline=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$deadline" ] || return 1
		sleep 0.2
	done
}

# request TEXT STATUS PATTERN CURL-ARGUMENT...: from inside the agent; shows the start of the answer.
request() {
	local text=$1 status=$2 pattern=$3 output
	shift 3
	printf '   $ curl %s\n' "$*"
	output=$(agent curl --silent --show-error --max-time 30 --write-out '\n%{http_code}' "$@" 2>&1)
	head -c 600 <<<"$output" | indent
	if [ "$(tail -n 1 <<<"$output")" = "$status" ]; then
		check "$text" grep -qiE "$pattern" <<<"$output"
	else
		bad "$text (status $(tail -n 1 <<<"$output"), not $status)"
	fi
}

# unseen PATTERN: the upstream has a record, and nothing of the kind in it.
unseen() {
	local log
	log=$(engine_upstream_log "$ENGINE")
	grep -q '"event": "request"' "$log" && ! grep -E "$1" "$log"
}

# Where the credential must not be. Each first shows that it looks at something.
absent_from_environment() {
	local text
	text=$(agent env) && grep -q '^https_proxy=' <<<"$text" && ! grep -qF "$TOKEN" <<<"$text"
}
absent_from_files() {
	local user found
	for user in 0 1000; do
		found=$(docker exec --user "$user" "$(container agent)" sh -c '
			rm -f /tmp/marker && echo marker-3141 >/tmp/marker
			grep -rslF --exclude-dir=proc --exclude-dir=sys -e marker-3141 -e "$1" /
			rm /tmp/marker' - "$TOKEN")
		[ "$found" = /tmp/marker ] || return 1
	done
}
absent_from_inspect() {
	local text
	text=$(docker inspect "$(container agent)" "$(container egress)" "$(container pipelock)") &&
		grep -q '"Env"' <<<"$text" && ! grep -qF "$TOKEN" <<<"$text"
}

# A refused CONNECT's answer, which curl doesn't print.
refuse_host() {
	local output
	printf '   $ CONNECT %s:443\n' "$1"
	# shellcheck disable=SC2016
	output=$(agent python3 -c '
import os, socket, sys, urllib.parse
proxy = urllib.parse.urlsplit(os.environ["https_proxy"])
with socket.create_connection((proxy.hostname, proxy.port), 20) as s:
    s.sendall(f"CONNECT {sys.argv[1]}:443 HTTP/1.1\r\nHost: {sys.argv[1]}:443\r\n\r\n".encode())
    answer = b""
    while piece := s.recv(4096):
        answer += piece
head, _, body = answer.decode().partition("\r\n\r\n")
print(body.strip(), head.split()[1], sep="\n\n")' "$1" 2>&1)
	indent <<<"$output"
	check "host refused" grep -qx 403 <<<"$(tail -n 1 <<<"$output")"
	check "with a reason" grep -q '"reason": "no route allows this host"' <<<"$output"
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

bring_up() {
	say "Images (made here, once)"
	"$REPO/tests/rig/images.sh" || exit 1
	set -a
	# shellcheck source=/dev/null
	. "$RIG_BUILD/images/images.env"
	set +a
	say "A private engine, without any link to the outside"
	DOCKER_HOST=$(RIG_OWNER=$$ engine_start "$ENGINE") || exit 1
	export DOCKER_HOST
	unset DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_CERT_PATH
	engine_load "$ENGINE" "$RIG_BUILD"/images/{agent,egress,pipelock}.tar || exit 1
	engine_upstream "$ENGINE" >/dev/null || exit 1
	docker version --format '   engine {{.Server.Version}}, API {{.Server.APIVersion}}'
	printf '   api.example.com is a server on %s inside it\n' "$RIG_WORLD_UPSTREAM"

	say "bottler run --manifests DIR, and a manifest copied in"
	TOKEN=ghp_$(od -An -N18 -tx1 /dev/urandom | tr -d ' \n')
	(umask 077 && printf '%s' "$TOKEN" >"$HOME_DIR/secrets/DEMO_TOKEN")
	"$BOTTLER" run --manifests "$HOME_DIR/manifests" --state "$HOME_DIR/state" --secrets "$HOME_DIR/secrets" \
		--engine "$DOCKER_HOST" --instance "$INSTANCE" --socket "$HOME_DIR/socket" \
		--upstream-ca "$(engine_ca "$ENGINE")" --image "egress=$BOTTLER_IMAGE_EGRESS" \
		--image "pipelock=$BOTTLER_IMAGE_PIPELOCK" --delete-grace 2s </dev/null >"$HOME_DIR/log" 2>&1 &
	CONTROLLER=$!
	until_true 20 "$BOTTLER" get --socket "$HOME_DIR/socket" -o name >/dev/null 2>&1 || die "the controller does not answer"
	cp -- "$REPO/examples/demo.yaml" "$HOME_DIR/manifests/demo.yaml"
	sed -n '/^spec:/,$p' "$HOME_DIR/manifests/demo.yaml" | indent
	local began=$SECONDS
	until_true 120 ready || { table && die "the bottle is not ready after 120 s"; }
	ok "ready after $((SECONDS - began)) s"
	table
}

show_policy() {
	say "Allowed: through both proxies, the credential put in on the way"
	request "answered" 200 '"path": "/repos/acme/site"' https://api.example.com/repos/acme/site
	check "the upstream got the credential" \
		grep -qF "[\"Authorization\", \"Bearer $TOKEN\"]" "$(engine_upstream_log "$ENGINE")"
	check "not in the agent's environment" absent_from_environment
	check "not in the agent's files" absent_from_files
	check "not in what the engine tells of the bottle" absent_from_inspect

	say "Blocked: a host, a path and a method that are not on the list"
	refuse_host other.example.com
	request "path refused" 403 'path' https://api.example.com/repos/other/site
	request "method refused" 403 'method' --request DELETE https://api.example.com/repos/acme/site
	check "none of these reached the upstream" unseen 'other.example.com|/repos/other|DELETE'

	say "Blocked: something that looks like a credential, posted to an allowed host"
	request "refused by pipelock" 403 'secret' --data "note=ghp_$(printf 'x7Kq%.0s' {1..9})" https://api.example.com/repos/acme/notes
	check "it did not reach the upstream" unseen /repos/acme/notes
}

show_repair() {
	local role agent victim began
	for role in egress pipelock; do
		say "Repair: $role is killed"
		agent=$(started agent)
		victim=$(started "$role")
		began=$SECONDS
		docker kill "$(container "$role")" >/dev/null
		until_true 60 noticed "$role" "$victim"
		table
		if until_true 60 replaced "$role" "$victim" && until_true 60 ready; then
			ok "a new $role after $((SECONDS - began)) s"
		else
			bad "a new $role"
		fi
		check "the agent was not touched" test "$(started agent)" = "$agent"
		table
		request "works again" 200 '"path": "/repos/acme/again"' https://api.example.com/repos/acme/again
	done
}

show_removal() {
	say "The manifest is removed"
	objects | sort -u | indent
	rm -- "$HOME_DIR/manifests/demo.yaml"
	until_true 90 no_objects
	table
	check "0 containers, networks and volumes of ours are left" no_objects
}

main() {
	rig_need_root || exit 1
	rig_need docker jq curl || exit 1
	[ -x "$BOTTLER" ] || { printf 'demo: %s is not built\n' "$BOTTLER" >&2 && exit 1; }
	HOME_DIR=$(mktemp -d /tmp/bottler-demo.XXXXXX) || exit 1
	trap clean_up EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	mkdir -m 0700 -- "$HOME_DIR/manifests" "$HOME_DIR/state" "$HOME_DIR/secrets"
	bring_up
	show_policy
	show_repair
	show_removal
	say "$([ "$FAILED" -eq 0 ] && printf 'All as it should be' || printf '%s steps failed' "$FAILED"), $SECONDS s"
	[ "$FAILED" -eq 0 ]
}

main "$@"

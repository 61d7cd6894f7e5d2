#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# `plan` names each change and its cost beforehand, and what then happens is that: scenario by scenario, by machine.
# Bottles are suspended while the world and their manifests move, planned, and resumed.

load lib

NAMES=(a b c d)

setup_file() { e2e_engine_start agent; }
teardown_file() { e2e_engine_stop; }
setup() { e2e_setup; }
teardown() { installations_end; }

call() { "$BOTTLER" "$1" --socket "$(inst_dir)/socket" "${@:2}"; }


# The manifest that a bottle has now, as JSON.
current() { cat -- "$(manifests)/$1.yaml"; }
base() {
	bottle "$1" '.spec.egress = {
			routes: [{host: "api.example.com", path_allowlist: ["/repos/acme/"], methods: ["GET"], auth: {scheme: "Bearer", token_ref: "TOKEN"}}],
			allowlist: ["files.example.com"]}
		| .spec.agent += {env: {MARK: "1"}, files: [{path: "/tmp/note", content: "one"}, {path: "/tmp/secret", secret: "FILE"}],
			mounts: [{volume: "cache", target: "/cache"}], resources: {memory: "256Mi", pids: 100}}'
}

# What happens to a container, told by the engine: ROLE's id and start before, then now.
fate_of() {
	local before=$1 now=$2
	if [ "$before" = "$now" ]; then
		echo stays
	elif [ -z "$now" ]; then
		echo removed
	elif [ -z "$before" ]; then
		echo created
	elif [ "${before%% *}" = "${now%% *}" ]; then
		echo started
	else
		echo replaced
	fi
}
fates() { local role; for role in agent egress pipelock; do printf '%s=%s\n' "$role" "$(container_started "$1" "$role" 2>/dev/null || true)"; done; }

# A scenario is "BOTTLE-INDEPENDENT NAME|EXPECTED CHANGE: class field, or -|jq FILTER or !COMMAND".
scenarios() {
	cat <<-'END'
	method|reload spec.egress.routes[api.example.com].methods|.spec.egress.routes[0].methods = ["GET", "POST"]
	path|reload spec.egress.routes[api.example.com].path_allowlist|.spec.egress.routes[0].path_allowlist += ["/users/"]
	another route|reload spec.egress.routes[new.example.com]|.spec.egress.routes += [{host: "new.example.com"}]
	another host|reload spec.egress.allowlist|.spec.egress.allowlist += ["more.example.com"]
	no auth|reload spec.egress.routes[api.example.com].auth|del(.spec.egress.routes[0].auth)
	scheme|reload spec.egress.routes[api.example.com].auth.scheme|.spec.egress.routes[0].auth.scheme = "token"
	preset|reload spec.egress.presets|.spec.egress.presets = ["claude-code"]
	no hosts|reload spec.egress.allowlist|.spec.egress.allowlist = []
	log|reload spec.egress.log|.spec.egress.log = 2
	matches|reload spec.egress.routes[api.example.com].matches|.spec.egress.routes[0] |= (del(.path_allowlist, .methods) | .matches = [{methods: ["GET"]}])
	memory|live spec.agent.resources.memory|.spec.agent.resources.memory = "300Mi"
	less memory|live spec.agent.resources.memory|.spec.agent.resources.memory = "200Mi"
	cpus|live spec.agent.resources.cpus|.spec.agent.resources.cpus = 0.5
	pids|live spec.agent.resources.pids|.spec.agent.resources.pids = 50
	all limits|live spec.agent.resources.cpus|.spec.agent.resources = {memory: "280Mi", cpus: 1, pids: 60}
	dlp|sidecar spec.egress.dlp_action|.spec.egress.dlp_action = "warn"
	passthrough|sidecar spec.egress.routes[api.example.com].pipelock.tls_passthrough|.spec.egress.routes[0].pipelock.tls_passthrough = true
	ssrf|sidecar spec.egress.routes[api.example.com].pipelock.ssrf_ip_allowlist|.spec.egress.routes[0].pipelock.ssrf_ip_allowlist = ["10.9.8.7"]
	route with passthrough|sidecar spec.egress.routes[raw.example.com]|.spec.egress.routes += [{host: "raw.example.com", pipelock: {tls_passthrough: true}}]
	env|agent spec.agent.env.MARK|.spec.agent.env.MARK = "2"
	more env|agent spec.agent.env.MORE|.spec.agent.env.MORE = "x"
	less env|agent spec.agent.env.MARK|del(.spec.agent.env.MARK)
	command|agent spec.agent.command|.spec.agent.command = ["sleep", "100000"]
	user|agent spec.agent.user|.spec.agent.user = "1001:1001"
	working_dir|agent spec.agent.working_dir|.spec.agent.working_dir = "/tmp"
	file|agent spec.agent.files[/tmp/note].content|.spec.agent.files[0].content = "two"
	file mode|agent spec.agent.files[/tmp/note].mode|.spec.agent.files[0].mode = "0600"
	mount target|agent spec.agent.mounts[/other]|.spec.agent.mounts[0].target = "/other"
	tty|agent spec.agent.tty|.spec.agent.tty = true
	restart|none spec.agent.restart|.spec.agent.restart = "on_failure"
	labels|none metadata.labels.team|.metadata.labels = {team: "x"}
	retain|none spec.agent.mounts[|.spec.agent.mounts[0].retain = true
	update|none spec.agent.update.when|.spec.agent.update = {when: "idle", deadline: "1h"}
	preserve|none spec.preserve|.spec.preserve = true
	agent and route|agent spec.agent.env.MARK|.spec.agent.env.MARK = "3" | .spec.egress.allowlist += ["x.example.com"]
	limits and proxy|sidecar spec.egress.dlp_action|.spec.agent.resources.pids = 70 | .spec.egress.dlp_action |= (if . == "warn" then "block" else "warn" end)
	everything|agent spec.agent.command|del(.spec.agent.update) | .spec.agent.command = ["sleep", "7777"] | .spec.egress.dlp_action = "warn" | .spec.egress.log = 0
	egress ended|-|!docker kill --signal KILL $(container $b egress)
	pipelock ended|-|!docker kill --signal KILL $(container $b pipelock)
	agent ended|-|!docker kill --signal KILL $(container $b agent)
	egress removed|-|!docker rm --force $(container $b egress)
	agent removed|-|!docker rm --force $(container $b agent)
	agent off its network|-|!docker network disconnect $INST.$b.agent $(container $b agent)
	token|reload spec.egress.routes[api.example.com].auth.token_ref|!secret TOKEN "token-$RANDOM-0123456789abcdef"
	END
}

planned() { jq -r --arg b "$1" '.bottles[] | select(.bottle == $b) | .steps[] | select(.mutates) | .kind + " " + .object + (if .next then ".next" else "" end)' <<<"$plan" | grep -v '^guard\.' | sort; }
happened() { tail -n "+$(($2 + 1))" "$(inst_dir)/log" | sed -n "s/.*bottle=$1 step=\([^ ]*\) object=\([^ ]*\) .*/\1 \2/p" | grep -v '^guard\.' | sort; }
# As the plan says it, in the engine's words: what is done in place leaves a container as it is.
foretold() { jq -r --arg b "$1" --arg r "$2" '.bottles[] | select(.bottle == $b) | .effects[$r] | {untouched: "stays", updated: "stays", reloaded: "stays", interrupted: "stays"}[.] // .' <<<"$plan"; }

is_suspended() { condition_says "$1" Suspended True ByHand && [ "$(generation "$1")" -ge "$2" ] && bottle_is "$1" '[.status.conditions[].type] | index("Reconciling") == null'; }
settled() { is_ready "$1" && [ "$(call history "$1" -o json | jq -r '(if type == "array" then . else .items end) | last | .outcome')" = Converged ]; }

# Every bottle's scenario is brought about, planned, let happen, and compared.
round() {
	local i b name expected action at before=() gen=()
	call suspend "${NAMES[@]}" >/dev/null
	for b in "${NAMES[@]}"; do
		wait_for 20 is_suspended "$b" 0
	done
	for i in "${!NAMES[@]}"; do
		b=${NAMES[$i]}
		gen[i]=$(generation "$b")
		IFS='|' read -r name expected action <<<"${row[$i]}"
		[ -n "$name" ] || continue
		case $action in
		'!'*) eval "${action#!}" >/dev/null ;;
		*) current "$b" | jq "$action" | put "$b.yaml" && gen[i]=$((gen[i] + 1)) ;;
		esac
	done
	for i in "${!NAMES[@]}"; do
		wait_for 20 is_suspended "${NAMES[$i]}" "${gen[$i]}"
	done
	plan=$(bottler_plan -o json || true)
	at=$(wc -l <"$(inst_dir)/log")
	for i in "${!NAMES[@]}"; do before[i]=$(fates "${NAMES[$i]}"); done
	call resume "${NAMES[@]}" >/dev/null
	for b in "${NAMES[@]}"; do
		wait_for 60 settled "$b"
	done
	for i in "${!NAMES[@]}"; do
		b=${NAMES[$i]}
		IFS='|' read -r name expected action <<<"${row[$i]}"
		[ -n "$name" ] || continue
		compare "$b" "$name" "$expected" "$at" "${before[$i]}" || failures+=("$name")
		count=$((count + 1))
	done
}

compare() {
	local b=$1 name=$2 expected=$3 at=$4 was=$5 role is told
	printf '%s: %s\n' "$b" "$name"
	diff -u <(planned "$b") <(happened "$b" "$at") || return 1
	for role in agent egress pipelock; do
		is=$(fate_of "$(sed -n "s/^$role=//p" <<<"$was")" "$(container_started "$b" "$role")")
		told=$(foretold "$b" "$role")
		[ "$is" = "$told" ] || [ "$is:$told" = started:interrupted ] || { printf '%s of %s: told %s, was %s\n' "$role" "$b" "$told" "$is"; return 1; }
	done
	[ "$expected" != - ] || return 0
	jq -e --arg b "$b" --arg c "${expected%% *}" --arg f "${expected#* }" '.bottles[] | select(.bottle == $b)
		| any(.changes[]; (.field | startswith($f)) and .class == $c and (.reason | length) > 0 and (.effect | length) > 0)' <<<"$plan" >/dev/null ||
		{ jq --arg b "$b" '.bottles[] | select(.bottle == $b) | .changes' <<<"$plan"; return 1; }
}

@test "what a plan says is what happens, in more than 40 scenarios" {
	local rows row failures=() count=0 i b plan
	secret TOKEN token-0123456789abcdef
	secret FILE file-0123456789abcdef
	controller_start
	for b in "${NAMES[@]}"; do base "$b" | put "$b.yaml"; done
	for b in "${NAMES[@]}"; do wait_for 120 settled "$b"; done
	mapfile -t rows < <(scenarios)
	for ((i = 0; i < ${#rows[@]}; i += ${#NAMES[@]})); do
		row=("${rows[@]:i:${#NAMES[@]}}")
		while [ ${#row[@]} -lt ${#NAMES[@]} ]; do row+=(""); done
		round
	done
	printf '# %d scenarios\n' "$count" >&3
	[ "$count" -ge 40 ]
	printf 'not as told: %s\n' "${failures[*]:-none}"
	[ ${#failures[@]} -eq 0 ]
}

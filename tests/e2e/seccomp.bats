#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# An engine's own filter of system calls lets vsock through, and an older one's io_uring: bottler's own profile refuses
# them, to the agent and to what is put into its container, and programs work. The tests share one bottle.

load lib

setup_file() {
	e2e_engine_start agent || return 1
	[ -z "${E2E_SKIP:-}" ] || return 0
	export E2E_ROOT=$BATS_FILE_TMPDIR
	inst_make
	controller_start
	# What the agent's own process may do is in its log.
	# shellcheck disable=SC2016 # $calls is jq's
	bottle one | jq --rawfile calls "$E2E_REPO/tests/e2e/seccomp.py" '
		.spec.agent.command = ["sh", "-c", "python3 /opt/calls.py refused; exec sleep infinity"]
		| .spec.agent.files = [{path: "/opt/calls.py", content: $calls}]' | put one.yaml
	wait_ready one
}
teardown_file() {
	[ -n "${E2E_SKIP:-}" ] || installations_end
	e2e_engine_stop
}
setup() { e2e_setup; }

calls() { docker exec "$@" python3 - refused <"$E2E_REPO/tests/e2e/seccomp.py"; }
of_agent() { docker logs "$(container one agent)" 2>&1 | jq -c .; }

# refused JSON: every call was, in the way that the profile says; the way to ask worked.
refused() {
	jq -e '((has("i386.getpid") | not) or .["i386.getpid"] == "done")
		and (del(.["i386.getpid"]) | length >= 15 and all(.[]; . == "EPERM" or . == "ENOSYS"))
		and .vsock == "EPERM" and .io_uring_setup == "ENOSYS" and .["clone3.user"] == "ENOSYS"' <<<"$1" >/dev/null ||
		{ jq . <<<"$1"; return 1; }
}

@test "every container of a bottle has the profile, and the bottle is sealed with it" {
	local role option place
	for role in agent egress pipelock; do
		[ "$(docker inspect --format '{{len .HostConfig.SecurityOpt}}' "$(container one "$role")")" -eq 2 ]
		option=$(docker inspect --format '{{index .HostConfig.SecurityOpt 1}}' "$(container one "$role")")
		[[ $option == 'seccomp={"defaultAction":"SCMP_ACT_ERRNO",'* ]]
	done
	condition_says one Isolated True
	place=$(mark)
	wait_for 90 passed "$place" 2
	[ -z "$(changes_since "$place")" ]
}

@test "vsock, io_uring, namespaces are refused: to the agent, by docker exec, to root, in a sidecar" {
	wait_for 20 of_agent
	refused "$(of_agent)"
	refused "$(calls --interactive "$(container one agent)")"
	refused "$(calls --interactive --user 0:0 "$(container one agent)")"
	refused "$(calls --interactive "$(container one egress)")"
}

@test "programs work" {
	in_agent one python3 /opt/calls.py programs
	answers one 200 https://api.example.com/repos/acme/site
	# shellcheck disable=SC2016 # the shell inside
	in_agent one sh -ec 'cd "$(mktemp -d)" && git init --quiet a && cd a && git config user.email a@example.com &&
		git config user.name a && echo 1 >f && git add f && git commit --quiet --message 1 && cd .. &&
		git clone --quiet --no-local a b && git -C b fsck && cmp a/f b/f'
	in_agent one script --quiet --return --command "bash -mc 'sleep 60 & kill %1; wait %1; [ \$? -eq 143 ]'" /dev/null
	in_agent one perl -MSocket -e 'pipe(R, W); unless (fork) { print W "x"; exit } wait; close W; exit(<R> ne "x")'
	in_agent one apt-get --version
	in_agent one openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x -keyout /dev/null
}

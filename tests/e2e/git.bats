#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A repository as the source: pushes, broken commits, rewritten history, signatures, remotes that are away; over a real
# git daemon and a real sshd on loopback. Most bottles are suspended, so that what counts is what is accepted, and
# nothing has to run; the one that does is left out without pipelock.

load lib

setup_file() {
	E2E_WITHOUT=$(e2e_missing_part)
	[ "$E2E_WITHOUT" != pipelock ] || export E2E_PARTS=engine
	export E2E_WITHOUT
	e2e_engine_start
}
teardown_file() { e2e_engine_stop; }
setup() {
	e2e_setup
	WORK=$BATS_TEST_TMPDIR/work SRV=$BATS_TEST_TMPDIR/srv
	export HOME=$BATS_TEST_TMPDIR GIT_CONFIG_NOSYSTEM=1
	export GIT_AUTHOR_NAME=Ada GIT_AUTHOR_EMAIL=ada@example.com GIT_COMMITTER_NAME=Ada GIT_COMMITTER_EMAIL=ada@example.com
	git init -q --bare -b main "$SRV/site.git"
	git init -q -b main "$WORK"
	git -C "$WORK" remote add origin "$SRV/site.git"
	mkdir -- "$WORK/bottles"
}
teardown() {
	installations_end
	server_stop daemon
	server_stop sshd
	server_stop https
}

# First in a test that needs a bottle.
with_bottle() { [ -z "$E2E_WITHOUT" ] || e2e_missing "$E2E_WITHOUT"; }

# ---- servers on loopback -------------------------------------------------------------------------

free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
accepts() { python3 -c 'import socket, sys; socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1)' "$1"; }
server_stop() {
	local pid
	{ read -r pid <"$BATS_TEST_TMPDIR/$1.pid"; } 2>/dev/null || return 0
	rm -- "$BATS_TEST_TMPDIR/$1.pid"
	kill "$pid" && wait_for 10 ended "$pid"
}
ended() { ! rig_start_time "$1" >/dev/null; }

# git_daemon_start: serves $SRV on $PORT, which is chosen once.
git_daemon_start() {
	PORT=${PORT:-$(free_port)}
	"$(git --exec-path)/git-daemon" --reuseaddr --listen=127.0.0.1 --port="$PORT" --base-path="$SRV" --export-all \
		</dev/null >>"$BATS_TEST_TMPDIR/daemon.log" 2>&1 3>&- &
	printf '%s\n' $! >"$BATS_TEST_TMPDIR/daemon.pid"
	wait_for 10 accepts "$PORT"
	URL=git://127.0.0.1:$PORT/site.git
}

sshd_start() {
	local dir=$BATS_TEST_TMPDIR/ssh
	SSH_PORT=$(free_port)
	mkdir -p -- "$dir" /run/sshd
	ssh-keygen -q -t ed25519 -N '' -f "$dir/host"
	ssh-keygen -q -t ed25519 -N '' -f "$dir/user"
	cp -- "$dir/user.pub" "$dir/authorized"
	printf '%s\n' "ListenAddress 127.0.0.1:$SSH_PORT" "HostKey $dir/host" "AuthorizedKeysFile $dir/authorized" \
		'PidFile none' 'StrictModes no' 'UsePAM no' 'PasswordAuthentication no' 'KbdInteractiveAuthentication no' \
		'PermitRootLogin prohibit-password' >"$dir/sshd.conf"
	/usr/sbin/sshd -D -e -f "$dir/sshd.conf" </dev/null >>"$BATS_TEST_TMPDIR/sshd.log" 2>&1 3>&- &
	printf '%s\n' $! >"$BATS_TEST_TMPDIR/sshd.pid"
	wait_for 10 accepts "$SSH_PORT"
}

# https_start: serves $SRV to those that USERS names.
https_start() {
	local dir=$BATS_TEST_TMPDIR/tls
	HTTPS_PORT=$(free_port) USERS=$BATS_TEST_TMPDIR/users
	"$RIG_DIR/ca.sh" "$dir" localhost
	: >"$USERS"
	python3 "$RIG_DIR/git_https.py" "$SRV" "$dir/server.pem" "$dir/server-key.pem" "$USERS" "$HTTPS_PORT" \
		</dev/null >"$BATS_TEST_TMPDIR/https.log" 2>&1 3>&- &
	printf '%s\n' $! >"$BATS_TEST_TMPDIR/https.pid"
	wait_for 10 accepts "$HTTPS_PORT"
	URL=https://localhost:$HTTPS_PORT/site.git
}

# ---- the repository ------------------------------------------------------------------------------

# suspended NAME [FILTER]: a manifest whose bottle is accepted and then left alone.
suspended() {
	bottle "$1" '.spec.suspend = true | .spec.agent.image = "registry.example.com/none:1"' | jq "${2:-.}"
}
commit() { git -C "$WORK" add -A && git -C "$WORK" commit -q --allow-empty -m x && push HEAD; }
push() { git -C "$WORK" push -qf origin "$1:main"; }
head_id() { git -C "$WORK" rev-parse HEAD; }

# ---- the controller ------------------------------------------------------------------------------

# git_start ARGUMENT...: a controller whose only source is $URL, looked at each second.
git_start() {
	local dir arguments
	dir=$(inst_dir)
	mapfile -t arguments < <(inst_run_arguments | sed '/^--manifests$/,+1d')
	"$BOTTLER" "${arguments[@]}" --git "$URL" --path bottles --interval 1s "$@" </dev/null >>"$dir/log" 2>&1 3>&- &
	printf '%s\n' $! >"$dir/pid"
	wait_for 20 bottler_get
}
# source_is FILTER: the jq filter holds for the source in the status.
source_is() {
	local json
	json=$(bottler_get) || return 1
	jq -e ".controller.git | $1" <<<"$json" >/dev/null || { jq -c .controller.git <<<"$json"; return 1; }
}
at_revision() { source_is ".revision == \"$1\" and .problem == null"; }
refused() { source_is "(.problem // \"\") | contains(\"$1\")"; }
# of_revision NAME GENERATION COMMIT
of_revision() { bottle_is "$1" ".metadata.generation == $2 and .metadata.source.revision == \"$3\""; }
told_times() { grep -c "event=$1 count=1 " "$(inst_dir)/log" || true; }
is_told() { [ "$(told_times "$1")" -eq "$2" ] || { printf '%s was told %s times\n' "$1" "$(told_times "$1")"; return 1; }; }

@test "a push is followed, a broken commit moves nothing and says where, a rewritten history is followed" {
	local first second broken
	git_daemon_start
	suspended one >"$WORK/bottles/one.yaml"
	suspended two >"$WORK/bottles/two.yaml"
	printf 'not: [for us\n' >"$WORK/other.yaml"
	commit
	first=$(head_id)
	git_start
	wait_for 30 at_revision "$first"
	wait_for 10 of_revision one 1 "$first"
	bottle_is one '.metadata.source.file == "git:bottles/one.yaml" and .metadata.source.line >= 1'
	wait_for 10 of_revision two 1 "$first"
	[ "$(bottler_get | jq -r '[.items[].metadata.name] | join(" ")')" = 'one two' ]
	source_is '.url == "'"$URL"'" and .ref == "HEAD" and .path == "bottles" and .fetchedAt and .nextFetchAt'
	run "$BOTTLER" get -o wide --socket "$(inst_dir)/socket"
	[[ ${lines[0]} == *" SOURCE  REVISION  MESSAGE" && $output == *" git:bottles/one.yaml  $first  "* ]]

	suspended one '.metadata.labels = {team: "platform"}' >"$WORK/bottles/one.yaml"
	commit
	second=$(head_id)
	wait_for 30 of_revision one 2 "$second"
	of_revision two 1 "$second"

	suspended one '.spec.agent.imagee = "x"' >"$WORK/bottles/one.yaml"
	commit
	broken=$(head_id)
	wait_for 30 at_revision "$broken"
	wait_for 10 condition_says one SpecAccepted False Invalid
	bottle_is one 'condition("SpecAccepted") | .message | test("git:bottles/one\\.yaml:[0-9]+:[0-9]+: spec\\.agent\\.imagee: unknown field")'
	[ "$(generation one)" -eq 2 ]
	condition_says two SpecAccepted True

	push "$second"
	wait_for 30 at_revision "$second"
	wait_for 10 condition_says one SpecAccepted True
	of_revision one 2 "$second"
	is_told SourceUpdated 4
	is_told SourceRefused 0
	is_told SourceUnreachable 0

	# The state directory holds the three trees that were last, and its link names the one that counts.
	[ "$(readlink "$(inst_dir)/state/source/current")" = "trees/$second" ]
	[ "$(find "$(inst_dir)/state/source/trees" -mindepth 1 -maxdepth 1 | wc -l)" -eq 3 ]

	# A file of a commit is never half written.
	{ suspended two && printf '%s\n' --- && suspended three; } >"$WORK/bottles/two.yaml"
	commit
	wait_for 30 of_revision three 1 "$(head_id)"
	suspended two >"$WORK/bottles/two.yaml"
	commit
	wait_for 30 condition_says three SpecAccepted False Removed
}

@test "a remote that is away, a path and a ref that are gone: the last revision stays, also over a restart" {
	local first
	git_daemon_start
	suspended one >"$WORK/bottles/one.yaml"
	commit
	first=$(head_id)
	git_start --ref main
	wait_for 30 of_revision one 1 "$first"
	server_stop daemon
	wait_for 30 refused 'asking for refs'
	of_revision one 1 "$first"
	condition_says one SpecAccepted True
	is_told SourceUnreachable 1

	controller_stop
	git_start --ref main
	wait_for 30 refused 'asking for refs'
	of_revision one 1 "$first"
	condition_says one SpecAccepted True

	git_daemon_start
	wait_for 30 at_revision "$first"
	is_told SourceReachable 1
	git -C "$WORK" mv bottles elsewhere
	commit
	wait_for 30 refused "has no directory 'bottles'"
	of_revision one 1 "$first"
	git -C "$SRV/site.git" update-ref -d refs/heads/main
	wait_for 30 refused "no branch or tag 'main'"
	of_revision one 1 "$first"
	condition_says one SpecAccepted True
	is_told SourceRefused 2
	[ "$(generation one)" -eq 1 ]
}

@test "an unsigned commit is refused, one signed by somebody else too, a signed one counts" {
	local first dir=$BATS_TEST_TMPDIR key
	git_daemon_start
	for key in ada eve; do ssh-keygen -q -t ed25519 -N '' -f "$dir/$key"; done
	printf 'ada@example.com %s\n' "$(cut -d' ' -f1,2 "$dir/ada.pub")" >"$dir/signers"
	git -C "$WORK" config gpg.format ssh
	git -C "$WORK" config commit.gpgsign true
	git -C "$WORK" config user.signingkey "$dir/ada"
	suspended one >"$WORK/bottles/one.yaml"
	commit
	first=$(head_id)
	git_start --verify "$dir/signers"
	wait_for 30 of_revision one 1 "$first"

	suspended one '.metadata.labels = {by: "nobody"}' >"$WORK/bottles/one.yaml"
	git -C "$WORK" config commit.gpgsign false
	commit
	wait_for 30 refused "commit $(head_id) is not signed by one of"
	git -C "$WORK" config commit.gpgsign true
	git -C "$WORK" config user.signingkey "$dir/eve"
	commit
	wait_for 30 refused "commit $(head_id) is not signed by one of"
	of_revision one 1 "$first"
	is_told SourceRefused 2

	git -C "$WORK" config user.signingkey "$dir/ada"
	commit
	wait_for 30 at_revision "$(head_id)"
	wait_for 10 of_revision one 2 "$(head_id)"
}

@test "over ssh with the user's key; a host that is not known is not asked" {
	local dir=$BATS_TEST_TMPDIR/ssh
	sshd_start
	suspended one >"$WORK/bottles/one.yaml"
	commit
	URL=ssh://root@127.0.0.1:$SSH_PORT$SRV/site.git
	: >"$dir/known"
	export GIT_SSH_COMMAND="ssh -F none -oBatchMode=yes -oIdentitiesOnly=yes -i $dir/user -oUserKnownHostsFile=$dir/known -oGlobalKnownHostsFile=none"
	git_start
	wait_for 30 refused 'Host key verification failed'
	bottler_get | json_holds '.items == [] and .controller.manifestsKnown == false and (.controller.problem | contains("nothing has been fetched from git"))'
	printf '[127.0.0.1]:%s %s\n' "$SSH_PORT" "$(cut -d' ' -f1,2 "$dir/host.pub")" >"$dir/known"
	wait_for 30 at_revision "$(head_id)"
	wait_for 10 of_revision one 1 "$(head_id)"
	: >"$dir/authorized"
	wait_for 30 refused 'Permission denied'
	of_revision one 1 "$(head_id)"
}

@test "over https, with a credential helper, and never without either key" {
	local dir=$BATS_TEST_TMPDIR first
	unset GIT_SSL_CAINFO GIT_SSL_CAPATH # which outrank the configuration
	https_start
	suspended one >"$WORK/bottles/one.yaml"
	commit
	first=$(head_id)
	# Nobody's certificate.
	git_start
	wait_for 30 refused 'certificate'
	[ ! -s "$dir/https.log" ]
	git config --global http.sslCAInfo "$dir/tls/ca.pem"
	# Nobody's credentials, and nobody is asked for them.
	wait_for 30 refused 'could not read Username'
	[[ "$(<"$dir/https.log")" != *' 200'* ]]
	# The helper gives them out, for this host alone.
	printf 'ada:first-password-0123\n' >"$USERS"
	cat >"$dir/helper" <<-END
		#!/bin/sh
		[ "\$1" = get ] && grep -qx "host=localhost:$HTTPS_PORT" && printf 'username=ada\npassword=%s\n' "\$(cat $dir/password)"
	END
	chmod +x "$dir/helper"
	printf 'first-password-0123' >"$dir/password"
	git config --global credential.helper "$dir/helper"
	wait_for 30 at_revision "$first"
	wait_for 10 of_revision one 1 "$first"
	grep -q '^/site.git/git-upload-pack ada 200$' "$dir/https.log"

	# Another password: the last good commit stays until the helper knows it.
	printf 'ada:second-password-0123\n' >"$USERS"
	suspended one '.metadata.labels = {team: "platform"}' >"$WORK/bottles/one.yaml"
	commit
	wait_for 30 refused 'Authentication failed'
	of_revision one 1 "$first"
	printf 'second-password-0123' >"$dir/password"
	wait_for 30 at_revision "$(head_id)"
	wait_for 10 of_revision one 2 "$(head_id)"
	# Told to nobody.
	run grep -rlE '(first|second)-password' "$(inst_dir)"
	[ "$status" -eq 1 ]
}

# 960 are there to be extended, by 40 whose names are listed before theirs: a part of the commit would be full of errors.
@test "a thousand manifests in a commit are one change" {
	local number watcher dir=$BATS_TEST_TMPDIR
	git_daemon_start
	suspended one >"$WORK/bottles/one.yaml"
	commit
	git_start
	wait_for 30 of_revision one 1 "$(head_id)"
	"$BOTTLER" get -w -o json --socket "$(inst_dir)/socket" >"$dir/watched" 2>/dev/null 3>&- &
	watcher=$!
	wait_for 30 seen "$dir/watched" 1
	suspended NAME '.spec = {abstract: true}' | jq -c . >"$dir/abstract"
	suspended NAME '.spec.extends = "z-NAME"' | jq -c . >"$dir/concrete"
	for number in $(seq 960); do
		sed "s/NAME/z-b$number/" "$dir/abstract" >"$WORK/bottles/z-b$number.yaml"
	done
	for number in $(seq 921 960); do
		sed "s/NAME/b$number/g" "$dir/concrete" >"$WORK/bottles/b$number.yaml"
	done
	[ "$(find "$WORK/bottles" -name '*b*.yaml' | wc -l)" -eq 1000 ]
	commit
	wait_for 60 at_revision "$(head_id)"
	wait_for 60 all_accepted 41
	is_told SourceUpdated 2
	is_told Invalid 0
	# Never a part of them.
	wait_for 30 seen "$dir/watched" '1 41'
	kill "$watcher"
}
# seen FILE NUMBERS: how many bottles there were in what a watcher was told.
seen() {
	local numbers
	numbers=$(jq -c '.items | length' "$1" | sort -nu | paste -sd' ')
	[ "$numbers" = "$2" ] || { printf '%s\n' "$numbers"; return 1; }
}
all_accepted() {
	local n
	n=$(bottler_get | jq '[.items[] | select(.status.conditions[]? | .type == "SpecAccepted" and .status == "True")] | length')
	[ "$n" -eq "$1" ] || { printf '%s are accepted\n' "$n"; return 1; }
}

@test "an empty commit says that there are none: a listing, not a fault" {
	git_daemon_start
	suspended one >"$WORK/bottles/one.yaml"
	commit
	git_start --path '' --delete-grace 0s
	wait_for 30 of_revision one 1 "$(head_id)"
	bottle_is one '.metadata.source.file == "git:bottles/one.yaml"'
	git -C "$WORK" rm -qr .
	commit
	wait_for 30 at_revision "$(head_id)"
	# Gone, or held by what guards deletions.
	wait_for 60 none_wanted
	bottler_get | json_holds '.controller | .manifestsKnown and .problem == null and .git.problem == null'
}
none_wanted() { bottler_get | json_holds 'all(.items[]; any(.status.conditions[]; .type == "PruneHeld" and .status == "True"))'; }

@test "beside a directory; --once and plan look once and say what stood in the way" {
	local dir
	dir=$(inst_dir)
	git_daemon_start
	suspended one >"$WORK/bottles/one.yaml"
	commit
	suspended local | put local.yaml
	controller_start --git "$URL" --path bottles
	wait_for 30 of_revision one 1 "$(head_id)"
	bottle_is local '.metadata.source.revision == null and (.metadata.source.file | endswith("/manifests/local.yaml"))'
	# Of a name that both have, the directory's is taken.
	suspended local '.metadata.labels = {from: "git"}' >"$WORK/bottles/local.yaml"
	commit
	"$BOTTLER" reconcile --all --with-source --socket "$dir/socket"
	wait_for 30 at_revision "$(head_id)"
	wait_for 10 grep -q 'bottle=local event=AlsoDefined .*git:bottles/local.yaml' "$dir/log"
	[ "$(generation local)" -eq 1 ]
	controller_stop

	suspended two >"$WORK/bottles/two.yaml"
	git -C "$WORK" rm -qf bottles/local.yaml
	commit
	mkdir -- "$BATS_TEST_TMPDIR/temporary"
	TMPDIR=$BATS_TEST_TMPDIR/temporary run "$BOTTLER" plan -o json --git "$URL" --path bottles --state "$BATS_TEST_TMPDIR/none" \
		--engine "$DOCKER_HOST" --instance "$INST"
	[ "$status" -le 1 ]
	jq -e '[.bottles[].bottle] | sort == ["one", "two"]' <<<"$output"
	[ ! -e "$BATS_TEST_TMPDIR/none" ]
	rmdir -- "$BATS_TEST_TMPDIR/temporary" # nothing is left in it

	# A plan that is carried out later fetches again.
	run "$BOTTLER" plan --out "$BATS_TEST_TMPDIR/plan" --git "$URL" --path bottles --state "$dir/state" --engine "$DOCKER_HOST" --instance "$INST"
	[ "$status" -le 1 ]
	jq -e --arg url "$URL" '.options.git == {url: $url, ref: null, path: "bottles", verify: null}' "$BATS_TEST_TMPDIR/plan"
	# What it was made for is looked for where it came from: the bottle of a later commit has moved.
	suspended one '.metadata.labels = {team: "platform"} | .spec.egress.routes[0].methods = ["GET"]' >"$WORK/bottles/one.yaml"
	commit
	run "$BOTTLER" apply "$BATS_TEST_TMPDIR/plan"
	printf '%s\n' "$output"
	[ "$status" -ne 0 ]
	[[ $output == *"one: spec.egress.routes"* ]]

	server_stop daemon
	run "$BOTTLER" plan --git "$URL" --state "$BATS_TEST_TMPDIR/none" --engine "$DOCKER_HOST" --instance "$INST"
	[ "$status" -eq 2 ]
	[[ $output == *"nothing has been fetched from git '$URL' yet: asking for refs: "* ]]
	run "$BOTTLER" run --once --git "$URL" --path bottles --state "$dir/state" --engine "$DOCKER_HOST" --instance "$INST"
	[ "$status" -eq 1 ]
	[[ $output == *"event=SourceUnreachable"* ]]
}

@test "a tree that couldn't be read for a while is read again without a new commit" {
	local tree
	git_daemon_start
	suspended one >"$WORK/bottles/one.yaml"
	commit
	git_start
	wait_for 30 of_revision one 1 "$(head_id)"
	tree=$(inst_dir)/state/source/trees/$(head_id)
	mv -- "$tree" "$tree.away"
	run "$BOTTLER" reconcile one --with-source --socket "$(inst_dir)/socket"
	[ "$status" -eq 4 ] # suspended: but the manifests were listed
	wait_for 30 condition_says one SpecAccepted Unknown SourceUnreadable
	mv -- "$tree.away" "$tree"
	wait_for 30 condition_says one SpecAccepted True
	of_revision one 1 "$(head_id)"
}

@test "a look is had at once by asking for it" {
	git_daemon_start
	suspended one >"$WORK/bottles/one.yaml"
	commit
	git_start --interval 1h
	wait_for 30 of_revision one 1 "$(head_id)"
	suspended one '.metadata.labels = {team: "platform"}' >"$WORK/bottles/one.yaml"
	commit
	run "$BOTTLER" reconcile --all --with-source --socket "$(inst_dir)/socket"
	printf '%s: %s\n' "$status" "$output"
	wait_for 30 of_revision one 2 "$(head_id)"
}

@test "what can't be a source is refused at once" {
	local args
	for args in '--git ext::sh%20-c%20id' '--git http://git.example.com/x' '--git git://h/x --ref -u' '--git git://h/x --path ../x' \
		'--git git://h/x --verify /no/such/file' '--manifests /tmp --ref main' '--git git://h/x --interval 0s' '--interval 5s'; do
		# shellcheck disable=SC2086 # several arguments
		run "$BOTTLER" run $args --state "$(inst_dir)/state" --engine "$DOCKER_HOST"
		printf '%s: %s %s\n' "$args" "$status" "$output"
		[ "$status" -eq 2 ]
		[[ $output == *expected* || $output == *'--git URL'* ]]
	done
	run "$BOTTLER" run --git https://ada:hunter2@git.example.com/x --ref -u --state "$(inst_dir)/state" --engine "$DOCKER_HOST"
	[ "$status" -eq 2 ]
	[[ $output != *hunter2* ]]
}

@test "a bottle runs as a commit says, and an edit of its routes restarts nothing" {
	local started
	with_bottle
	git_daemon_start
	bottle one >"$WORK/bottles/one.yaml"
	commit
	git_start --interval 1h
	wait_ready one
	answers one 200 https://api.example.com/repos/acme/site
	started=$(container_started one agent)
	bottle one '.spec.egress.routes[0].path_allowlist = ["/repos/other/"]' >"$WORK/bottles/one.yaml"
	commit
	"$BOTTLER" reconcile one --with-source --timeout 60 --socket "$(inst_dir)/socket"
	is_ready one
	answers one 403 https://api.example.com/repos/acme/site
	[ "$(container_started one agent)" = "$started" ]
	of_revision one 2 "$(head_id)"
}

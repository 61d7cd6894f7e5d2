#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Whatever writes the manifests, and however fast: each edit is one generation, and what lies between two of them is never
# applied. The bottles are suspended: nothing of them has to run.

load lib

setup_file() { E2E_PARTS=engine e2e_engine_start; }
teardown_file() { e2e_engine_stop; }
setup() { e2e_setup; }
teardown() { installations_end; }

# parked NAME STEP: a suspended bottle that carries a label.
parked() {
	cat <<END
apiVersion: bottler.dev/v1
kind: Bottle
metadata:
  name: $1
  labels:
    step: "$2"
spec:
  suspend: true
  agent:
    image: $BOTTLER_IMAGE_AGENT
    command: [sleep, infinity]
    env:
      ONE: "1"
      TWO: "2"
END
}

# at_step NAME STEP GENERATION: that is what is accepted, without a word against it.
at_step() {
	bottle_is "$1" ".metadata.labels.step == \"$2\" and .metadata.generation == $3
		and (condition(\"SpecAccepted\") | .status == \"True\")"
}

counter() { bottler_get | jq -er ".controller.source.$1"; }
counter_is() { bottler_get | json_holds ".controller.source | $1"; }

vi_command() { command -v vim.tiny || command -v vim; }
# vi_edit OPTION OLD NEW
vi_edit() {
	"$(vi_command)" -N -u NONE -i NONE -e -s -c "set $1" -c "%s/step: \"$2\"/step: \"$3\"/" -c wq -- "$(manifests)/one.yaml"
}

@test "every editor's and every tool's way of writing a file is one edit" {
	local file
	file=$(manifests)/one.yaml
	controller_start
	parked one 1 >"$BATS_TEST_TMPDIR/one.yaml"
	cp -- "$BATS_TEST_TMPDIR/one.yaml" "$file"
	wait_for 20 at_step one 1 1

	# vi: in place, by a rename, and with a swap file and a backup beside it.
	vi_edit backupcopy=yes 1 2
	wait_for 20 at_step one 2 2
	vi_edit backupcopy=no 2 3
	wait_for 20 at_step one 3 3
	vi_edit 'swapfile backup writebackup backupskip=' 3 4
	wait_for 20 at_step one 4 4
	[ -e "$file~" ]

	sed -i 's/step: "4"/step: "5"/' "$file"
	wait_for 20 at_step one 5 5

	parked one 6 >"$BATS_TEST_TMPDIR/one.yaml"
	cp -- "$BATS_TEST_TMPDIR/one.yaml" "$file"
	wait_for 20 at_step one 6 6

	# Over a file system's border it is no rename, but that looks like cp.
	parked one 7 >"$(inst_dir)/one.yaml"
	mv -- "$(inst_dir)/one.yaml" "$file"
	wait_for 20 at_step one 7 7

	parked one 8 >"$BATS_TEST_TMPDIR/one.yaml"
	# Of one size and one second, rsync takes two files for the same.
	rsync --times --ignore-times "$BATS_TEST_TMPDIR/one.yaml" "$file"
	wait_for 20 at_step one 8 8
	parked one 9 >"$BATS_TEST_TMPDIR/one.yaml"
	rsync --inplace --no-whole-file --ignore-times "$BATS_TEST_TMPDIR/one.yaml" "$file"
	wait_for 20 at_step one 9 9

	# Emacs: a lock, an autosave of half the text, the old file renamed to the backup, the new one written.
	python3 - "$file" <<'END'
import os, sys
path = sys.argv[1]
folder, name = os.path.split(path)
text = open(path).read().replace('"9"', '"10"')
os.symlink("ada@host.example.com:1", os.path.join(folder, ".#" + name))
open(os.path.join(folder, "#" + name + "#"), "w").write(text[: len(text) // 2])
os.rename(path, path + "~")
with open(path, "w") as f:
    f.write(text)
    f.flush()
    os.fsync(f.fileno())
os.unlink(os.path.join(folder, "#" + name + "#"))
os.unlink(os.path.join(folder, ".#" + name))
END
	wait_for 20 at_step one 10 10

	# What changes no byte, or no word, is no edit.
	touch "$file"
	chmod 0600 "$file"
	printf '# a word\n' >>"$file"
	mv -- "$file" "$(manifests)/renamed.yaml"
	wait_for 20 bottle_is one '.metadata.source.file | endswith("renamed.yaml")'
	at_step one 10 10
}

# in_git ARGUMENT...: in the directory of the manifests, as nobody's settings have it.
in_git() {
	HOME=$BATS_TEST_TMPDIR GIT_CONFIG_NOSYSTEM=1 git -C "$(manifests)" -c user.name=Ada -c user.email=ada@example.com "$@"
}

@test "git checkout between branches: what is checked out last counts" {
	local i
	in_git init --quiet --initial-branch a
	for i in 1 2 3 4 5; do parked "one-$i" a | put "$i.yaml"; done
	in_git add .
	in_git commit --quiet --message a
	in_git checkout --quiet -b b
	for i in 1 2 3; do parked "one-$i" b | put "$i.yaml"; done
	parked six b | put six.yaml
	in_git add .
	in_git commit --quiet --message b
	in_git checkout --quiet a
	controller_start
	for i in 1 2 3 4 5; do wait_for 20 at_step "one-$i" a 1; done
	in_git checkout --quiet b
	for i in 1 2 3; do wait_for 20 at_step "one-$i" b 2; done
	wait_for 20 at_step six b 1
	# To and fro: nobody counts what was passed on the way, but it ends where it ends.
	for i in 1 2 3 4 5 6 7 8 9 10; do
		in_git checkout --quiet a
		in_git checkout --quiet b
	done
	in_git checkout --quiet a
	for i in 1 2 3; do
		wait_for 20 bottle_is "one-$i" '.metadata.labels.step == "a" and (condition("SpecAccepted").status == "True")'
	done
	for i in 4 5; do at_step "one-$i" a 1; done
}

# burst N: N changes of files, in turn, the last of which says step "last".
burst() {
	parked one last | python3 -c '
import os, sys
folder, n, last = sys.argv[1], int(sys.argv[2]), sys.stdin.read()
for i in range(n):
    path = os.path.join(folder, "two.yaml" if i % 2 else "one.yaml")
    with open(path, "w") as f:
        f.write("kind: [" if i % 3 else "")
os.unlink(os.path.join(folder, "two.yaml"))
with open(os.path.join(folder, "one.yaml"), "w") as f:
    f.write(last)
' "$(manifests)" "$1"
}

# flood N: N events that say nothing, each of another file than the one before.
flood() {
	python3 -c '
import os, sys
for i in range(int(sys.argv[2])):
    os.utime(os.path.join(sys.argv[1], "noise-%d" % (i % 2)))
' "$(manifests)" "$1"
}

@test "10,000 changes in a burst: few listings, none of the garbage, the right end" {
	local listings hints
	controller_start
	parked one first | put one.yaml
	wait_for 20 at_step one first 1
	listings=$(counter listings)
	hints=$(counter hints)
	burst 10000
	wait_for 30 at_step one last 2
	# Some of it was looked at, at least once a second; what wasn't, wasn't worth it.
	[ "$(($(counter listings) - listings))" -lt 100 ]
	[ "$(counter hints)" -gt "$hints" ]
	counter_is '.missedEventsFoundByRelist == 0'
}

@test "more events than the kernel keeps: the right end, and the loss is counted" {
	local limit pid
	read -r limit </proc/sys/fs/inotify/max_queued_events
	controller_start
	parked one first | put one.yaml
	wait_for 20 at_step one first 1
	counter_is '.overflows == 0'
	touch -- "$(manifests)/noise-0" "$(manifests)/noise-1"
	read -r pid <"$(inst_dir)/pid"
	kill -s STOP "$pid"
	flood "$limit"
	burst 20
	kill -s CONT "$pid"
	wait_for 30 at_step one last 2
	counter_is '.overflows >= 1'
}

@test "a change that no event tells of is found by the relist, and counted" {
	local writer
	controller_start
	parked one first | put one.yaml
	wait_for 20 at_step one first 1
	counter_is '.missedEventsFoundByRelist == 0'
	# A writer that doesn't close the file.
	parked one other | python3 -c '
import os, sys, time
fd = os.open(sys.argv[1], os.O_WRONLY)
os.write(fd, sys.stdin.buffer.read())
time.sleep(120)
' "$(manifests)/one.yaml" 3>&- &
	writer=$!
	wait_for 45 at_step one other 2
	counter_is '.missedEventsFoundByRelist == 1 and .relists >= 1'
	kill "$writer"
}

#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The egress image by itself: nothing of the program can be changed by the user that it runs as.

load lib

setup_file() { E2E_PARTS=engine e2e_engine_start; }
teardown_file() { e2e_engine_stop; }
setup() { e2e_setup; }

# in_image COMMAND...: as the image's own user, with what bottler gives a sidecar.
in_image() {
	docker run --rm --network none --cap-drop ALL --security-opt no-new-privileges --entrypoint "$1" "$BOTTLER_IMAGE_EGRESS" "${@:2}"
}

@test "the program, its interpreter and everything that it imports belong to root, and its user can write none of it" {
	cat >"$BATS_TEST_TMPDIR/look.py" <<-'END'
		import json, os, sys

		sys.path.insert(0, "/opt/bottler/egress")
		looked, found = 0, []
		# ModuleNotFoundError here: the list would not be that of the program.
		import mitmproxy, main, addon, bounds, shims  # noqa: F401

		def look(path):
		    global looked
		    looked += 1
		    about = os.stat(path)
		    if os.access(path, os.W_OK) or about.st_uid == os.getuid() or about.st_mode & 0o022:
		        found.append([path, oct(about.st_mode), about.st_uid])

		roots = {"/opt/bottler", "/etc/bottler", os.path.realpath(sys.executable)}
		roots |= {os.path.realpath(entry) for entry in sys.path if os.path.exists(entry)}
		for root in sorted(roots):
		    look(root)
		    for directory, directories, files in os.walk(root):
		        for name in directories + files:
		            if not os.path.islink(os.path.join(directory, name)):
		                look(os.path.join(directory, name))
		loaded = [module.__file__ for module in list(sys.modules.values()) if getattr(module, "__file__", None)]
		roots |= {os.path.realpath(path) for path in loaded}  # some are links to elsewhere
		for path in loaded:
		    look(os.path.realpath(path))
		for root in roots:  # nor what stands above
		    while root != "/":
		        root = os.path.dirname(root)
		        look(root)
		print(json.dumps({"uid": os.getuid(), "looked": looked, "found": found, "loaded": len(loaded), "path": sys.path, "isolated": sys.flags.isolated}))
	END
	run in_image /usr/bin/python3 -I -B -c "$(cat -- "$BATS_TEST_TMPDIR/look.py")"
	printf '%s\n' "$output"
	[ "$status" -eq 0 ]
	jq -e '.uid == 10001 and .isolated == 1 and .looked > 1000 and .loaded > 100 and .found == []' <<<"$output"
	jq -e '.path | all(. != "" and (startswith("/tmp") | not))' <<<"$output"
}

@test "it can't be written, replaced or added to; and it leaves no byte code" {
	local command
	for command in 'echo x >>addon.py' 'rm -f addon.py' 'mv addon.py x.py' 'touch sitecustomize.py' 'mkdir __pycache__' 'chmod u+w addon.py' \
		'ln -s /tmp/x.py os.py' 'echo x >/etc/bottler/routes.yaml' 'touch /usr/lib/python3/dist-packages/x.py'; do
		run in_image /bin/sh -c "cd /opt/bottler/egress && $command"
		printf '%s: %s %s\n' "$command" "$status" "$output"
		[ "$status" -ne 0 ]
		[[ $output == *'ermission denied'* || $output == *'not permitted'* ]]
	done
	# The positive control: what may be written can be.
	in_image /bin/sh -c 'echo x >/tmp/x && test -s /tmp/x'
	# Started, it finds no files of the controller's: 70, and nothing new beside it.
	run in_image /bin/sh -c '/opt/bottler/egress/egress; echo "exit $?"; find /opt /etc/bottler /usr -xdev -newer /proc/1 -print'
	printf '%s\n' "$output"
	[ "$(grep -c . <<<"$output")" -eq 2 ]
	[[ ${lines[0]} == *'"event": "error", "where": "start"'* ]]
	[ "${lines[1]}" = 'exit 70' ]
}

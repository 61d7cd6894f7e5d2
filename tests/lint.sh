#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Formatters, linters and the house rules that a program can check. Ends with "N passed, N failed".
set -uo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." || exit 2
mapfile -t C_FILES < <(git ls-files --cached --others --exclude-standard '*.c' '*.h')
mapfile -t OWN_C < <(printf '%s\n' "${C_FILES[@]}" | grep -E '^(spec|render|reconcile|controller)/.*\.c$')
mapfile -t SHELL_FILES < <(git ls-files --cached --others --exclude-standard '*.sh' '*.bash' '*.bats' .ci/run tests/run tests/egress/run tests/probe/run)
mkdir -p build/log
passed=0 failed=0

# lint NAME COMMAND…: passes when the command succeeds.
lint() {
	local name=$1 log=build/log/lint-$1.log
	shift
	if "$@" >"$log" 2>&1; then
		passed=$((passed + 1))
		printf 'ok   lint/%s\n' "$name"
	else
		failed=$((failed + 1))
		printf 'FAIL lint/%s\n' "$name"
		head -n 40 -- "$log"
	fi
}

check_format() { clang-format --dry-run -Werror "${C_FILES[@]}"; }

# A layer includes only itself and those before it.
check_layers() {
	local bad
	bad=$(
		grep -nE '#include "(render|reconcile|controller)/' spec/*.[ch] spec/base/*.[ch]
		grep -nE '#include "(reconcile|controller)/' render/*.[ch]
		grep -nE '#include "controller/' reconcile/*.[ch]
		grep -nE '#include "(spec/[a-z]|render|reconcile|controller)' spec/base/*.[ch] | grep -v '"spec/base/'
	)
	[ -z "$bad" ] || { printf '%s\n' "$bad"; return 1; }
}

# Files of at most 600 lines, functions of at most 100; the longest may only get shorter.
check_sizes() {
	awk 'FNR == 1 { if (n > 600) { print file ": " n " lines"; bad = 1 } file = FILENAME; n = 0 }
	     { n++ } END { if (n > 600) { print file ": " n " lines"; bad = 1 } exit bad }' "${C_FILES[@]}" || return 1
	awk '/^[a-z].*[^;]$/ && !/^(struct|enum|union|typedef|static const|extern)[^(]*$/ { head = FNR; name = $0 }
	     /^\{/ { start = FNR }
	     /^\}/ { if (start && FNR - start > 100) { print FILENAME ":" start ": " FNR - start " lines: " name; bad = 1 } start = 0 }
	     END { exit bad }' "${C_FILES[@]}"
}

# Every header compiles alone.
check_headers() {
	local h bad=0
	for h in $(printf '%s\n' "${C_FILES[@]}" | grep -E '^(spec|render|reconcile|controller)/.*\.h$'); do
		printf '#include "%s"\n' "$h" | gcc -std=gnu17 -D_GNU_SOURCE -I. -Wall -Wextra -Werror -fsyntax-only -xc - || bad=1
	done
	return $bad
}

check_spdx() {
	local f bad=0
	for f in "${C_FILES[@]}" "${SHELL_FILES[@]}" $(git ls-files --cached --others --exclude-standard '*.py'); do
		head -n 3 -- "$f" | grep -q 'SPDX-License-Identifier: Apache-2.0' || { echo "$f: no SPDX line"; bad=1; }
	done
	return $bad
}

check_cppcheck() {
	cppcheck -q -j2 --std=c11 --language=c -I. --enable=warning,performance,portability --inline-suppr \
		--error-exitcode=1 --suppress=missingIncludeSystem --suppress=nullPointerOutOfMemory \
		--suppress=internalAstError --suppress=unknownMacro "${OWN_C[@]}"
}

check_tidy() {
	local includes
	includes=$(pkg-config --cflags jansson libcurl yaml-0.1 openssl libsystemd libmicrohttpd libarchive)
	# shellcheck disable=SC2086
	printf '%s\0' "${OWN_C[@]}" | xargs -0 -n 6 -P 2 sh -c '
		flags=$0; clang-tidy --quiet --warnings-as-errors="*" "$@" -- $flags' \
		"-std=gnu17 -D_GNU_SOURCE -I. -include spec/base/banned.h -DBOTTLER_VERSION=\"0\" $includes"
}

lint format check_format
lint layers check_layers
lint sizes check_sizes
lint headers check_headers
lint spdx check_spdx
lint shellcheck shellcheck -x -S warning "${SHELL_FILES[@]}"
lint cppcheck check_cppcheck
lint tidy check_tidy
[ -z "${BOTTLER_TEST_TALLY:-}" ] || echo "$passed $failed 0" >>"$BOTTLER_TEST_TALLY"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

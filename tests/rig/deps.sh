#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# deps.sh PACKAGE…: installs the Debian packages that are missing; "a|b" is satisfied by either. Does nothing, and
# asks nobody, when all are there.
set -euo pipefail

have() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

missing=()
for wanted in "$@"; do
	found=
	for package in ${wanted//|/ }; do
		if have "$package"; then found=1; fi
	done
	[ -n "$found" ] || missing+=("${wanted%%|*}")
done
[ ${#missing[@]} -gt 0 ] || exit 0

command -v apt-get >/dev/null || {
	echo "deps: missing: ${missing[*]}; this machine has no apt-get, install them by hand" >&2
	exit 1
}
as_root=()
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null || {
		echo "deps: missing: ${missing[*]}; installing them needs root or sudo" >&2
		exit 1
	}
	as_root=(sudo)
fi
echo "deps: installing ${missing[*]}" >&2
log=$(mktemp)
trap 'rm -f -- "$log"' EXIT
install_all() {
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1
}
# The lists may be old or absent: a first try without them costs a second.
if ! install_all; then
	"${as_root[@]}" apt-get update >"$log" 2>&1 || { cat -- "$log" >&2; exit 1; }
	install_all || { cat -- "$log" >&2; exit 1; }
fi

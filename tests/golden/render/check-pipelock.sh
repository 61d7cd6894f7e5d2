#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# check-pipelock.sh FILE…: the real pipelock accepts each rendered file, and reads out of it what
# was put in. BOTTLER_PIPELOCK is its binary; without one the check is skipped aloud, or fails
# under BOTTLER_TEST_STRICT=1. Nothing is sent anywhere: `pipelock check` without --url only reads.
set -euo pipefail

fail() {
    echo "check-pipelock: $*" >&2
    exit 1
}

[ $# -gt 0 ] || fail "usage: check-pipelock.sh FILE…"
if [ -z "${BOTTLER_PIPELOCK:-}" ]; then
    [ "${BOTTLER_TEST_STRICT:-}" = 1 ] && fail "BOTTLER_PIPELOCK isn't set: no pipelock to check with"
    echo "check-pipelock: SKIPPED, BOTTLER_PIPELOCK isn't set"
    exit 0
fi
[ -x "$BOTTLER_PIPELOCK" ] || fail "$BOTTLER_PIPELOCK: not a program"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
umask 077
openssl ecparam -name prime256v1 -genkey -noout -out "$tmp/ca-key.pem"
openssl req -x509 -new -key "$tmp/ca-key.pem" -subj /CN=check -days 1 -out "$tmp/ca.pem"

check() { # FILE: pipelock's words on stdout
    env -i HOME="$tmp" PATH=/usr/bin:/bin "$BOTTLER_PIPELOCK" check -c "$1" 2>&1
}

# The files name the CA where it is in the container; here it is elsewhere.
relocate() { # FROM TO
    sed -e "s#\"/etc/bottler/ca\\.pem\"#\"$tmp/ca.pem\"#" \
        -e "s#\"/etc/bottler/ca-key\\.pem\"#\"$tmp/ca-key.pem\"#" "$1" >"$2"
    [ "$(grep -c -F "\"$tmp/ca" "$2")" = 2 ] || fail "$1: doesn't name the CA's two files once each"
}

has() { # WHAT-PIPELOCK-SAID WORDS
    grep -q -E "$2" <<<"$1"
}

# A checker that accepts everything proves nothing.
relocate "$1" "$tmp/good.yaml"
{ cat "$tmp/good.yaml" && echo "no_such_key: true"; } >"$tmp/bad.yaml"
if said=$(check "$tmp/bad.yaml"); then
    fail "this pipelock accepts an unknown key"
fi
has "$said" 'no_such_key' || fail "this pipelock doesn't name the unknown key: $said"
sed -e '/^api_allowlist:/,/^seed_phrase_detection:/{/^- /d}' "$tmp/good.yaml" >"$tmp/bad.yaml"
if said=$(check "$tmp/bad.yaml"); then
    fail "this pipelock accepts strict mode without a host"
fi
has "$said" 'strict mode requires' || fail "refused for another reason: $said"

n=0
for file in "$@"; do
    relocate "$file" "$tmp/file.yaml"
    said=$(check "$tmp/file.yaml") || fail "$file: refused: $said"
    hosts=$(sed -n -e '/^api_allowlist:/,/^seed_phrase_detection:/p' "$file" | grep -c '^- "')
    has "$said" "API allowlist: +$hosts domains" || fail "$file: $hosts hosts, but: $said"
    has "$said" 'Mode: +strict' || fail "$file: not strict: $said"
    has "$said" 'Listen: +0\.0\.0\.0:8888' || fail "$file: listens elsewhere: $said"
    if has "$said" '[Ww]arning'; then
        fail "$file: warned of: $said"
    fi
    n=$((n + 1))
done
echo "check-pipelock: $n files accepted by $BOTTLER_PIPELOCK"

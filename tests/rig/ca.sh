#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A certificate authority for one test run, and the upstream server's certificate:
#
#   ca.sh DIR [NAME...]     DIR/ca.pem, ca-key.pem, server.pem (with the chain), server-key.pem
#
# Valid for three days. NAMEs are added to *.example.com, *.example.org and *.example.net.

set -euo pipefail
umask 077

main() {
	local dir=$1 names=('*.example.com' '*.example.org' '*.example.net' example.com example.org) alt name
	shift
	names+=("$@")
	mkdir -p -- "$dir"
	alt=
	for name in "${names[@]}"; do
		alt+=${alt:+,}DNS:$name
	done
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3 -sha256 \
		-subj '/CN=bottler test upstream CA' -keyout "$dir/ca-key.pem" -out "$dir/ca.pem" \
		-addext 'basicConstraints=critical,CA:TRUE,pathlen:0' \
		-addext 'keyUsage=critical,keyCertSign,cRLSign' 2>/dev/null
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256 \
		-subj '/CN=bottler test upstream' -keyout "$dir/server-key.pem" -out "$dir/server.csr" 2>/dev/null
	openssl x509 -req -in "$dir/server.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca-key.pem" \
		-set_serial "0x$(openssl rand -hex 12)" -days 3 -sha256 -out "$dir/leaf.pem" \
		-extfile <(printf '%s\n' "subjectAltName=$alt" 'basicConstraints=critical,CA:FALSE' \
			'keyUsage=critical,digitalSignature' 'extendedKeyUsage=serverAuth' \
			'subjectKeyIdentifier=hash' 'authorityKeyIdentifier=keyid:always') 2>/dev/null
	cat -- "$dir/leaf.pem" "$dir/ca.pem" >"$dir/server.pem"
	rm -f -- "$dir/leaf.pem" "$dir/server.csr"
	chmod 0644 -- "$dir/ca.pem" "$dir/server.pem"
}

if [ $# -lt 1 ]; then
	printf 'usage: ca.sh DIR [NAME...]\n' >&2
	exit 2
fi
main "$@"

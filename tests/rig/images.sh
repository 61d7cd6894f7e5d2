#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes every image that the tests and the demo need, on this machine, as tar files for `docker load`:
#
#   images.sh [DIR]      DIR defaults to build/images; DIR/images.env names the images afterwards
#
# What is there and was made from the same inputs is left alone. Root file systems come from the
# machine's own apt sources by mmdebstrap; images are built by a private engine without a way out,
# never by the user's. pipelock is taken from the first of these that is there:
#   1. the program that BOTTLER_PIPELOCK names;
#   2. a `pipelock` on the PATH that says it is the wanted version;
#   3. its Go module, installed by version (with Go's own toolchain module where Go is too old).

set -euo pipefail
# shellcheck source=tests/rig/engine.sh
. "$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)/engine.sh"

PIPELOCK_VERSION=2.3.0
PIPELOCK_MODULE=github.com/luckyPipewrench/pipelock
# The commit of tag v2.3.0. Its go.mod has no /v2 suffix, so Go takes the tag itself for no version of the module.
PIPELOCK_COMMIT=7a3b7de4a5552b4e756eb930256468b7cbd616b1
GO_TOOLCHAIN=1.25.0
TAG=dev
ENGINE=img-$$
REPO=$(cd -- "$RIG_DIR/../.." && pwd)

step() { printf 'images: %-10s %s\n' "$1" "$2"; }
fail() { printf 'images: %s\n' "$*" >&2; exit 1; }

# hash_of INPUT...: the hash of words and of the contents of files and directories.
hash_of() {
	local input
	for input in "$@"; do
		if [ -d "$input" ]; then
			find "$input" -type f -not -name '*.pyc' -not -path '*/__pycache__/*' -print0 | LC_ALL=C sort -z |
				xargs -0 -r sha256sum
		elif [ -f "$input" ]; then
			sha256sum <"$input"
		else
			printf '%s\n' "$input"
		fi
	done | sha256sum | cut -d' ' -f1
}

fresh() { [ -s "$OUT/$1" ] && [ "$(cat -- "$OUT/.stamps/$1" 2>/dev/null)" = "$2" ]; }
stamp() { printf '%s\n' "$2" >"$OUT/.stamps/$1"; }

# make_file FILE STAMP COMMAND...: runs COMMAND to make OUT/FILE unless it is fresh; tells how long it took.
make_file() {
	local file=$1 wanted=$2 began=$SECONDS
	shift 2
	if fresh "$file" "$wanted"; then
		step "$file" "up to date"
		return 0
	fi
	rm -f -- "$OUT/.stamps/$file"
	if ! "$@" "$OUT/$file" >"$WORK/$file.log" 2>&1; then
		tail -n 30 -- "$WORK/$file.log" >&2
		fail "$file could not be made"
	fi
	stamp "$file" "$wanted"
	step "$file" "$((SECONDS - began)) s"
}

# The root file system: packages' documentation and everything that tells of this machine stay out.
# shellcheck disable=SC2016 # the hook's $1 is the root directory that mmdebstrap hands it
make_root() {
	local packages=$1 out=$2
	mmdebstrap --quiet --variant=minbase --format=tar --include="$packages" \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
		--customize-hook='cd "$1" && rm -rf etc/apt/sources.list etc/apt/sources.list.d/* \
			etc/apt/auth.conf.d/* etc/hostname etc/resolv.conf etc/machine-id var/lib/dbus/machine-id \
			etc/dpkg/dpkg.cfg.d/99mmdebstrap var/log/* var/cache/ldconfig/* var/cache/debconf/*-old \
			var/lib/dpkg/*-old var/lib/apt/lists/* && : >etc/machine-id' \
		"$CODENAME" "$out" "$WORK/sources.list"
}

# A Go that is new enough, as a command with its environment; older ones fetch the toolchain module.
go_command() {
	local minor dir
	command -v go >/dev/null 2>&1 || "$RIG_DIR/deps.sh" golang-go || fail "pipelock needs Go to be built"
	minor=$(go env GOVERSION | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
	if [ "${minor:-0}" -ge 21 ]; then
		GO=(env GOTOOLCHAIN=auto go)
		return 0
	fi
	mkdir -p -- "$WORK/bootstrap"
	dir=$(cd -- "$WORK/bootstrap" && go mod download -json \
		"golang.org/toolchain@v0.0.1-go$GO_TOOLCHAIN.linux-$(go env GOARCH)" |
		python3 -c 'import json, sys; print(json.load(sys.stdin)["Dir"])')
	# A module's files are never executable, as they come.
	chmod -R u+w -- "$dir"
	chmod -R a+x -- "$dir/bin" "$dir/pkg/tool"
	GO=(env GOTOOLCHAIN=local GOROOT="$dir" "$dir/bin/go")
}

pipelock_from_path() {
	local found
	found=$(command -v pipelock 2>/dev/null) &&
		"$found" version 2>/dev/null | grep -qwF "$PIPELOCK_VERSION" && printf '%s\n' "$found"
}

make_pipelock() {
	local out=$1 given GO=()
	if given=${BOTTLER_PIPELOCK:-$(pipelock_from_path)} && [ -n "$given" ]; then
		install -m 0755 -- "$given" "$out"
		return 0
	fi
	# Both caches are this run's own; -modcacherw keeps the module cache removable.
	export GOPATH=$WORK/go GOCACHE=$WORK/go-build GOBIN=$WORK/go-bin GOFLAGS=-modcacherw CGO_ENABLED=0
	go_command
	if ! "${GO[@]}" install -trimpath -ldflags "-s -w \
		-X $PIPELOCK_MODULE/internal/cliutil.Version=$PIPELOCK_VERSION \
		-X $PIPELOCK_MODULE/internal/proxy.Version=$PIPELOCK_VERSION" \
		"$PIPELOCK_MODULE/cmd/pipelock@$PIPELOCK_COMMIT"; then
		printf '%s\n' "pipelock $PIPELOCK_VERSION can't be had from the Go module registry that is set up here." \
			"Put the program on the PATH, or name it: BOTTLER_PIPELOCK=/path/to/pipelock make check"
		return 1
	fi
	install -m 0755 -- "$GOBIN/pipelock" "$out"
}

pipelock_input() {
	local given
	if given=${BOTTLER_PIPELOCK:-$(pipelock_from_path)} && [ -n "$given" ]; then
		[ -x "$given" ] || fail "BOTTLER_PIPELOCK names no program: $given"
		printf '%s\n' "$given"
	else
		printf 'go install\n'
	fi
}

make_tiny() { gcc -Os -static -o "$1" "$RIG_DIR/images/tiny.c" && strip -- "$1"; }

builder() {
	[ -z "${DOCKER_HOST:-}" ] || return 0
	local began=$SECONDS
	DOCKER_HOST=$(RIG_OWNER=$$ engine_start "$ENGINE") || fail "the building engine does not start"
	export DOCKER_HOST DOCKER_BUILDKIT=0
	unset DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_CERT_PATH
	step engine "$((SECONDS - began)) s"
}

# import ROOT: the root file system as an image that Dockerfiles can start from, once a run.
import_root() {
	builder || return 1
	docker image inspect "bottler-test/base-$1:1" >/dev/null 2>&1 ||
		docker import --change 'CMD ["bash"]' --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
			"$OUT/.$1.root.tar" "bottler-test/base-$1:1" >/dev/null
}

# build_image REFERENCE CONTEXT-MAKER OUT: the context maker fills a directory with a Dockerfile.
build_image() {
	local reference=$1 maker=$2 out=$3 context
	context=$(mktemp -d -- "$WORK/context.XXXXXX")
	builder && "$maker" "$context" || return 1
	docker build --quiet --network none --tag "$reference" -- "$context" && docker save --output "$out" -- "$reference"
}

context_agent() {
	import_root small || return 1
	cat >"$1/Dockerfile" <<-'END'
		FROM bottler-test/base-small:1
		RUN useradd --uid 1000 --create-home --shell /bin/bash agent && mkdir /work && chown 1000:1000 /work
		USER 1000:1000
		WORKDIR /home/agent
		CMD ["sleep", "infinity"]
	END
}

context_upstream() {
	import_root small && install -m 0644 -- "$RIG_DIR/upstream/server.py" "$1/server.py" || return 1
	cat >"$1/Dockerfile" <<-'END'
		FROM bottler-test/base-small:1
		COPY server.py /opt/upstream/server.py
		RUN mkdir /etc/upstream
		EXPOSE 443
		ENTRYPOINT ["python3", "-u", "/opt/upstream/server.py", "--cert", "/etc/upstream/server.pem", "--key", "/etc/upstream/server-key.pem"]
	END
}

context_tiny() {
	install -m 0755 -- "$OUT/.tiny" "$1/tiny" &&
		printf '%s\n' 'FROM scratch' 'COPY tiny /tiny' 'USER 1000:1000' 'CMD ["/tiny"]' >"$1/Dockerfile"
}

context_root() {
	install -m 0755 -- "$OUT/.tiny" "$1/tiny" &&
		printf '%s\n' 'FROM scratch' 'COPY tiny /tiny' 'CMD ["/tiny"]' >"$1/Dockerfile"
}

context_pipelock() {
	# The roots of the small root file system, not this machine's, which may hold others.
	install -D -m 0755 -- "$OUT/.pipelock" "$1/pipelock" && mkdir -- "$1/certs" &&
		tar -xOf "$OUT/.small.root.tar" ./etc/ssl/certs/ca-certificates.crt >"$1/certs/ca-certificates.crt" || return 1
	cat >"$1/Dockerfile" <<-'END'
		FROM scratch
		COPY certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
		COPY pipelock /pipelock
		EXPOSE 8888
		ENTRYPOINT ["/pipelock"]
	END
}

make_egress() {
	import_root mitm || return 1
	docker build --quiet --network none --build-arg BASE=bottler-test/base-mitm:1 \
		--tag "bottler/egress:$TAG" -- "$REPO/sidecars/egress" && docker save --output "$1" -- "bottler/egress:$TAG"
}

write_env() {
	cat >"$OUT/images.env.new" <<-END
		BOTTLER_IMAGE_EGRESS=bottler/egress:$TAG
		BOTTLER_IMAGE_PIPELOCK=bottler-test/pipelock:$PIPELOCK_VERSION
		BOTTLER_IMAGE_AGENT=bottler-test/agent:1
		BOTTLER_IMAGE_UPSTREAM=bottler-test/upstream:1
		BOTTLER_IMAGE_TINY=bottler-test/tiny:1
		BOTTLER_IMAGE_ROOT=bottler-test/root:1
	END
	mv -- "$OUT/images.env.new" "$OUT/images.env"
}

clean_up() {
	local status=$? job tries
	trap - EXIT
	# A job is a process group of its own; mmdebstrap takes its temporary root away when told to end.
	for job in $(jobs -p); do
		kill -TERM -- "-$job" 2>/dev/null || continue
		for ((tries = 0; tries < 150; tries++)); do
			kill -0 -- "-$job" 2>/dev/null || break
			sleep 0.1
		done
	done
	[ ! -d "$(engine_dir "$ENGINE")" ] || engine_stop "$ENGINE" || status=1
	rm -rf -- "$WORK" || status=1
	exit "$status"
}

main() {
	local began=$SECONDS roots_stamp pipelock_stamp small mitm job jobs=()
	OUT=$(realpath -m -- "${1:-$RIG_BUILD/images}")
	unset DOCKER_HOST
	rig_need_root
	rig_need mmdebstrap docker dockerd gcc openssl python3 curl sha256sum
	mkdir -p -- "$OUT/.stamps"
	exec 9>"$OUT/.lock"
	flock 9
	WORK=$(mktemp -d -- "$OUT/.work.XXXXXX")
	chmod 0755 -- "$WORK"
	export TMPDIR=$WORK
	trap clean_up EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	CODENAME=$(. /etc/os-release && printf '%s\n' "${VERSION_CODENAME:-}")
	python3 "$RIG_DIR/images/sources.py" "$CODENAME" >"$WORK/sources.list" || fail "no Debian package sources"

	small=ca-certificates,curl,git,python3
	mitm=ca-certificates,mitmproxy
	roots_stamp=$(hash_of "$CODENAME" "$(declare -f make_root)")
	pipelock_stamp=$(hash_of "$PIPELOCK_VERSION" "$(pipelock_input)")
	set -m
	make_file .small.root.tar "$(hash_of "$roots_stamp" "$small")" make_root "$small" &
	jobs+=($!)
	make_file .mitm.root.tar "$(hash_of "$roots_stamp" "$mitm")" make_root "$mitm" &
	jobs+=($!)
	make_file .tiny "$(hash_of "$RIG_DIR/images/tiny.c")" make_tiny
	for job in "${jobs[@]}"; do
		wait "$job" || fail "stopped"
	done
	set +m
	small=$(cat -- "$OUT/.stamps/.small.root.tar")
	mitm=$(cat -- "$OUT/.stamps/.mitm.root.tar")
	make_file tiny.tar "$(hash_of "$(declare -f context_tiny)" "$OUT/.tiny")" build_image bottler-test/tiny:1 context_tiny
	make_file root.tar "$(hash_of "$(declare -f context_root)" "$OUT/.tiny")" build_image bottler-test/root:1 context_root
	make_file agent.tar "$(hash_of "$(declare -f context_agent)" "$small")" build_image bottler-test/agent:1 context_agent
	make_file upstream.tar "$(hash_of "$(declare -f context_upstream)" "$small" "$RIG_DIR/upstream")" \
		build_image bottler-test/upstream:1 context_upstream
	make_file egress.tar "$(hash_of "$(declare -f make_egress)" "$mitm" "$REPO/sidecars/egress")" make_egress
	# Last: all the others are there when this one can't be had.
	if [ "${BOTTLER_TEST_WITHOUT:-}" = pipelock ] || { [ -n "${RIG_PIPELOCK_OPTIONAL:-}" ] && ! can_pipelock; }; then
		step pipelock "CAN'T BE HAD here: tests that need it are skipped, or fail under BOTTLER_TEST_STRICT=1"
		step pipelock "name the program to run them: BOTTLER_PIPELOCK=/path/to/pipelock"
		rm -f -- "$OUT/.pipelock" "$OUT/pipelock.tar"
		write_env
		return 0
	fi
	make_file .pipelock "$pipelock_stamp" make_pipelock
	make_file pipelock.tar "$(hash_of "$(declare -f context_pipelock)" "$small" "$OUT/.pipelock")" \
		build_image "bottler-test/pipelock:$PIPELOCK_VERSION" context_pipelock
	write_env
	step all "$((SECONDS - began)) s, in $OUT"
}

# Can pipelock be had at all? Asks only for the module's description.
can_pipelock() {
	local given
	given=${BOTTLER_PIPELOCK:-$(pipelock_from_path || true)}
	if [ -n "$given" ]; then
		[ -x "$given" ]
		return
	fi
	command -v go >/dev/null 2>&1 || "$RIG_DIR/deps.sh" golang-go >&2 || return 1
	(cd / && timeout 60 go list -m "$PIPELOCK_MODULE@$PIPELOCK_COMMIT") >/dev/null 2>&1
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
	if [ "${1:-}" = can-pipelock ]; then
		can_pipelock
		exit
	fi
	main "$@"
fi

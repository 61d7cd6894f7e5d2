#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The real pipelock accepts every file that bottler renders for it.

load lib

@test "pipelock check accepts every rendered pipelock.yaml" {
	[ -x "$E2E_IMAGES/.pipelock" ] || e2e_missing pipelock
	cd -- "$BATS_TEST_DIRNAME/../.." || return 1
	BOTTLER_PIPELOCK=$E2E_IMAGES/.pipelock tests/golden/render/check-pipelock.sh tests/golden/render/*/pipelock.yaml
}

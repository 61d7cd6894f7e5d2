#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Forty bottles on one engine, ten more than its own address pools have networks for.

load lib

setup_file() { e2e_engine_start tiny; }
teardown_file() { e2e_engine_stop; }
setup() { e2e_setup; }
teardown() { installations_end; }

COUNT=${E2E_SCALE:-40}

ready_count() {
	bottler_get | jq '[.items[] | .metadata.generation as $g |
		select(.status.conditions[]? | .type == "Ready" and .status == "True" and .observedGeneration == $g)] | length'
}
all_ready() { local n && n=$(ready_count) && printf '%s of %s are ready\n' "$n" "$COUNT" && [ "$n" -eq "$COUNT" ]; }

@test "$COUNT bottles are all ready, their networks never overlap, and all go again" {
	local number subnets
	for number in $(seq "$COUNT"); do
		bottle "b$number" '.spec.agent |= (.image = env.BOTTLER_IMAGE_TINY | .command = ["/tiny"] | del(.user))' |
			put "b$number.yaml"
	done
	controller_start
	wait_for 600 all_ready
	subnets=$(docker network ls --quiet --filter type=custom | xargs docker network inspect --format '{{(index .IPAM.Config 0).Subnet}}')
	[ "$(wc -l <<<"$subnets")" -eq $((3 * COUNT)) ]
	python3 -c '
import ipaddress, sys
nets = sorted(ipaddress.ip_network(line.strip()) for line in sys.stdin)
for one, two in zip(nets, nets[1:]):
    assert not one.overlaps(two), f"{one} overlaps {two}"
' <<<"$subnets"
	rm -- "$(manifests)"/*.yaml
	wait_for 600 nothing
}

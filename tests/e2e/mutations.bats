#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The escape suite can fail: for every guard that is taken away, by hand and with the controller gone, it turns red, and
# names what is open.

load lib
load escape

setup_file() {
	e2e_engine_start agent
	[ -z "${E2E_SKIP:-}" ] || return 0
	export E2E_ROOT=$BATS_FILE_TMPDIR
	inst_make
	engine_world "$E2E_ENGINE" "$RIG_CANARY" 169.254.169.254
	escape_secrets
	escape_bottle one | put one.yaml
}
teardown_file() { e2e_engine_stop; }

setup() {
	e2e_setup
	MARK=$(upstream_mark)
	WORLD=$(engine_world_mark "$E2E_ENGINE")
}

# The bottle as bottler makes it, and nobody who mends it. `fresh KIND`: what mutations of that one kind left is good enough,
# since the next one undoes it.
fresh() {
	local arguments
	[ -z "${1:-}" ] || [ "$(cat "$BATS_FILE_TMPDIR/kind" 2>/dev/null)" != "$1" ] || return 0
	docker ps --all --quiet | xargs -r docker rm --force --volumes >/dev/null
	docker network ls --quiet --filter type=custom | xargs -r docker network rm >/dev/null
	mapfile -t arguments < <(inst_run_arguments)
	"$BOTTLER" "${arguments[@]}" --once >>"$(inst_dir)/log" 2>&1
	printf '%s\n' "${1:-none}" >"$BATS_FILE_TMPDIR/kind"
	docker inspect "$(container one agent)" >"$BATS_FILE_TMPDIR/agent.json"
}

mutate() { python3 "$RIG_DIR/mutate.py" "$@"; }
mutate_agent() { mutate container "$(container one agent)" "$1" "$BATS_FILE_TMPDIR/agent.json"; }
mutate_network() { mutate network "$INST.one.$1" "$2"; }

# A change to the egress proxy's program: stdin is Python that replaces parts of it.
mutate_egress() {
	local name
	name=$(container one egress)
	cat >"$BATS_TEST_TMPDIR/mutation.py"
	docker cp "$name:/opt/bottler/egress/addon.py" "$BATS_TEST_TMPDIR/addon.py" >/dev/null
	chmod 0644 -- "$BATS_TEST_TMPDIR"/{addon,mutation}.py
	grep -qx 'import mutation' "$BATS_TEST_TMPDIR/addon.py" || printf '\nimport mutation\n' >>"$BATS_TEST_TMPDIR/addon.py"
	docker cp "$BATS_TEST_TMPDIR/addon.py" "$name:/opt/bottler/egress/addon.py" >/dev/null
	docker cp "$BATS_TEST_TMPDIR/mutation.py" "$name:/opt/bottler/egress/mutation.py" >/dev/null
	docker restart --time 1 "$name" >/dev/null
	wait_for 30 introspects
}
introspects() { in_agent one curl --silent --fail --max-time 5 --proxy http://egress:9099 --output /dev/null http://_egress.local/allowlist; }

# A change to pipelock's file, by sed; in a new process.
mutate_pipelock() {
	local name
	name=$(container one pipelock)
	docker cp "$name:/etc/bottler/pipelock.yaml" "$BATS_TEST_TMPDIR/old" >/dev/null
	sed -E "$@" "$BATS_TEST_TMPDIR/old" >"$BATS_TEST_TMPDIR/new"
	! cmp -s "$BATS_TEST_TMPDIR/old" "$BATS_TEST_TMPDIR/new" || return 1
	chmod 0644 -- "$BATS_TEST_TMPDIR/new"
	docker cp "$BATS_TEST_TMPDIR/new" "$name:/etc/bottler/pipelock.yaml" >/dev/null
	docker restart --time 1 "$name" >/dev/null
	wait_for 30 answers one 200 https://files.example.org/up
}

# Runs what it is given: it fails.
turns_red() {
	local output
	if output=$("$@" 2>&1); then
		printf 'still passes: %s\n' "$*"
		return 1
	fi
}

# attest ARGUMENT...: on the engine's own host, as somebody would run it there; the report is left in $REPORT.
REPORT_FILE=report.json
attest() {
	REPORT=$BATS_TEST_TMPDIR/$REPORT_FILE
	engine_exec "$E2E_ENGINE" "$BOTTLER" attest one --engine "$DOCKER_HOST" --instance "$INST" --target "$RIG_CANARY:443" \
		--target "$RIG_CANARY:53/udp" -o json "$@" >"$REPORT" 2>"$REPORT.err"
}

# red "GLOB..." ID-PATTERN...: attest with --only each GLOB says open, exits with 1, and of the results that match each
# pattern (as jq takes them) at least one is open that was refused on the bottle as bottler makes it.
red() {
	local only=() glob pattern status=0
	for glob in $1; do
		only+=(--only "$glob")
	done
	shift
	attest "${only[@]}" || status=$?
	for pattern in "$@"; do
		jq -e --arg p "^($pattern)\$" '[.results[] | select(.verdict == "open" and (.id | test($p)))] | length > 0' "$REPORT" >/dev/null &&
			jq -e --arg p "^($pattern)\$" '[.results[] | select(.verdict == "denied" and (.id | test($p)))] | length > 0' \
				"$BATS_FILE_TMPDIR/baseline.json" >/dev/null || {
			printf 'not open, or not refused before: %s\n' "$pattern"
			report
			return 1
		}
	done
	[ "$status" -eq 1 ] && jq -e '.verdict == "open"' "$REPORT" >/dev/null || { printf 'status %s\n' "$status" && report && return 1; }
}
report() {
	jq -c '.verdict, .summary, (.controls[] | select(.ok | not)), (.results[] | select(.verdict == "open" or .verdict == "error") | [.as, .id, .verdict, .evidence])' "$REPORT" |
		head -n 40
	cat -- "$REPORT.err"
}

@test "nothing is open while every guard is there" {
	fresh
	local status=0
	attest || status=$?
	cp -- "$REPORT" "$BATS_FILE_TMPDIR/baseline.json"
	[ "$status" -eq 0 ] && jq -e '.verdict == "sealed"' "$REPORT" || { report; false; }
	expect '' engine_world_seen "$E2E_ENGINE" "$WORLD"
}

# ---- networks ------------------------------------------------------------------------------------

@test "red: the agent's network without inhibit_ipv4" {
	fresh
	mutate_network agent '{"Options": {"com.docker.network.bridge.inhibit_ipv4": null}}'
	red 'N1.* N2.*203.0.113.66* N10.tcp.host.* I.net-agent.*' 'N1\.gateway' 'N2\.tcp\.203\.0\.113\.66\.443' 'N10\.tcp\.host\..*' 'I\.net-agent\.gateway'
	# And the world has seen it: from the agent's own address.
	[ -n "$(engine_world_seen "$E2E_ENGINE" "$WORLD")" ]
}

@test "red: the agent's network not internal" {
	fresh
	mutate_network agent '{"Internal": false, "Options": {"com.docker.network.bridge.inhibit_ipv4": null}}'
	red 'N2.*203.0.113.66* N7.tcp.169* I.net-agent.*' 'N2\.udp\.203\.0\.113\.66\.53' 'N7\.tcp\.169\.254\.169\.254\.80' 'I\.net-agent\.internal'
	[ -n "$(engine_world_seen "$E2E_ENGINE" "$WORLD")" ]
	# Also while it has no gateway yet.
	mutate_network agent '{"Options": {"com.docker.network.bridge.inhibit_ipv4": "true"}}'
	red 'I.net-agent.*' 'I\.net-agent\.internal'
}

@test "red: a host that takes what comes past the routes" {
	fresh
	local bridge
	bridge=$(engine_bridge "$INST.one.agent")
	engine_exec "$E2E_ENGINE" sysctl -qw "net.ipv4.conf.$bridge.rp_filter=0" "net.ipv4.conf.$bridge.arp_ignore=0"
	red 'N11.onlink.*203.0.113.66' 'N11\.onlink\.udp\.bound\..*'
}

@test "red: pipelock on the agent's network" {
	fresh
	docker network connect --alias pipelock "$INST.one.agent" "$(container one pipelock)"
	red 'N10.tcp.pipelock.* N10.name.* I.pipelock.* I.net-agent.*' 'N10\.tcp\.pipelock\..*\.8888' 'N10\.name\.pipelock' 'I\.pipelock\.networks' \
		'I\.net-agent\.members'
}

@test "red: the agent on pipelock's networks, and a stranger on the agent's" {
	fresh
	docker network connect "$INST.one.chain" "$(container one agent)"
	red 'N10.tcp.pipelock.* N10.interfaces I.agent.networks' 'N10\.tcp\.pipelock\..*\.8888' N10.interfaces 'I\.agent\.networks'
	docker network disconnect "$INST.one.chain" "$(container one agent)"
	docker network connect "$INST.one.out" "$(container one agent)"
	red 'N1.* N2.tcp.203* N10.interfaces I.agent.networks' 'N2\.tcp\.203\.0\.113\.66\.443' 'N1\.gateway' 'N10\.interfaces' 'I\.agent\.networks'
	[ -n "$(engine_world_seen "$E2E_ENGINE" "$WORLD")" ]
	docker network disconnect "$INST.one.out" "$(container one agent)"
	docker run --detach --name stranger --network "$INST.one.agent" --network-alias egress "$BOTTLER_IMAGE_AGENT" sleep infinity
	red 'N10.neighbour.* N14.* I.net-agent.*' 'N10\.neighbour\..*' 'N14\.alias' 'I\.net-agent\.members'
}

@test "red: a network with IPv6" {
	fresh
	mutate_network agent '{"EnableIPv6": true, "IPAM": {"Config": [
		{"Subnet": "'"$(docker network inspect --format '{{(index .IPAM.Config 0).Subnet}}' "$INST.one.agent")"'"}, {"Subnet": "fd00:213::/64"}]}}'
	red 'N8.* I.net-agent.*' 'N8\.address' 'I\.net-agent\.ipv6'
}

@test "red: the chain's network without its guards" {
	fresh
	mutate_network chain '{"Internal": false, "Options": {"com.docker.network.bridge.inhibit_ipv4": null}}'
	red 'I.net-*' 'I\.net-chain\.internal' 'I\.net-chain\.gateway'
}

# ---- names ---------------------------------------------------------------------------------------

@test "red: an agent without a resolver of its own" {
	fresh agent
	local resolver=$BATS_TEST_TMPDIR/resolv.conf dir
	dir=$(engine_dir "$E2E_ENGINE")
	# The engine's own resolver is on loopback, as on many a host: 20.10 asks it on behalf of internal networks, too.
	engine_spawn "$E2E_ENGINE" "$BATS_TEST_TMPDIR/dns.err" python3 "$RIG_DIR/dns.py" 127.0.0.53 "$dir/dns.table" "$BATS_TEST_TMPDIR/dns.log" >/dev/null
	wait_for 30 test -e "$BATS_TEST_TMPDIR/dns.log"
	cp -- "$dir/resolv.conf" "$resolver"
	printf 'nameserver 127.0.0.53\noptions timeout:1 attempts:1\n' >"$dir/resolv.conf"
	mutate_agent '{"HostConfig": {"Dns": null}}'
	red 'N4.* I.agent.dns' 'N4\.udp\.A' 'N4\.name\.long-labels' 'N4\.libc\.4' 'I\.agent\.dns'
	grep -q canary.example.net "$BATS_TEST_TMPDIR/dns.log"
	cat -- "$resolver" >"$dir/resolv.conf"
}

# ---- the agent's container -----------------------------------------------------------------------

@test "red: an agent with capabilities" {
	fresh agent
	mutate_agent '{"HostConfig": {"CapDrop": null}}'
	red 'H2.capabilities.* H3.* N11.socket.* I.agent.capabilities' 'H2\.capabilities\.bounding' 'N11\.socket\..*' 'H3\.chown' 'I\.agent\.capabilities'
	mutate_agent '{"HostConfig": {"CapDrop": ["ALL"], "CapAdd": ["NET_ADMIN"]}}'
	red 'H2.capabilities.* N11.netlink.* I.agent.capabilities' 'H2\.capabilities\.effective' 'N11\.netlink\..*' 'I\.agent\.capabilities'
	mutate_agent '{"HostConfig": {"CapAdd": ["NET_RAW"]}}'
	red 'N11.socket.* I.agent.capabilities' 'N11\.socket\..*' 'I\.agent\.capabilities'
}

@test "red: a privileged agent" {
	fresh agent
	mutate_agent '{"HostConfig": {"Privileged": true}}'
	red 'H1.* H2.* I.agent.*' 'H2\.seccomp' 'H2\.capabilities\.bounding' 'H2\.devices' 'I\.agent\.privileged'
}

@test "red: an agent with a device, and without limits" {
	fresh agent
	mutate_agent '{"HostConfig": {"Devices": [{"PathOnHost": "/dev/kmsg", "PathInContainer": "/dev/kmsg", "CgroupPermissions": "rwm"}],
		"Memory": 0, "MemorySwap": 0, "PidsLimit": 0, "MaskedPaths": [], "ReadonlyPaths": []}}'
	red 'H2.device* H2.write* H2.masked* I.agent.*' 'H2\.device\.kmsg' 'I\.agent\.devices' 'I\.agent\.limits' 'I\.agent\.proc'
}

@test "red: an agent without no-new-privileges, without seccomp" {
	fresh agent
	mutate_agent '{"HostConfig": {"SecurityOpt": null}}'
	red 'H2.no-new-privs I.agent.no-new-privileges' 'H2\.no-new-privs' 'I\.agent\.no-new-privileges'
	mutate_agent '{"HostConfig": {"SecurityOpt": ["no-new-privileges", "seccomp=unconfined"]}}'
	red 'H2.* I.agent.confinement' 'H2\.seccomp' 'I\.agent\.confinement'
}

@test "red: an agent with the engine's socket" {
	fresh agent
	mutate_agent '{"HostConfig": {"Binds": ["'"${DOCKER_HOST#unix://}"':/var/run/docker.sock"]}}'
	red 'H1.* I.agent.mounts' 'H1\..*' 'I\.agent\.mounts'
}

@test "red: an agent in namespaces of the host" {
	fresh agent
	mutate_agent '{"HostConfig": {"PidMode": "host"}}'
	red 'H10.* I.agent.pid' 'H10\.(processes|namespace\.pid)' 'I\.agent\.pid'
	mutate_agent '{"HostConfig": {"IpcMode": "host", "UTSMode": "host"}, "Hostname": ""}'
	red 'H10.* I.agent.*' 'H10\.namespace\.ipc' 'H10\.namespace\.uts' 'I\.agent\.ipc' 'I\.agent\.uts'
}

@test "red: an agent with a published port" {
	fresh agent
	mutate_agent '{"HostConfig": {"PortBindings": {"8080/tcp": [{"HostPort": "18080"}]}}, "ExposedPorts": {"8080/tcp": {}}}'
	red 'I.agent.ports' 'I\.agent\.ports'
}

@test "red: sidecars with more than they need" {
	fresh
	mutate container "$(container one egress)" '{"User": "0:0", "HostConfig": {"CapDrop": null, "SecurityOpt": null, "Sysctls": null, "RestartPolicy": {"Name": "always"}}}'
	mutate container "$(container one pipelock)" '{"HostConfig": {"PortBindings": {"8888/tcp": [{"HostPort": "18888"}]}}, "ExposedPorts": {"8888/tcp": {}}}'
	red 'I.egress.* I.pipelock.*' 'I\.egress\.capabilities' 'I\.egress\.no-new-privileges' 'I\.egress\.user' 'I\.egress\.forwarding' \
		'I\.egress\.restart' 'I\.pipelock\.ports'
}

# ---- the first key -------------------------------------------------------------------------------

@test "red: egress without the head decision" {
	fresh egress
	mutate_egress <<-'END'
		import policy
		def allow(head, tunnel, table):
		    return policy.Decision(True, "mutation", route=table.routes[tunnel.host], host=tunnel.host, method=head.method, path=head.path)
		policy.decide_inside = allow
	END
	red 'P*' 'P4\..*' 'P9\..*' 'P5\..*'
	# And what was refused is now the upstream's to see.
	[ -n "$(upstream_brief "$MARK" | grep -vF 'api.example.com GET /repos/acme/')" ]
}

@test "red: egress that carries what isn't TLS" {
	fresh egress
	mutate_egress <<-'END'
		import addon
		from mitmproxy import ctx
		E = addon.Egress
		E._wrong_layer = lambda self, nextlayer: None
		E.tcp_start = E.tcp_message = lambda self, flow: None
		running = E.running
		def start(self):
		    ctx.options.update(rawtcp=True)
		    running(self)
		E.running = start
	END
	red 'P2.*' 'P2\..*'
}

@test "red: egress that lets every port through" {
	fresh egress
	mutate_egress <<-'END'
		import policy
		split = policy.split_authority
		def decide(head, table):
		    host, port = split(head.target)
		    if host in table.routes:
		        return policy.Decision(True, "mutation", route=table.routes[host], host=host, port=port, status=200)
		    return policy.Decision(False, "host", host=host or "")
		policy.decide_connect = decide
	END
	red 'P1.*' 'P1\..*'
}

@test "red: egress that doesn't compare the server name" {
	fresh egress
	mutate_egress <<-'END'
		import policy
		policy._check_channel = lambda tunnel: None
	END
	red 'P3.*' 'P3\..*'
}

@test "red: egress that doesn't compare the Host header" {
	fresh egress
	mutate_egress <<-'END'
		import policy
		policy._check_target = lambda head, host: None
	END
	red 'P4.* P5.*' 'P4\..*'
}

@test "red: egress without path rules" {
	fresh egress
	mutate_egress <<-'END'
		import policy
		policy._path_holds = lambda match, head: True
		policy.paths.path_error = lambda path: None
	END
	red 'P13.* P9.*' 'P13\.inside\.path\..*'
}

@test "red: egress without method rules" {
	fresh egress
	mutate_egress <<-'END'
		import dataclasses, policy
		check = policy._check_route
		def anyhow(head, route):
		    return check(head, dataclasses.replace(route, matches=tuple(dataclasses.replace(m, methods=()) for m in route.matches)))
		policy._check_route = anyhow
		policy._check_overrides = lambda head, route: None
	END
	red 'P9.* P13.*' 'P9\..*'
}

@test "red: egress without a list of hosts" {
	fresh egress
	mutate_egress <<-'END'
		import policy
		from routes import CANARY_HOST, Route
		real = policy._route
		policy._route = lambda table, host: real(table, host) if host == CANARY_HOST else table.routes.get(host) or Route(host)
	END
	red 'N5.*' 'N5\.connect\.canary' 'N5\.connect\.canary-label'
	# The second key holds: nobody asked for the name.
	run names_asked
	[[ $output != *canary* ]]
}

@test "red: egress that takes every head for a plain one" {
	fresh egress
	mutate_egress <<-'END'
		import shims
		from head import Head, HeadError
		strict = shims.parse_head
		def lenient(lines):
		    try:
		        return strict(lines)
		    except HeadError:
		        method, target = (part.decode("latin-1") for part in lines[0].split()[:2])
		        fields = {}
		        for line in lines[1:]:
		            name, _, value = line.partition(b":")
		            fields.setdefault(name.strip().lower(), (name.strip(), value.strip()))
		        return Head(method=method, target=target, version="HTTP/1.1", fields=tuple(fields.values()))
		shims.parse_head = lenient
	END
	red 'P4.* P2.request.* P23.*' 'P(2|4)\..*'
}

@test "red: egress without the rules about pushes, other methods' names, credentials in queries, and upgrades" {
	fresh egress
	mutate_egress <<-'END'
		import policy
		policy.paths.git_push = lambda *request: False
		policy._check_overrides = lambda head, route: None
		policy._check_route = lambda head, route: "mutation"
		inside = policy.decide_inside
		def keep(head, tunnel, table):
		    class NoUpgrade:
		        def __getattr__(self, name):
		            return getattr(head, name)
		        def values(self, name):
		            return [] if name == b"upgrade" else head.values(name)
		    return inside(NoUpgrade(), tunnel, table)
		policy.decide_inside = keep
	END
	red 'P9.* P12.* P13.* P14.*' 'P13\.inside\.git-push.*' 'P9\.inside\.override\..*' 'P12\.inside\.query\..*' 'P14\.inside\.websocket'
}

@test "red: egress that leaves the agent's credentials in" {
	fresh egress
	mutate_egress <<-'END'
		import forward
		forward.carries_credential = lambda name: False
		forward._DROPPED = forward._DROPPED - {b"authorization", b"proxy-authorization"}
	END
	turns_red own_credentials_stripped one
}

@test "red: egress that doesn't mask" {
	fresh egress
	mutate_egress <<-'END'
		import redact
		redact.Masker.mask = lambda self, data: data
	END
	turns_red reflections_masked one api.example.com /repos/acme/ "$FIRST_TOKEN"
	turns_red reflections_masked one stream.example.net /any/ "$STREAM_TOKEN"
}

@test "red: egress that goes out by itself, past pipelock" {
	fresh
	mutate container "$(container one egress)" '{"HostConfig": {"Dns": null}}'
	docker network connect "$INST.one.out" "$(container one egress)"
	mutate_egress <<-'END'
		import addon, main
		from mitmproxy import ctx
		E = addon.Egress
		E.server_connect = lambda self, data: None
		running = E.running
		def start(self):
		    ctx.options.update(mode=["regular"] if not isinstance(ctx.options.mode, str) else "regular")
		    running(self)
		E.running = start
	END
	answers one 200 https://api.example.com/repos/acme/past
	red 'P17.* I.egress.*' 'P17\..*' 'I\.egress\.networks'
}

# ---- the second key ------------------------------------------------------------------------------

@test "red: pipelock that doesn't scan" {
	fresh
	mutate_pipelock '/^request_body_scanning:/,/^[a-z]/ { s/enabled: true/enabled: false/ }'
	red 'P17.*' 'P17\..*'
}

@test "red: pipelock that doesn't look into TLS" {
	fresh
	mutate_pipelock '/^tls_interception:/,/^[a-z]/ { s/enabled: true/enabled: false/ }'
	red 'P17.*' 'P17\..*body.*' 'P17\..*header.*'
}

@test "red: pipelock without an allowlist" {
	fresh
	edit_routes '$a - host: "extra.example.net"'
	second_key_refuses
	mutate_pipelock 's/^mode: strict/mode: balanced/'
	turns_red second_key_refuses
}

edit_routes() {
	local name
	name=$(container one egress)
	docker cp "$name:/etc/bottler/routes.yaml" "$BATS_TEST_TMPDIR/routes" >/dev/null
	sed -i -E "$1" "$BATS_TEST_TMPDIR/routes"
	chmod 0644 "$BATS_TEST_TMPDIR/routes"
	docker cp "$BATS_TEST_TMPDIR/routes" "$name:/etc/bottler/routes.yaml" >/dev/null
	docker kill --signal HUP "$name" >/dev/null
	wait_for 30 shows_route
}
shows_route() { in_agent one curl --silent --max-time 5 --proxy http://egress:9099 http://_egress.local/allowlist | grep -qF extra.example.net; }
second_key_refuses() { answers one 403 https://extra.example.net/; }

# SPDX-License-Identifier: Apache-2.0
"""Ways past the proxy: addresses, ports and protocols, by the routes and past them."""
import ipaddress
import socket

import dial
import netlink
import resolver
from dial import Dial
from registry import Attempt, denied, got_out, skipped

HOST_TCP = (22, 53, 80, 111, 443, 2375, 2376, 2377, 4243, 5000, 8080, 9323, 10250)
HOST_UDP = (53, 67, 111, 123, 161, 514, 4789, 5353)
EGRESS_TCP = (22, 53, 80, 443, 2375, 3128, 5000, 6060, 8000, 8080, 8081, 8443, 8888, 9090, 9091, 9100, 9418)
EGRESS_UDP = (53, 443, 8888, 9099)
WIDE = (
    ("N1", "1.1.1.1", (443, 853, 80), (53, 443)),
    ("N2", "9.9.9.9", (22, 25, 53, 465, 587, 993, 3389, 5228, 8443, 9418, 6667), (53, 123, 443, 500, 1194, 3478, 4500, 51820)),
    ("N4", "8.8.8.8", (53, 443, 853), (53, 853)),
    ("N7", "169.254.169.254", (80, 443), (53, 123)),
    ("N7", "169.254.170.2", (80,), ()),
    ("N7", "169.254.169.253", (53,), (53,)),
    ("N7", "100.100.100.200", (80,), ()),
    ("N7", "168.63.129.16", (80, 32526), ()),
    ("N7", "fd00:ec2::254", (80,), ()),
    ("N7", "fd20:ce::254", (80,), ()),
    ("N8", "2606:4700:4700::1111", (443, 853), (53, 443)),
    ("N8", "2001:4860:4860::8888", (53,), (53,)),
    ("N8", "64:ff9b::101:101", (443,), (53,)),
    ("N8", "2002:101:101::1", (443,), ()),
)
SEGMENT = (  # group or broadcast address, port, who listens there
    ("255.255.255.255", 67, "DHCP"), ("255.255.255.255", 9, "everybody"), ("224.0.0.1", 9, "all hosts"),
    ("224.0.0.2", 9, "all routers"), ("224.0.0.22", 9, "IGMP"), ("224.0.0.251", 5353, "mDNS"), ("224.0.0.252", 5355, "LLMNR"),
    ("239.255.255.250", 1900, "SSDP"), ("239.255.255.250", 3702, "WS-Discovery"),
)
SPELLINGS = ("2852039166", "0xA9FEA9FE", "0251.0376.0251.0376", "169.254.43518", "169.16689662", "0xa9.0xfe.0xa9.0xfe")
SWEPT = 256
LAWFUL = ("egress", "git-gate", "supervise")  # the sidecars on the agent's own network


class Plan:
    """The dials of a run and the attempts that they stand for."""

    def __init__(self, world):
        self.world, self.given = world, world.given
        self.flight = dial.Flight()
        self.dials = []
        self.attempts = []
        self.hosts_answer = []  # dials whose success shows that the host takes what comes from this network
        self.device = netlink.device_towards(self.given.proxy_addresses)
        self.attached = [entry.interface.network for entry in netlink.own_addresses() if entry.device == self.device]
        own = {str(entry.interface.ip) for entry in netlink.own_addresses()} | set(self.given.proxy_addresses)
        # A network without a gateway gives the first address to a container.
        self.hosts = [address for address in self.given.host_addresses
                      if address not in own and not any(address in peer.addresses for peer in self.given.peers)]
        self._plan()

    def launch(self, chosen):
        """Makes the dials that the chosen attempts need."""
        wanted = {attempt.id for attempt in chosen}
        self.flight.run([made for made, name in self.dials if name in wanted])

    def _dial(self, name, row, title, made, control=None):
        """One attempt that is one dial."""
        made.payload = made.payload or self._payload(made)
        if control is None:
            control = {"tcp": "C.tcp", "icmp": "C.icmp"}.get(made.how, "C.udp")
            if ":" in made.address:
                control = "C.six"
        self.dials.append((made, name))
        self.attempts.append(Attempt(name, row, "network", title, control, lambda: self._judge(made)))

    def _payload(self, made):
        """What is sent: always the nonce."""
        mark = f"bottler-probe {self.given.nonce}".encode()
        if made.how == "icmp":
            return dial.echo_request6(mark) if ":" in made.address else dial.echo_request(mark)
        if made.how in ("udp", "udplite") and made.port in (53, 853, 5353, 5355):
            return resolver.query(f"dial.{self.given.name}", 1)
        return mark + b"\r\n"

    def _judge(self, made):
        """The Outcome of a dial."""
        if made.reach != "segment" or made.result != "sent":
            return self.flight.judge(made)
        if any(self.flight.judge(other).verdict == "open" for other in self.hosts_answer):
            return got_out(f"sent on {made.device or 'the default interface'}, and the host takes packets from this network")
        return skipped("sent into the attached network; whether the host takes it only a listener there can tell")

    # -- the list ---------------------------------------------------------------------------------

    def _plan(self):
        """All attempts that are dials."""
        self._egress()
        self._peers()
        self._host()
        self._targets()
        self._on_link()
        self._segment()
        self._sweep()

    def _egress(self):
        """The proxy's container has one open port."""
        for address in self.given.proxy_addresses:
            for port in EGRESS_TCP:
                if port != self.given.proxy_port:
                    self._dial(f"N10.tcp.egress.{address}.{port}", "N10", f"TCP to {address}:{port} (egress of this bottle)",
                               Dial("tcp", address, port, "egress"))
            for port in EGRESS_UDP:
                self._dial(f"N10.udp.egress.{address}.{port}", "N10", f"UDP to {address}:{port} (egress of this bottle)",
                           Dial("udp", address, port, "egress"))

    def _lawful(self, peer, address):
        """Whether the agent is meant to reach this container at this address (at one port of it)."""
        if peer.bottle != "same" or peer.role not in LAWFUL:
            return False
        return address in self.given.proxy_addresses or any(ipaddress.ip_address(address) in network for network in self.attached)

    def _peers(self):
        """Every other container; of those that the agent is meant to reach, the ports that it is not."""
        for peer in self.given.peers:
            of = "this bottle" if peer.bottle == "same" else "another bottle"
            for address in peer.addresses:
                reach = "egress" if self._lawful(peer, address) else "other"
                who = f"{peer.role} of {of}"
                for port in peer.ports or (80,):
                    self._dial(f"N10.tcp.{peer.role}.{address}.{port}", "N10", f"TCP to {address}:{port} ({who})", Dial("tcp", address, port, reach))
                if reach == "other":
                    self._dial(f"N10.udp.{peer.role}.{address}.9", "N10", f"UDP to {address} ({who})", Dial("udp", address, 9))
                    self._dial(f"N10.icmp.{peer.role}.{address}", "N10", f"ping of {address} ({who})", Dial("icmp", address))

    def _host(self):
        """The host, at all of its addresses."""
        for address in self.hosts:
            for port in dict.fromkeys(HOST_TCP + self.given.host_tcp):
                self._dial(f"N10.tcp.host.{address}.{port}", "N10", f"TCP to {address}:{port} of the host", Dial("tcp", address, port))
            for port in dict.fromkeys(HOST_UDP + self.given.host_udp):
                self._dial(f"N10.udp.host.{address}.{port}", "N10", f"UDP to {address}:{port} of the host", Dial("udp", address, port))
            self._dial(f"N10.icmp.host.{address}", "N10", f"ping of {address} of the host", Dial("icmp", address))

    def _targets(self):
        """Addresses outside of the engine."""
        for target in self.given.targets:
            self._target("N2", target.address, target.tcp, target.udp)
        if not self.given.wide:
            return
        for row, address, tcp, udp in WIDE:
            self._target(row, address, tcp, udp)
        for how in ("sctp", "udplite"):
            self._dial(f"N2.{how}.9.9.9.9.9899", "N2", f"{how.upper()} to 9.9.9.9:9899", Dial(how, "9.9.9.9", 9899))
        self._dial("N8.tcp.mapped.1.1.1.1.443", "N8", "TCP to [::ffff:1.1.1.1]:443", Dial("tcp", "::ffff:1.1.1.1", 443))
        for spelled in SPELLINGS:
            self.attempts.append(Attempt(f"N7.spelled.{spelled}", "N7", "network", f"TCP to http://{spelled}/", "C.tcp",
                                         lambda spelled=spelled: self._spelled(spelled)))
        if self.device:
            for address, port in (("fe80::1", 22), ("ff02::1", 9), ("ff02::2", 9), ("ff02::fb", 5353), ("ff02::1:2", 547)):
                how, reach = ("tcp", "other") if address == "fe80::1" else ("udp", "segment")
                self._dial(f"N8.{how}.{address}.{port}", "N8", f"{how.upper()} to [{address}%{self.device}]:{port}",
                           Dial(how, f"{address}%{self.device}", port, reach))
            self._dial("N8.icmp.ff02::1", "N8", "ping of all IPv6 hosts", Dial("icmp", f"ff02::1%{self.device}", 0, "segment"))

    def _target(self, row, address, tcp, udp):
        """One address."""
        for port in tcp:
            self._dial(f"{row}.tcp.{address}.{port}", row, f"TCP to {address}:{port}", Dial("tcp", address, port))
        for port in udp:
            self._dial(f"{row}.udp.{address}.{port}", row, f"UDP to {address}:{port}", Dial("udp", address, port))
        self._dial(f"{row}.icmp.{address}", row, f"ping of {address}", Dial("icmp", address))

    def _spelled(self, spelled):
        """The metadata address, spelled as the C library may read it."""
        try:
            address = socket.getaddrinfo(spelled, 80, socket.AF_INET, socket.SOCK_STREAM)[0][4][0]
        except socket.gaierror as problem:
            return denied(f"the C library does not take it for an address: {problem.strerror}")
        made, flight = Dial("tcp", address, 80, payload=self.given.nonce.encode()), dial.Flight()
        flight.run([made])
        return flight.judge(made)

    # -- past the routes --------------------------------------------------------------------------

    def _on_link(self):
        """Packets that are sent through an interface whatever the routes say: whoever answers ARP gets them."""
        if not self.device:
            return
        addresses = [(address, "host") for address in self.hosts if ":" not in address]
        addresses += [(address, peer.role) for peer in self.given.peers for address in peer.addresses
                      if not (peer.bottle == "same" and peer.role in LAWFUL)]
        addresses += [(target.address, "outside") for target in self.given.targets] + ([("1.1.1.1", "outside")] if self.given.wide else [])
        own = {str(entry.interface.ip) for entry in netlink.own_addresses()} | set(self.given.proxy_addresses)
        for address, who in dict.fromkeys(addresses):
            if ":" in address or address in own:
                continue
            for label, made in (
                    ("udp.bound", Dial("udp", address, 9, device=self.device)),
                    ("udp.pktinfo", Dial("udp", address, 9, device=self.device, packet_info=True)),
                    ("tcp.bound", Dial("tcp", address, 443, device=self.device))):
                self._dial(f"N11.onlink.{label}.{who}.{address}", "N11",
                           f"{label[:3].upper()} to {address} ({who}) through {self.device}, past the routes", made)
                if who == "host":
                    self.hosts_answer.append(made)

    def _segment(self):
        """Broadcast and multicast."""
        for device in dict.fromkeys(("", self.device)):
            for address, port, who in SEGMENT:
                kind = "broadcast" if address.startswith("255") else "multicast"
                label = f"N11.{kind}.{'bound' if device else 'plain'}.{address}.{port}"
                through = f" through {device}" if device else ""
                self._dial(label, "N11", f"{kind} to {who} ({address}:{port}){through}", Dial("udp", address, port, "segment", device=device))

    def _sweep(self):
        """Who else is on the attached networks."""
        known = set(self.given.proxy_addresses)
        for peer in self.given.peers:
            if peer.bottle == "same" and peer.role in LAWFUL:
                known |= set(peer.addresses)
        attached = [entry for entry in netlink.own_addresses() if entry.device != "lo" and entry.interface.version == 4]
        known |= {str(entry.interface.ip) for entry in attached}
        for entry in attached:
            for address in list(entry.interface.network.hosts())[:SWEPT]:
                if str(address) not in known:
                    self._dial(f"N10.neighbour.{address}", "N10", f"somebody else on the attached network: {address}",
                               Dial("tcp", str(address), 9, device=entry.device))

# SPDX-License-Identifier: Apache-2.0
"""Ways out of the container by its files: sockets of the host's services, devices, kernel switches, mounts.

Nothing is written: a file that could be opened for writing is the finding.
"""
import errno
import functools
import os
import socket
import stat
import struct

from registry import Attempt, denied, error, got_out, skipped

WALK_ENTRIES, WALK_DEPTH = 20000, 6
_REFUSED = (errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENXIO, errno.ENODEV, errno.EOPNOTSUPP)
SOCKETS = {
    "docker": ("/var/run/docker.sock", "/run/docker.sock", "/run/docker/docker.sock", "/run/user/*/docker.sock", "/host/var/run/docker.sock"),
    "docker-metrics": ("/run/docker/metrics.sock", "/var/run/docker/libnetwork"),
    "podman": ("/run/podman/podman.sock", "/run/user/*/podman/podman.sock"),
    "containerd": ("/run/containerd/containerd.sock", "/run/docker/containerd/containerd.sock", "/run/k3s/containerd/containerd.sock"),
    "containerd-shim": ("/run/containerd/s", "/run/containerd/io.containerd.runtime.v2.task"),
    "cri": ("/run/crio/crio.sock", "/var/run/cri-dockerd.sock", "/run/cri-dockerd.sock"),
    "buildkit": ("/run/buildkit/buildkitd.sock", "/run/user/*/buildkit/buildkitd.sock"),
    "bottler": ("/run/bottler/bottler.sock", "/run/bottler.sock", "/run/bottler"),
    "systemd": ("/run/systemd/private", "/run/systemd/notify", "/run/systemd/journal/socket", "/run/dbus/system_bus_socket"),
    "user-bus": ("/run/user/*/bus", "/run/user/*/systemd/private"),
    "ssh-agent": ("/run/user/*/openssh_agent", "/run/user/*/keyring/ssh", "/tmp/ssh-*/agent.*", "/run/host-services/ssh-auth.sock"),
    "gpg-agent": ("/run/user/*/gnupg/S.gpg-agent", "/root/.gnupg/S.gpg-agent", "/home/*/.gnupg/S.gpg-agent"),
    "x11": ("/tmp/.X11-unix/X*",),
    "wayland": ("/run/user/*/wayland-*",),
    "audio": ("/run/user/*/pulse/native", "/run/user/*/pipewire-*"),
    "libvirt": ("/run/libvirt/libvirt-sock", "/run/libvirt/virtqemud-sock"),
    "lxd": ("/var/snap/lxd/common/lxd/unix.socket", "/var/lib/incus/unix.socket", "/dev/lxd/sock"),
    "snapd": ("/run/snapd.socket",),
    "resolved": ("/run/systemd/resolve/io.systemd.Resolve", "/run/nscd/socket"),
    "kubelet": ("/var/lib/kubelet/device-plugins/kubelet.sock", "/var/run/secrets/kubernetes.io/serviceaccount/token"),
}
WRITABLE = {
    "core_pattern": "/proc/sys/kernel/core_pattern", "modprobe": "/proc/sys/kernel/modprobe", "sysrq": "/proc/sys/kernel/sysrq",
    "sysrq-trigger": "/proc/sysrq-trigger", "hotplug": "/proc/sys/kernel/hotplug", "poweroff_cmd": "/proc/sys/kernel/poweroff_cmd",
    "randomize_va_space": "/proc/sys/kernel/randomize_va_space", "yama": "/proc/sys/kernel/yama/ptrace_scope",
    "unprivileged_bpf": "/proc/sys/kernel/unprivileged_bpf_disabled", "userns": "/proc/sys/user/max_user_namespaces",
    "dmesg_restrict": "/proc/sys/kernel/dmesg_restrict", "kptr_restrict": "/proc/sys/kernel/kptr_restrict",
    "binfmt_misc": "/proc/sys/fs/binfmt_misc/register", "mmap_min_addr": "/proc/sys/vm/mmap_min_addr",
    "overcommit": "/proc/sys/vm/overcommit_memory", "drop_caches": "/proc/sys/vm/drop_caches",
    "suid_dumpable": "/proc/sys/fs/suid_dumpable", "protected_symlinks": "/proc/sys/fs/protected_symlinks",
    "ip_forward": "/proc/sys/net/ipv4/ip_forward", "disable_ipv6": "/proc/sys/net/ipv6/conf/all/disable_ipv6",
    "ping_group_range": "/proc/sys/net/ipv4/ping_group_range", "rp_filter": "/proc/sys/net/ipv4/conf/all/rp_filter",
    "accept_ra": "/proc/sys/net/ipv6/conf/default/accept_ra", "route_localnet": "/proc/sys/net/ipv4/conf/all/route_localnet",
    "hostname": "/proc/sys/kernel/hostname", "ns_last_pid": "/proc/sys/kernel/ns_last_pid", "uevent_helper": "/sys/kernel/uevent_helper",
    "irq": "/proc/irq/default_smp_affinity", "mtrr": "/proc/mtrr", "acpi": "/proc/acpi/wakeup", "sys-power": "/sys/power/state",
    "sys-disk": "/sys/power/disk", "sys-profiling": "/sys/kernel/profiling", "sys-module": "/sys/module/kernel/parameters/panic",
    "sys-hugepage": "/sys/kernel/mm/transparent_hugepage/enabled", "sys-debug": "/sys/kernel/debug/sched/features",
    "sys-tracing": "/sys/kernel/tracing/tracing_on", "sys-security": "/sys/kernel/security/apparmor/.load",
    "efi": "/sys/firmware/efi/efivars", "vmcoreinfo": "/sys/kernel/vmcoreinfo",
}
MASKED = {  # what a container must not read
    "kcore": "/proc/kcore", "keys": "/proc/keys", "timer_list": "/proc/timer_list", "sched_debug": "/proc/sched_debug",
    "latency_stats": "/proc/latency_stats", "firmware": "/sys/firmware", "scsi": "/proc/scsi", "acpi": "/proc/acpi",
    "debugfs": "/sys/kernel/debug", "tracefs": "/sys/kernel/tracing", "securityfs": "/sys/kernel/security",
}
DEVICES = {
    "mem": "/dev/mem", "kmem": "/dev/kmem", "port": "/dev/port", "kmsg": "/dev/kmsg", "disk-sda": "/dev/sda", "disk-vda": "/dev/vda",
    "disk-xvda": "/dev/xvda", "disk-nvme": "/dev/nvme0n1", "loop": "/dev/loop0", "loop-control": "/dev/loop-control",
    "mapper": "/dev/mapper/control", "kvm": "/dev/kvm", "fuse": "/dev/fuse", "tun": "/dev/net/tun", "vhost-net": "/dev/vhost-net",
    "vhost-vsock": "/dev/vhost-vsock", "vsock": "/dev/vsock", "uinput": "/dev/uinput", "userfaultfd": "/dev/userfaultfd",
    "btrfs": "/dev/btrfs-control", "gpu": "/dev/dri/card0", "nvidia": "/dev/nvidia0",
    "autofs": "/dev/autofs", "cuse": "/dev/cuse", "ppp": "/dev/ppp", "tty1": "/dev/tty1", "vcs": "/dev/vcs", "rtc": "/dev/rtc0",
    "usb": "/dev/bus/usb", "ipmi": "/dev/ipmi0", "cpu-msr": "/dev/cpu/0/msr", "tpm": "/dev/tpm0", "sgx": "/dev/sgx_enclave",
}
_EXPECTED_NODES = {"null", "zero", "full", "random", "urandom", "tty", "console", "ptmx", "fuse0"}
_PSEUDO = ("proc", "sysfs", "devtmpfs", "debugfs", "tracefs", "securityfs", "configfs", "bpf", "cgroup", "cgroup2", "efivarfs", "pstore",
           "fusectl", "binfmt_misc", "hugetlbfs", "selinuxfs", "rpc_pipefs", "nfsd", "nsfs")
_STANDARD = ("/proc", "/sys", "/dev", "/etc/resolv.conf", "/etc/hosts", "/etc/hostname", "/sbin/docker-init", "/dev/init", "/run/.containerenv")
_SECRETS = {  # files that nobody else has: name to what they hold
    "egress-ca.key": b"PRIVATE KEY", "pipelock-ca.key": b"PRIVATE KEY", "egress-ca.pem": b"PRIVATE KEY", "mitmproxy-ca.pem": b"PRIVATE KEY",
    "EGRESS_TOKEN_0": b"", "config.v2.json": b'"HostConfig', "hostconfig.json": b'"NetworkMode"', "docker.pid": b"",
}


def attempts(world):
    """All attempts of this module."""
    out = []

    def add(row, name, title, run, control="C.files"):
        out.append(Attempt(f"{row}.{name}", row, "container", title, control, run))

    for name, paths in SOCKETS.items():
        add("H1", f"socket.{name}", f"a socket of the host: {name}", lambda paths=paths: _reachable(paths), "C.unix")
    add("H1", "abstract", "an abstract socket of somebody else", lambda: _abstract(world), "C.unix")
    add("H1", "mounts", "an engine's or agent's socket in a mount", lambda: _mounted_sockets(world), "C.unix")
    for name, path in WRITABLE.items():
        add("H2", f"write.{name}", f"{path} for writing", lambda path=path: _opens(path, os.O_WRONLY))
    for name, path in MASKED.items():
        add("H2", f"read.{name}", f"the content of {path}", lambda path=path: _readable(path))
    add("H2", "read.kmsg", "the kernel's log in /proc/kmsg", lambda: _opens("/proc/kmsg", os.O_RDONLY))
    for name, path in DEVICES.items():
        add("H2", f"device.{name}", f"the device {path}", lambda path=path: _device(path))
    add("H2", "devices", "any device besides the usual ones", _unknown_devices)
    for name, run in _cgroups().items():
        add("H2", f"cgroup.{name}", f"the cgroup's {name}", run)
    for kind in _PSEUDO:
        add("H5", f"filesystem.{kind}", f"a file system of the kernel mounted beside the usual ones: {kind}", lambda kind=kind: _filesystem(kind))
    for name in _SECRETS:
        add("H5", f"file.{name}", f"{name} in a mount", lambda name=name: _in_mounts(world, name))
    add("H5", "root", "the host's root by a process's root", _roots)
    return out


# ---- sockets -----------------------------------------------------------------------------------


def _reachable(patterns):
    """No path of these leads to a socket that takes connections."""
    import glob
    refusals = []
    for pattern in patterns:
        for path in glob.glob(pattern) if "*" in pattern else [pattern]:
            code = _connect(path)
            if code == 0:
                return got_out(f"{path} takes connections")
            refusals.append(f"{path} {errno.errorcode.get(code, code)}")
    return denied(", ".join(refusals) if refusals else f"nothing matches {' '.join(patterns)}")


def _connect(path):
    """0 when a socket (or a plain readable file) is there and open to us, else an errno."""
    kinds = (socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM)
    code = errno.ENOENT
    try:
        mode = os.stat(path).st_mode
    except OSError as problem:
        return problem.errno
    if stat.S_ISREG(mode):
        return 0 if os.access(path, os.R_OK) else errno.EACCES
    for kind in kinds:
        with socket.socket(socket.AF_UNIX, kind) as sock:
            sock.settimeout(1.0)
            try:
                sock.connect(path)
                return 0
            except OSError as problem:
                code = problem.errno or errno.EAGAIN
        if code != errno.EPROTOTYPE:
            break
    return code


def _abstract(world):
    """Abstract sockets belong to the network namespace: only those of this bottle can be there."""
    listening = []
    with open("/proc/net/unix", encoding="utf-8", errors="replace") as file:
        for line in list(file)[1:]:
            fields = line.split(None, 7)
            if len(fields) == 8 and fields[7].startswith("@") and int(fields[3], 16) & 0x10000:
                listening.append(fields[7].strip())
    foreign = [name for name in listening if world.nonce not in name]
    known = [name for name in foreign if any(word in name for word in ("containerd", "docker", "podman", "dbus", "X11-unix", "systemd", "udev"))]
    if known:
        return got_out(f"{' '.join(known)[:200]}")
    if "@/tmp/.X11-unix/X0" not in foreign and _answers("\0/tmp/.X11-unix/X0"):
        return got_out("an X server")
    return denied(f"{len(foreign)} listening ({' '.join(foreign)[:100]}), none of a service of the host")


def _answers(name):
    """Whether an abstract socket takes connections."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(1.0)
        try:
            sock.connect(name)
        except OSError:
            return False
    return True


def _walk(top):
    """(path, mode) of the entries below a directory; at most so many, so deep, on one file system, in order of depth."""
    try:
        device = os.stat(top).st_dev
    except OSError:
        return
    level, left = [top], WALK_ENTRIES
    for _ in range(WALK_DEPTH):
        below = []
        for directory in level:
            try:
                entries = list(os.scandir(directory))
            except OSError:
                continue
            for entry in entries:
                left -= 1
                if left < 0:
                    return
                try:
                    info = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                if stat.S_ISDIR(info.st_mode) and info.st_dev == device:
                    below.append(entry.path)
                yield entry.path, info.st_mode
        level = below


@functools.lru_cache(maxsize=1)
def _entries(mounts):
    """What the agent has mounted: (path, mode), the mount points themselves included."""
    found = []
    for top in mounts:
        try:
            found.append((top, os.stat(top).st_mode))
        except OSError:
            continue
        found += _walk(top)
    return found


def _mounted_sockets(world):
    """The mounts of the agent hold no socket that answers as a service which acts for others."""
    unknown, seen = [], 0
    for path, mode in _entries(world.given.mounts):
        if not stat.S_ISSOCK(mode):
            continue
        seen += 1
        who = _who(path)
        if who == "silent":
            unknown.append(path)
        elif who:
            return got_out(f"{path} is {who}")
    if unknown:
        return skipped(f"sockets that take connections and speak nothing the probe knows: {' '.join(unknown)[:200]}")
    return denied(f"{len(world.given.mounts)} mounts, {seen} sockets, none of them takes connections")


_ENGINE_WORDS = (b"Api-Version:", b"Docker", b"Libpod")


def _who(path):
    """Who listens at a socket; `silent` for somebody unknown, None when nobody does."""
    questions = (
        ("a container engine", b"GET /_ping HTTP/1.0\r\nHost: engine\r\n\r\n",
         lambda said: said.startswith(b"HTTP/") and any(word in said for word in _ENGINE_WORDS)),
        ("an ssh agent", struct.pack("!IB", 1, 11), lambda said: said[4:5] in (b"\x0c", b"\x05")),
        ("a D-Bus", b"\0AUTH EXTERNAL\r\n", lambda said: said.startswith((b"DATA", b"OK", b"REJECTED"))),
        ("a gpg agent", b"NOP\n", lambda said: said.startswith(b"OK")),
    )
    accepted = False
    for who, question, fits in questions:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(0.5)
            try:
                sock.connect(path)
                accepted = True
                sock.sendall(question)
                if fits(sock.recv(512)):
                    return who
            except OSError:
                if not accepted:
                    return None
    return "silent" if accepted else None


# ---- files -------------------------------------------------------------------------------------


def _opens(path, flags):
    """A file cannot be opened; it is closed again at once."""
    try:
        descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as problem:
        name = errno.errorcode.get(problem.errno, str(problem.errno))
        if problem.errno == errno.EISDIR:
            return _creates(path)
        return denied(name) if problem.errno in _REFUSED else error(name)
    try:
        info = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if stat.S_ISCHR(info.st_mode) and info.st_rdev == os.makedev(1, 3):
        return denied("/dev/null stands in its place")
    return got_out("it opens")


def _creates(path):
    """A directory that takes no new file."""
    return got_out("the directory can be written to") if os.access(path, os.W_OK) else denied("the directory cannot be written to")


def _device(path):
    """A device's node is absent, or closed to us. It is not opened: some act on that alone."""
    try:
        os.stat(path)
    except OSError as problem:
        name = errno.errorcode.get(problem.errno, str(problem.errno))
        return denied(name) if problem.errno in _REFUSED else error(name)
    if os.access(path, os.R_OK) or os.access(path, os.W_OK):
        return got_out("it is there, and may be opened")
    return denied("EACCES")


def _readable(path):
    """A file or directory that is empty or hidden."""
    try:
        if os.path.isdir(path):
            entries = os.listdir(path)
            return got_out(f"{len(entries)} entries, such as {entries[0]}") if entries else denied("an empty directory")
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as problem:
        name = errno.errorcode.get(problem.errno, str(problem.errno))
        return denied(name) if problem.errno in _REFUSED else error(name)
    try:
        data = os.read(descriptor, 64)
    except OSError as problem:
        return denied(errno.errorcode.get(problem.errno, str(problem.errno)))
    finally:
        os.close(descriptor)
    return got_out(f"{len(data)} bytes can be read") if data else denied("empty")


def _unknown_devices():
    """/dev holds the usual nodes alone."""
    strange = []
    for path, mode in _walk("/dev"):
        if stat.S_ISBLK(mode) or (stat.S_ISCHR(mode) and os.path.basename(path) not in _EXPECTED_NODES and not path.startswith("/dev/pts/")):
            strange.append(path)
    return got_out(" ".join(strange)[:200]) if strange else denied("the usual ones alone")


def _cgroups():
    """Switches of the cgroup hierarchies, wherever they are mounted."""
    tops = ["/sys/fs/cgroup"] + [f"/sys/fs/cgroup/{name}" for name in ("memory", "devices", "pids", "cpu", "freezer", "rdma", "unified")]

    def every(name, flags):
        def run():
            told = []
            for top in tops:
                outcome = _opens(f"{top}/{name}", flags)
                if outcome.verdict == "open":
                    return got_out(f"{top}/{name}: {outcome.evidence}")
                if outcome.verdict == "error":
                    return outcome
                told.append(outcome.evidence)
            return denied(" ".join(sorted(set(told))))
        return run

    def child():
        told = []
        for top in tops:
            path = f"{top}/bottler-probe"
            try:
                os.mkdir(path)
            except OSError as problem:
                told.append(errno.errorcode.get(problem.errno, str(problem.errno)))
                continue
            real = os.path.exists(f"{path}/cgroup.procs")
            os.rmdir(path)
            if real:
                return got_out(f"{path} could be made")
            told.append("a plain directory")
        return denied(", ".join(sorted(set(told))))

    found = {name: every(name, os.O_WRONLY) for name in
             ("release_agent", "notify_on_release", "cgroup.procs", "tasks", "devices.allow", "devices.deny", "memory.max",
              "memory.limit_in_bytes", "pids.max", "cgroup.subtree_control", "cgroup.kill", "freezer.state")}
    found["children"] = child
    return found


# ---- mounts ------------------------------------------------------------------------------------


def _mounts():
    """(mount point, type, options) of all mounts."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            left, _, right = line.partition(" - ")
            yield left.split()[4], right.split()[0], left.split()[5].split(",")


def _filesystem(kind):
    """The kernel's file systems are mounted where every container has them, and what controls the host is read-only."""
    places = []
    for place, found, options in _mounts():
        if found != kind:
            continue
        usual = place in _STANDARD or place.startswith(("/proc/", "/sys/", "/dev/"))
        if not usual or kind in ("devtmpfs", "debugfs", "tracefs", "securityfs", "configfs", "bpf", "efivarfs", "nsfs"):
            return got_out(f"{kind} at {place}")
        if kind in ("sysfs", "cgroup", "cgroup2") and "rw" in options:
            return got_out(f"{kind} at {place} can be written to")
        places.append(place)
    return denied(f"at {' '.join(places)[:150]} alone" if places else "not mounted")


def _in_mounts(world, name):
    """A file of the proxies, the controller or the engine in what the agent has mounted."""
    for path, mode in _entries(world.given.mounts):
        if os.path.basename(path) != name or not stat.S_ISREG(mode):
            continue
        try:
            with open(path, "rb") as file:
                if _SECRETS[name] in file.read(65536):
                    return got_out(f"{path} can be read")
        except OSError:
            continue
    return denied(f"in none of {len(world.given.mounts)} mounts")


def _roots():
    """/proc/PID/root leads nowhere else."""
    own = os.stat("/")
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            found = os.stat(f"/proc/{entry}/root/")
        except OSError:
            continue
        if (found.st_dev, found.st_ino) != (own.st_dev, own.st_ino):
            return got_out(f"/proc/{entry}/root is another root")
    return denied("every process has the root of this container")

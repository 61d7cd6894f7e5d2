# SPDX-License-Identifier: Apache-2.0
"""Ways out of the container by the kernel: privileges, system calls, namespaces.

Every call is made such that the kernel answers the question of privilege first, and such that it does
no harm where it is allowed: arguments that make no sense, or a change of a child process alone.
"""
import ctypes
import errno
import os
import platform
import signal
import socket
import struct
import subprocess
import tempfile
import time

import kernel
from kernel import call
from registry import Attempt, denied, error, got_out, skipped

NAMESPACES = {"user": 0x10000000, "mnt": 0x00020000, "net": 0x40000000, "pid": 0x20000000, "uts": 0x04000000,
              "ipc": 0x08000000, "cgroup": 0x02000000, "time": 0x00000080}
# Inode numbers of the namespaces that the machine starts with, where every kernel gives them the same.
FIRST = {"ipc": 0xEFFFFFFF, "uts": 0xEFFFFFFE, "pid": 0xEFFFFFFC}
SETUID = ("su", "passwd", "mount", "umount", "newgrp", "chsh", "chfn", "gpasswd", "sudo", "pkexec")
AT_FDCWD = -100
_CAPABILITIES = {"effective": "CapEff", "permitted": "CapPrm", "bounding": "CapBnd", "inheritable": "CapInh", "ambient": "CapAmb"}


def status():
    """/proc/self/status as a dictionary."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return {line.partition(":")[0]: line.partition(":")[2].strip() for line in file}


def attempts(world):
    """All attempts of this module."""
    out = []

    def add(row, name, title, run, control="C.syscall"):
        out.append(Attempt(f"{row}.{name}", row, "container", title, control, run))

    facts = status()
    for name, key in _CAPABILITIES.items():
        add("H2", f"capabilities.{name}", f"a capability in the {name} set", lambda key=key: _no_capability(facts.get(key)), "C.files")
    add("H2", "no-new-privs", "new privileges by a program's file", lambda: _is(facts, "NoNewPrivs", "1"), "C.files")
    add("H2", "seccomp", "system calls without a filter", lambda: _filtered(world, facts), "C.files")
    for name, function in _calls(world).items():
        title = _TITLES.get(name) or f"the call {name.replace('.', ', ')}"
        add("H2", name, title, _guard(world, function, _REFUSALS.get(name.partition(".")[0], kernel.REFUSALS)))
    for name, function in _compatible().items():
        add("H2", f"i386.{name}", f"the 32-bit call for {name}", _guard(world, function))
    for name in FIRST:
        add("H10", f"namespace.{name}", f"the host's {name} namespace", lambda name=name: _own_namespace(name), "C.files")
    add("H10", "processes", "processes of others", _processes, "C.files")
    add("H3", "setuid", "a set-user-ID program that takes effect", _setuid)
    add("H3", "file-capabilities", "a file with capabilities", lambda: _file_capabilities(world))
    add("H3", "chown", "a file given to somebody else", lambda: _chown(world))
    return out


def _guard(world, function, refusals=kernel.REFUSALS):
    """Runs a call; one that gVisor's kernel answers reaches no host."""
    def run():
        try:
            outcome = kernel.attempt(function, refusals)
        except kernel.Unknown as problem:
            return skipped(str(problem))
        if outcome.verdict == "open" and world.gvisor:
            return skipped(f"answered inside gVisor: {outcome.evidence}")
        return outcome
    return run


def _no_capability(text):
    """A set of capabilities is empty."""
    if text is None:
        return error("the kernel does not say")
    return denied("none") if int(text, 16) == 0 else got_out(f"the set is {text}")


def _is(facts, key, wanted):
    """A line of the process's status has the value that it must have."""
    if key not in facts:
        return error("the kernel does not say")
    return denied(f"{key} is {wanted}") if facts[key] == wanted else got_out(f"{key} is {facts[key]}")


def _filtered(world, facts):
    """The process has a seccomp filter; inside gVisor the sandbox's own kernel stands in its place."""
    outcome = _is(facts, "Seccomp", "2")
    if outcome.verdict == "open" and world.gvisor:
        return skipped(f"gVisor's kernel answers: {outcome.evidence}")
    return outcome


# ---- system calls ------------------------------------------------------------------------------

_TITLES = {
    "clone3": "a namespace by clone3", "setns": "joining a namespace", "io_uring_setup": "io_uring, whose operations no filter sees",
    "open_by_handle_at": "opening a file by its handle, past every mount", "reboot": "the call for a restart",
    "syslog": "reading the kernel's log", "socket.vsock": "a vsock, which no network namespace confines",
    "userfaultfd": "user-space page faults",
}
# A limit of zero namespaces is a refusal too, and so is a kernel without them.
_REFUSALS = {name: kernel.REFUSALS + (errno.ENOSPC, errno.EUSERS, errno.EINVAL) for name in ("unshare", "clone", "clone3")}


def _calls(world):
    """Calls by name: functions that run in a child."""
    directory = world.directory.encode()
    nothing = ctypes.create_string_buffer(256)
    absent = b"/nonexistent/bottler-probe"
    other = 12345 if os.getuid() == 0 else 0
    calls = {}
    for name, flag in NAMESPACES.items():
        calls[f"unshare.{name}"] = lambda flag=flag: call("unshare", flag)
    for name in ("user", "net", "mnt"):
        calls[f"clone.{name}"] = lambda name=name: _clone(NAMESPACES[name])
    calls.update({
        "clone3": _clone3,
        "setns": lambda: _setns("/proc/self/ns/net"),
        "setns.init": lambda: _setns("/proc/1/ns/mnt"),
        "mount.tmpfs": lambda: _mounted(b"probe", directory, b"tmpfs", 0),
        "mount.proc": lambda: _mounted(b"proc", directory, b"proc", 0),
        "mount.sysfs": lambda: _mounted(b"sysfs", directory, b"sysfs", 0),
        "mount.cgroup2": lambda: _mounted(b"cgroup2", directory, b"cgroup2", 0),
        "mount.bind": lambda: _mounted(b"/", directory, None, 0x1000),
        "mount.overlay": lambda: _mounted(b"overlay", directory, b"overlay", 0),
        "mount.remount": lambda: call("mount", None, directory, None, 0x20, None),
        "umount": lambda: call("umount2", directory, 0),
        "pivot_root": lambda: call("pivot_root", directory, directory),
        "chroot": lambda: call("chroot", directory),
        "fsopen": lambda: call("fsopen", b"tmpfs", 0),
        "fspick": lambda: call("fspick", AT_FDCWD, b"/", 0),
        "open_tree": lambda: call("open_tree", AT_FDCWD, b"/", 1),
        "move_mount": lambda: call("move_mount", AT_FDCWD, directory, AT_FDCWD, directory, 0),
        "mount_setattr": lambda: call("mount_setattr", AT_FDCWD, directory, 0, nothing, 32),
        "mknod.block": lambda: _mknod(directory + b"/b", 0o060600, os.makedev(7, 0)),
        "mknod.char": lambda: _mknod(directory + b"/c", 0o020600, os.makedev(1, 1)),
        "bpf.map": lambda: call("bpf", 0, struct.pack("=IIII", 2, 4, 4, 1) + b"\0" * 56, 72),
        "bpf.program": lambda: call("bpf", 5, b"\0" * 72, 72),
        "keyctl": lambda: call("keyctl", 0, -4, 0),
        "keyctl.join": lambda: call("keyctl", 1, None),
        "add_key": lambda: call("add_key", b"user", b"bottler-probe", b"x", 1, -2),
        "request_key": lambda: call("request_key", b"user", b"bottler-probe", None, 0),
        "perf_event_open": lambda: call("perf_event_open", struct.pack("=IIQQQQQ", 1, 112, 0, 0, 0, 0, 0x60) + b"\0" * 64, 0, -1, -1, 0),
        "userfaultfd": lambda: call("userfaultfd", 0),
        "userfaultfd.user": lambda: call("userfaultfd", 1),
        "io_uring_setup": lambda: call("io_uring_setup", 1, nothing),
        "open_by_handle_at": lambda: call("open_by_handle_at", AT_FDCWD, struct.pack("=Ii8s", 8, 1, b"\2"), 0),
        "kexec_load": lambda: call("kexec_load", 0, 0, None, 0xFFFF),
        "kexec_file_load": lambda: call("kexec_file_load", -1, -1, 0, None, 0xFFFF),
        "init_module": lambda: call("init_module", b"", 0, b""),
        "finit_module": lambda: call("finit_module", -1, b"", 0),
        "delete_module": lambda: call("delete_module", b"bottler_probe_none", 0o4000),
        "reboot": lambda: call("reboot", 0, 0, 0, None),
        "swapon": lambda: call("swapon", absent, 0),
        "swapoff": lambda: call("swapoff", absent),
        "acct": lambda: call("acct", absent),
        "adjtimex": lambda: call("adjtimex", _timex()),
        "clock_adjtime": lambda: call("clock_adjtime", 0, _timex()),
        "iopl": lambda: call("iopl", 3),
        "ioperm": lambda: call("ioperm", 0x80, 1, 1),
        "syslog": lambda: call("syslog", 3, nothing, 64),
        "sethostname": lambda: call("sethostname", nothing, 1000),
        "setdomainname": lambda: call("setdomainname", nothing, 1000),
        "vhangup": lambda: call("vhangup"),
        "fanotify_init": lambda: call("fanotify_init", 0x04, 0),
        "lookup_dcookie": lambda: call("lookup_dcookie", 0, nothing, 64),
        "setuid": lambda: call("setuid", other),
        "setresuid": lambda: call("setresuid", -1, other, -1),
        "setgid": lambda: call("setgid", other),
        "setgroups": lambda: call("setgroups", 1, struct.pack("=I", other)),
        "capset": _capset,
        "prctl.ambient": lambda: _prctl(47, 2, 13),
        "prctl.securebits": lambda: _prctl(28, 0x2F),
        "setpriority": lambda: call("setpriority", 0, 0, -20),
        "sched_fifo": lambda: call("sched_setscheduler", 0, 1, struct.pack("=i", 1)),
        "rlimit": _raise_limit,
        "move_pages": lambda: call("move_pages", 1, 0, None, None, None, 4),
        "socket.vsock": lambda: _family(40, socket.SOCK_STREAM),
    })
    if platform.machine() == "x86_64":
        calls["x32.unshare"] = lambda: kernel.raw(0x40000000 | 272, NAMESPACES["user"])
        calls["x32.keyctl"] = lambda: kernel.raw(0x40000000 | 250, 0, -4, 0)
        calls["x32.socket"] = lambda: kernel.raw(0x40000000 | 41, 40, 1, 0)
    return calls


def _clone(flags):
    """A child in another namespace."""
    result = call("clone", flags | signal.SIGCHLD, None, None, None, None)
    if result == 0:
        os._exit(0)
    return result


def _clone3():
    """The same by the newer call, whose arguments a filter cannot see."""
    result = call("clone3", struct.pack("=QQQQQQQQ", NAMESPACES["user"], 0, 0, 0, signal.SIGCHLD, 0, 0, 0), 64)
    if result == 0:
        os._exit(0)
    return result


def _setns(path):
    """Joining a namespace, our own at worst."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as problem:
        return -problem.errno
    return call("setns", descriptor, 0)


def _mounted(source, target, kind, flags):
    """A mount, which is taken away again."""
    result = call("mount", source, target, kind, flags, None)
    if result == 0:
        call("umount2", target, 2)
    return result


def _mknod(path, mode, device):
    """A device file, which is taken away again."""
    result = call("mknodat", AT_FDCWD, path, mode, device)
    if result == 0:
        os.unlink(path)
    return result


def _timex():
    """A change of the clock's tick to what the kernel never accepts."""
    return ctypes.create_string_buffer(struct.pack("=I", 0x4000) + b"\0" * 252, 256)


def _capset():
    """All capabilities for ourselves."""
    return call("capset", struct.pack("=Ii", 0x20080522, 0), struct.pack("=6I", *[0xFFFFFFFF] * 2, 0, *[0x1FF] * 2, 0))


def _prctl(*arguments):
    """prctl with all five arguments: some of its parts insist on zeros."""
    return call("prctl", *arguments, *[0] * (5 - len(arguments)))


def _raise_limit():
    """A hard limit above the one that there is."""
    import resource
    most = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    if most == resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
        most = 0
    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, most + 4096))
    except ValueError:
        return -errno.EPERM
    return 0


def _family(family, kind):
    """A socket of a family; nobody is called with it."""
    try:
        socket.socket(family, kind).close()
    except OSError as problem:
        # Without the family in the kernel there is nothing to reach.
        return -errno.EPERM if problem.errno in (errno.EAFNOSUPPORT, errno.ESOCKTNOSUPPORT, errno.EPROTONOSUPPORT) else -problem.errno
    return 0


def _compatible():
    """The same questions by the calls of 32-bit programs, which a filter could have forgotten."""
    if platform.machine() != "x86_64":
        return {}
    return {
        "unshare": lambda: kernel.call32(310, NAMESPACES["user"]),
        "keyctl": lambda: kernel.call32(288, 0, -4, 0),
        "bpf": lambda: kernel.call32(357, 5, 0, 0),
        "io_uring": lambda: kernel.call32(425, 1, 0),
        "socket": lambda: _family32(lambda page: kernel.call32(359, 40, 1, 0)),
        "socketcall": lambda: _family32(_socketcall),
    }


def _socketcall(page):
    """socket() by socketcall(), whose arguments lie in memory, where a filter does not look."""
    ctypes.memmove(page, struct.pack("=III", 40, 1, 0), 12)
    return kernel.call32(102, 1, page)


def _family32(make):
    """A vsock by a 32-bit call."""
    result = make(kernel.low_page())
    return -errno.EPERM if -result in (errno.EAFNOSUPPORT, errno.ESOCKTNOSUPPORT, errno.EPROTONOSUPPORT) else result


# ---- namespaces and processes ------------------------------------------------------------------


def _own_namespace(name):
    """A namespace is not the one that the machine started with."""
    try:
        found = os.stat(f"/proc/self/ns/{name}").st_ino
    except OSError as problem:
        return denied(f"no such namespace in this kernel ({problem.strerror})") if problem.errno == errno.ENOENT else error(str(problem))
    if found == FIRST[name]:
        return got_out(f"inode {found:#x} is the host's")
    return denied(f"inode {found:#x}, not the host's {FIRST[name]:#x}")


def _processes():
    """Every process that can be seen belongs to this container."""
    own, seen = _cgroup("self"), 0
    if own is None:
        return error("the cgroup of this process cannot be read")
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        seen += 1
        try:
            with open(f"/proc/{entry}/comm", encoding="utf-8", errors="replace") as file:
                command = file.read().strip()
        except OSError:
            continue
        if entry == "2" and command == "kthreadd":
            return got_out("the kernel's threads can be seen: this is the host's /proc")
        if _cgroup(entry) not in (own, None):
            return got_out(f"process {entry} ({command}) is of another cgroup")
    return denied(f"{seen} processes, all of this container's cgroup")


def _cgroup(process):
    """The cgroups of a process, or None when it has ended."""
    try:
        with open(f"/proc/{process}/cgroup", encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return None


def _setuid():
    """A set-user-ID root program runs as who started it."""
    if os.getuid() == 0:
        return skipped("the probe is root already")
    for name in SETUID:
        for directory in ("/usr/bin", "/bin", "/usr/sbin", "/sbin"):
            path = f"{directory}/{name}"
            try:
                found = os.stat(path)
            except OSError:
                continue
            if found.st_mode & 0o4000 and found.st_uid == 0:
                outcome = _identity(path)
                if outcome is not None:
                    return outcome
    return skipped("no set-user-ID program in this image waits long enough to be looked at")


def _identity(path):
    """Whose rights a program runs with, by its status while it waits for input; None when it does not wait."""
    reader, writer = os.pipe()
    with subprocess.Popen([path], stdin=reader, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            end = time.monotonic() + 1.0
            while process.poll() is None and time.monotonic() < end:
                uid = _running_as(process.pid, path)
                if uid is not None:
                    return got_out(f"{path} runs as root") if uid == 0 else denied(f"{path} runs as {uid}")
                time.sleep(0.001)
        finally:
            process.kill()
            os.close(reader)
            os.close(writer)
    return None


def _running_as(process, path):
    """The effective user of a process once it runs that program."""
    try:
        with open(f"/proc/{process}/cmdline", "rb") as file:
            if file.read().split(b"\0")[0] != path.encode():
                return None
        with open(f"/proc/{process}/status", encoding="ascii", errors="replace") as file:
            line = next(line for line in file if line.startswith("Uid:"))
    except (OSError, StopIteration):
        return None
    return int(line.split()[2])


def _file_capabilities(world):
    """Capabilities for a program's file."""
    with tempfile.NamedTemporaryFile(dir=world.directory) as file:
        try:
            os.setxattr(file.name, "security.capability", struct.pack("=5I", 0x02000001, 0xFFFFFFFF, 0, 0xFFFFFFFF, 0))
        except OSError as problem:
            if problem.errno in (errno.EPERM, errno.EACCES, errno.EOPNOTSUPP):
                return denied(errno.errorcode[problem.errno])
            return error(str(problem))
        return got_out("the kernel took them")


def _chown(world):
    """A file for another user."""
    with tempfile.NamedTemporaryFile(dir=world.directory) as file:
        try:
            os.chown(file.name, 12345, 12345)
        except OSError as problem:
            return denied("EPERM") if problem.errno == errno.EPERM else error(str(problem))
        return got_out("the file has another owner")


# SPDX-License-Identifier: Apache-2.0
"""System calls by number, each in a child process of its own, so that none of them changes the probe."""
import ctypes
import errno
import json
import mmap
import os
import platform
import select
import signal
import struct
import time

from registry import denied, error, got_out

WAIT = 3.0
# name: (number on x86_64, number on arm64 and riscv64)
NUMBERS = {
    "acct": (163, 89), "add_key": (248, 217), "adjtimex": (159, 171), "bpf": (321, 280), "capset": (126, 91),
    "chroot": (161, 51), "clock_adjtime": (305, 266), "clone": (56, 220), "clone3": (435, 435), "delete_module": (176, 106),
    "fanotify_init": (300, 262), "finit_module": (313, 273), "fsopen": (430, 430), "fspick": (433, 433), "getpid": (39, 172),
    "init_module": (175, 105), "io_uring_setup": (425, 425),
    "ioperm": (173, None), "iopl": (172, None), "kexec_file_load": (320, 294), "kexec_load": (246, 104),
    "keyctl": (250, 219), "lookup_dcookie": (212, 18), "mknodat": (259, 33), "mount": (165, 40), "mount_setattr": (442, 442),
    "move_mount": (429, 429), "move_pages": (279, 239), "open_by_handle_at": (304, 265), "open_tree": (428, 428),
    "perf_event_open": (298, 241), "pivot_root": (155, 41),
    "prctl": (157, 167), "reboot": (169, 142),
    "request_key": (249, 218), "sched_setscheduler": (144, 119), "setdomainname": (171, 162), "setgid": (106, 144),
    "setgroups": (116, 159), "sethostname": (170, 161), "setns": (308, 268), "setpriority": (141, 140), "setresuid": (117, 147),
    "setuid": (105, 146), "swapoff": (168, 225), "swapon": (167, 224), "syslog": (103, 116), "umount2": (166, 39),
    "unshare": (272, 97), "userfaultfd": (323, 282), "vhangup": (153, 58),
}
REFUSALS = (errno.EPERM, errno.EACCES, errno.ENOSYS)
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long


class Unknown(Exception):
    """This call has no number that the probe knows on this machine."""


def number(name):
    """The number of a system call here."""
    machine = platform.machine()
    column = {"x86_64": 0, "aarch64": 1, "riscv64": 1}.get(machine)
    found = NUMBERS[name][column] if column is not None else None
    if found is None:
        raise Unknown(f"no number for {name} on {machine}")
    return found


def call(name, *arguments):
    """The system call: its result, or minus its errno."""
    return raw(number(name), *arguments)


def raw(wanted, *arguments):
    """A system call by its number; integers, bytes and buffers as arguments."""
    passed = [ctypes.c_long(item) if isinstance(item, int) else item for item in arguments]
    result = _LIBC.syscall(ctypes.c_long(wanted), *passed)
    return result if result >= 0 else -ctypes.get_errno()


def in_child(function, wait=WAIT):
    """What `function` returns (JSON) in a child process. Raises OSError when the child ends without a word."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            signal.alarm(int(wait) + 2)
            told = json.dumps(function()).encode()
        except BaseException as problem:  # pylint: disable=broad-except
            told = json.dumps({"raised": f"{type(problem).__name__}: {problem}"}).encode()
        os.write(writer, told)
        os._exit(0)
    os.close(writer)
    try:
        return _heard(reader, child, wait)
    finally:
        os.close(reader)


def _heard(reader, child, wait):
    """What a child said before it ended."""
    said, end, late = b"", time.monotonic() + wait, False
    while True:
        ready, _, _ = select.select([reader], [], [], max(0.0, end - time.monotonic()))
        piece = os.read(reader, 65536) if ready else b""
        said += piece
        if not piece:
            break
    if not said and not ready:
        late = True
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if said:
        answer = json.loads(said)
        if isinstance(answer, dict) and "raised" in answer:
            raise OSError(answer["raised"])
        return answer
    if os.WIFSIGNALED(status) and not late:
        raise ChildProcessError(f"ended by {signal.Signals(os.WTERMSIG(status)).name}")
    raise OSError("the call did not come back")


def judge(result, refusals=REFUSALS):
    """The Outcome by the result of a system call that is made such that, past the check of privilege, it succeeds or
    fails in another way."""
    if result >= 0:
        return got_out(f"the kernel did it (result {result})")
    name = errno.errorcode.get(-result, str(-result))
    if -result in refusals:
        return denied(name)
    return got_out(f"{name}: past the check of privilege")


def attempt(function, refusals=REFUSALS):
    """The Outcome of a function that makes a call, in a child."""
    try:
        return judge(in_child(function), refusals)
    except ChildProcessError as problem:
        return denied(str(problem))
    except OSError as problem:
        return error(str(problem))


def gvisor():
    """Whether this is gVisor's kernel: system calls are answered inside the sandbox then, and reach no host."""
    buffer = ctypes.create_string_buffer(1 << 16)
    try:
        size = in_child(lambda: call("syslog", 3, buffer, len(buffer)))
    except (OSError, Unknown):
        return False
    if size <= 0:
        return False
    call("syslog", 3, buffer, len(buffer))
    return b"Starting gVisor" in buffer.raw


# ---- 32-bit calls of a 64-bit process ----------------------------------------------------------


def call32(wanted, first=0, second=0, third=0):
    """A system call by the interrupt that 32-bit programs use (x86 only). Pointers must lie below 4 GiB."""
    code = b"\x53"  # push rbx
    code += b"\xb8" + struct.pack("<I", wanted)  # mov eax
    code += b"\xbb" + struct.pack("<I", first & 0xFFFFFFFF)  # mov ebx
    code += b"\xb9" + struct.pack("<I", second & 0xFFFFFFFF)  # mov ecx
    code += b"\xba" + struct.pack("<I", third & 0xFFFFFFFF)  # mov edx
    code += b"\xcd\x80\x5b\xc3"  # int 0x80; pop rbx; ret
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    entry = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    return entry()


def low_page():
    """The address of a fresh page below 4 GiB, for pointers of 32-bit calls."""
    _LIBC.mmap.restype = ctypes.c_void_p
    address = _LIBC.mmap(None, ctypes.c_size_t(mmap.PAGESIZE), 3, 0x22 | 0x40, -1, ctypes.c_long(0))  # private, anonymous, 32bit
    if address is None or address >= 1 << 32:
        raise Unknown("no memory below 4 GiB")
    return address

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Inside a container: `refused` makes system calls and prints {name: errno}, `programs` does what programs do."""
import asyncio
import concurrent.futures
import ctypes
import errno
import http.server
import json
import mmap
import multiprocessing
import os
import platform
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import urllib.request

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long
VSOCK, ALG, STREAM, USER = 40, 38, 1, 0x10000000
# name: its number on x86_64 and on arm64
NUMBERS = {
    "clone": (56, 220), "socket": (41, 198), "socketpair": (53, 199), "unshare": (272, 97), "keyctl": (250, 219),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "mount": (165, 40),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "clone3": (435, 435),
    "personality": (135, 92),
}  # fmt: skip


def number(name):
    return NUMBERS[name][0 if platform.machine() == "x86_64" else 1]


def call(name, *arguments):
    passed = [ctypes.c_long(item) if isinstance(item, int) else item for item in arguments]
    result = LIBC.syscall(ctypes.c_long(number(name)), *passed)
    if name in ("clone", "clone3") and result == 0:
        os._exit(0)
    return errno.errorcode.get(ctypes.get_errno()) if result < 0 else "done"


class Compatible:
    """32-bit calls of a 64-bit program, by int 0x80."""

    def __init__(self):
        self.code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        # push rbx; mov eax, edi; mov ebx, esi; xchg edx, ecx; int 0x80; cdqe; pop rbx; ret
        self.code.write(bytes.fromhex("5389f889f387cacd8048985bc3"))
        kind = ctypes.CFUNCTYPE(ctypes.c_long, *[ctypes.c_uint] * 4)
        self.run = kind(ctypes.addressof(ctypes.c_char.from_buffer(self.code)))
        map_32bit = 0x40
        self.page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | map_32bit)

    def call(self, wanted, *arguments):
        result = self.run(wanted, *arguments, *[0] * (3 - len(arguments)))
        return errno.errorcode.get(-result) if result < 0 else "done"

    def socketcall(self, family):
        self.page.seek(0)
        self.page.write(struct.pack("=III", family, STREAM, 0))
        return self.call(102, 1, ctypes.addressof(ctypes.c_char.from_buffer(self.page)))


def refused():
    said = {
        "vsock": call("socket", VSOCK, STREAM, 0),
        "vsock.high": call("socket", 1 << 32 | VSOCK, STREAM, 0),
        "vsock.pair": call("socketpair", VSOCK, STREAM, 0, ctypes.create_string_buffer(8)),
        "alg": call("socket", ALG, 5, 0),
        "io_uring_setup": call("io_uring_setup", 1, ctypes.create_string_buffer(256)),
        "io_uring_enter": call("io_uring_enter", -1, 0, 0, 0, None, 0),
        "clone.user": call("clone", USER | signal.SIGCHLD, None, None, None, None),
        "clone3.user": call("clone3", struct.pack("=8Q", USER, 0, 0, 0, signal.SIGCHLD, 0, 0, 0), 64),
        "unshare.user": call("unshare", USER),
        "keyctl": call("keyctl", 0, -4, 0),
        "bpf": call("bpf", 5, ctypes.create_string_buffer(128), 72),
        "perf_event_open": call("perf_event_open", ctypes.create_string_buffer(128), 0, -1, -1, 0),
        "userfaultfd": call("userfaultfd", 1),
        "mount": call("mount", b"none", b"/tmp", b"tmpfs", 0, None),
        "personality": call("personality", 0x400000),
    }
    if platform.machine() == "x86_64":
        x86 = Compatible()
        said["i386.getpid"] = x86.call(20)
        said["i386.vsock"] = x86.call(359, VSOCK, STREAM, 0)
        said["i386.vsock.socketcall"] = x86.socketcall(VSOCK)
        said["i386.io_uring_setup"] = x86.call(425, 1, 0)
        said["i386.unshare"] = x86.call(310, USER)
    print(json.dumps(said))


def square(number_):
    return number_ * number_


async def talk():
    server = await asyncio.start_server(lambda _, writer: (writer.write(b"hello"), writer.close()), "127.0.0.1", 0)
    reader, _ = await asyncio.open_connection(*server.sockets[0].getsockname())
    assert await reader.read() == b"hello"
    child = await asyncio.create_subprocess_exec("echo", "child", stdout=asyncio.subprocess.PIPE)
    assert (await child.communicate())[0] == b"child\n"
    server.close()


def files(directory):
    path = os.path.join(directory, "file")
    with open(path, "wb+") as one, open(path + "2", "wb+") as two:
        one.write(b"x" * 4096)
        one.flush()
        assert os.copy_file_range(one.fileno(), two.fileno(), 4096, 0, 0) == 4096
        os.posix_fallocate(two.fileno(), 0, 8192)
        os.fsync(two.fileno())
    os.link(path, path + "3")
    os.symlink(path, path + "4")
    os.mkfifo(path + "5")
    os.chown(path, os.getuid(), os.getgid())
    os.rename(path + "3", path + "6")
    database = sqlite3.connect(path + ".db")
    database.execute("pragma journal_mode = wal")
    database.execute("create table t (a)")
    database.commit()
    database.close()


def programs():
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(square, range(100))) == 328350
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(square, [2, 3]) == [4, 9]
    assert subprocess.run(["sh", "-c", "echo hi"], stdout=subprocess.PIPE, start_new_session=True, check=True).stdout == b"hi\n"
    asyncio.run(talk())
    os.waitid(os.P_PIDFD, os.pidfd_open(os.posix_spawn("/bin/true", ["true"], {})), os.WEXITED)
    with tempfile.TemporaryDirectory() as directory:
        files(directory)
    os.ftruncate(os.memfd_create("m"), 4096)
    os.sched_setaffinity(0, os.sched_getaffinity(0))
    left, right = socket.socketpair()
    socket.send_fds(left, [b"x"], [0])
    assert socket.recv_fds(right, 1, 1)[0] == b"x"
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).bind((0, 0))
    assert socket.if_nameindex() and socket.getaddrinfo("localhost", 80)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    assert direct.open(f"http://127.0.0.1:{server.server_port}/").status == 200
    server.shutdown()
    print("all of it works")


if __name__ == "__main__":
    {"refused": refused, "programs": programs}[sys.argv[1]]()

# SPDX-License-Identifier: Apache-2.0
"""The attempts on the kernel and on files: without privileges, and with those of a namespace of one's own."""
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import common

PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
import common, container, files, json, main
world = common.world_at(1, agent={"mounts": sys.argv[2:]})
for name, control in (("C.syscall", world._syscall), ("C.files", world._files), ("C.unix", world._unix)):
    world._run(name, name, control)
print(json.dumps([{name: control.ok for name, control in world.controls.items()},
                  {attempt.id: main._one(attempt, float("inf")) for attempt in container.attempts(world) + files.attempts(world)}]))
world.close()
"""
# What the kernel itself refuses to an unprivileged process, without any filter.
REFUSED = ("H2.capabilities.effective", "H2.capabilities.permitted", "H2.capabilities.bounding", "H2.no-new-privs", "H2.mount.tmpfs", "H2.mount.bind", "H2.umount",
           "H2.chroot", "H2.pivot_root", "H2.fsopen", "H2.mknod.block", "H2.mknod.char", "H2.kexec_load", "H2.init_module", "H2.finit_module", "H2.delete_module",
           "H2.reboot", "H2.swapon", "H2.swapoff", "H2.acct", "H2.adjtimex", "H2.clock_adjtime", "H2.iopl", "H2.sethostname", "H2.setdomainname", "H2.setuid",
           "H2.setgid", "H2.setgroups", "H2.capset", "H2.prctl.ambient", "H2.prctl.securebits", "H2.setpriority", "H2.sched_fifo", "H2.rlimit", "H2.open_by_handle_at",
           "H2.fanotify_init", "H2.unshare.mnt", "H2.unshare.net", "H2.clone.net", "H2.setns", "H3.chown", "H3.file-capabilities", "H2.write.core_pattern",
           "H2.write.sysrq-trigger", "H2.write.modprobe", "H2.device.mem", "H2.device.disk-sda", "H2.read.kmsg", "H2.cgroup.release_agent")
# What one may do as root of a user namespace of one's own, with all others new as well.
OPEN = ("H2.capabilities.effective", "H2.capabilities.permitted", "H2.capabilities.bounding", "H2.no-new-privs", "H2.seccomp", "H2.mount.tmpfs", "H2.mount.bind",
        "H2.umount", "H2.chroot", "H2.fsopen", "H2.open_tree", "H2.move_mount", "H2.unshare.mnt", "H2.unshare.net", "H2.unshare.uts", "H2.unshare.user", "H2.clone.net",
        "H2.clone3", "H2.setns", "H2.sethostname", "H2.setdomainname", "H2.reboot", "H2.capset", "H2.prctl.securebits")


def probed(*prefix, mounts=()):
    """(controls, outcomes) of the probe in a process that is started by `prefix`."""
    with tempfile.TemporaryDirectory(prefix="probe-test-") as directory:
        # A copy that anybody may read, wherever the repository is.
        os.chmod(directory, 0o755)
        for source in (common.PROBE, common.ROOT / "tests" / "probe", common.ROOT / "tests" / "egress", common.ROOT / "sidecars" / "egress"):
            target = Path(directory) / source.relative_to(common.ROOT)
            target.mkdir(parents=True)
            for file in source.glob("*.py"):
                (target / file.name).write_bytes(file.read_bytes())
        subprocess.run(["chmod", "-R", "a+rX", directory], check=True)
        done = subprocess.run([*prefix, sys.executable, "-B", "-I", "-c", PROGRAM, f"{directory}/tests/probe", *mounts], check=False, capture_output=True, text=True,
                              timeout=120, cwd="/", env={"PATH": os.environ["PATH"]})
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    controls, outcomes = json.loads(done.stdout)
    return controls, {name: tuple(outcome) for name, outcome in outcomes.items()}


class Container(unittest.TestCase):
    """Both ways."""

    maxDiff = None

    def test_unprivileged(self):
        """Without capabilities the kernel refuses, and nothing is an error."""
        identity, refused = ["--reuid", "65534", "--regid", "65534", "--clear-groups", "--bounding-set=-all"], REFUSED
        if os.getuid() != 0:  # only root can empty the bounding set
            identity, refused = [], [name for name in REFUSED if name != "H2.capabilities.bounding"]
        controls, outcomes = probed("setpriv", "--no-new-privs", "--inh-caps=-all", *identity)
        self.assertTrue(controls["C.syscall"] and controls["C.files"] and controls["C.unix"], controls)
        self.assertEqual({}, {name: outcomes[name] for name in refused if outcomes[name][0] != "denied"})
        self.assertEqual({}, {name: outcome for name, outcome in outcomes.items() if outcome[0] == "error"})

    def test_privileged(self):
        """With them it does not, and every change is taken back."""
        unshare = ["unshare", "--user", "--map-root-user", "--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "--mount-proc"]
        if subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode != 0:
            self.skipTest("no user namespaces here")
        before = Path("/proc/self/mountinfo").read_text(encoding="utf-8").count("\n")
        controls, outcomes = probed(*unshare)
        self.assertTrue(controls["C.syscall"] and controls["C.files"], controls)
        self.assertEqual({}, {name: outcomes[name] for name in OPEN if outcomes[name][0] != "open"})
        self.assertEqual(before, Path("/proc/self/mountinfo").read_text(encoding="utf-8").count("\n"))

    def test_sockets_in_mounts(self):
        """An engine's socket in a mount is found, however deep, and an unknown one is not called harmless."""
        import socket
        import threading
        with tempfile.TemporaryDirectory(prefix="probe-test-") as directory:
            os.chmod(directory, 0o755)
            path = Path(directory) / "a" / "b"
            path.mkdir(parents=True)
            for answer, verdict in ((b"HTTP/1.0 200 OK\r\nApi-Version: 1.41\r\n\r\nOK", "open"), (b"HTTP/1.0 404 None\r\n\r\n", "skipped")):
                with socket.socket(socket.AF_UNIX) as listener:
                    name = str(path / f"{verdict}.sock")
                    listener.bind(name)
                    os.chmod(name, 0o777)
                    listener.listen(8)
                    stop = threading.Event()
                    threading.Thread(target=self._answer, args=(listener, answer, stop), daemon=True).start()
                    _, outcomes = probed(mounts=[directory])
                    stop.set()
                    self.assertEqual(verdict, outcomes["H1.mounts"][0], outcomes["H1.mounts"])
                os.unlink(name)
            (path / "EGRESS_TOKEN_0").write_text("token", encoding="utf-8")
            _, outcomes = probed(mounts=[directory])
            self.assertEqual(("denied", "open", "denied"), tuple(outcomes[name][0] for name in ("H1.mounts", "H5.file.EGRESS_TOKEN_0", "H5.file.egress-ca.key")))

    @staticmethod
    def _answer(listener, answer, stop):
        listener.settimeout(0.2)
        while not stop.is_set():
            try:
                client, _ = listener.accept()
            except OSError:
                continue
            with client:
                client.settimeout(1.0)
                try:
                    client.recv(1000)
                    client.sendall(answer)
                except OSError:
                    pass


if __name__ == "__main__":
    unittest.main()

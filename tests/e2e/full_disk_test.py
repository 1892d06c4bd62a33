#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A full disk: new jobs are refused and told why, those that run go on, and it is over when there is room.

Usage: full_disk_test.py; BROOD_BIN_DIR names the folder of the programs. The disk is a file that is mounted in a mount
namespace of the test's own, so that nothing can stay behind; without the right to do that the test is skipped.
"""

import ctypes
import errno
import json
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../testing"))
import proc  # noqa: E402
from local_world import OwnFolders  # noqa: E402

SKIPPED = 77  # as CMakeLists.txt has it
CLONE_NEWNS = 0x00020000
MS_REC_PRIVATE = 0x4000 | (1 << 18)
DISK_MIB = 96
SECONDS = 60


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr.strip()}"


def enter_mount_namespace():
    """Why not, or None."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0 or libc.mount(b"none", b"/", None, MS_REC_PRIVATE, None) != 0:
        return "no mount namespace of its own: " + os.strerror(ctypes.get_errno())
    with tempfile.TemporaryDirectory(prefix="brood-", dir="/var/tmp") as folder:
        try:
            mount_disk(folder + "/image", folder)
            run("umount", folder)
        except (AssertionError, OSError) as refused:
            return f"no disk of its own: {refused}"
    return None


def mount_disk(image, folder):
    with open(image, "wb") as file:
        file.truncate(DISK_MIB << 20)
    run("mkfs.ext4", "-q", "-F", "-m", "0", image)
    run("mount", "-o", "loop", image, folder)


class FullDiskTest(OwnFolders):
    def setUp(self):
        super().setUp()
        self.disk = os.path.join(self.folder, "disk")
        os.mkdir(self.disk)
        mount_disk(os.path.join(self.folder, "image"), self.disk)
        self.addCleanup(run, "umount", self.disk)
        # Whoever still has files there would keep it.
        self.addCleanup(lambda: self.assertEqual(proc.end_all_with(self.folder), []))
        self.environment["BROOD_STATE_DIR"] = os.path.join(self.disk, "state")
        self.addCleanup(self.brood, "agent", "stop")
        self.assertEqual(self.brood("run", "--", "echo", "up").stdout, "up\n")

    def fill(self):
        """Takes all room there is, in whole blocks and then bytes."""
        with open(os.path.join(self.disk, "ballast"), "wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError as full:
                    self.assertEqual(full.errno, errno.ENOSPC)
        self.assertEqual(os.statvfs(self.disk).f_bavail, 0)

    def submit(self, *words):
        """The id of a detached job."""
        done = self.brood("run", "-d", *words)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def state(self, job):
        return json.loads(self.brood("show", job, "-o", "json").stdout)["state"]

    def test_a_full_disk_refuses_new_jobs_and_keeps_running_ones(self):
        gate = os.path.join(self.folder, "gate")
        os.mkfifo(gate)
        waits = self.submit("--", "sh", "-c", f"read word <{gate}; exit 7")
        stays = self.submit("--", "sleep", "1000")
        proc.wait_until("the jobs run", lambda: {self.state(waits), self.state(stays)} == {"RUNNING"})
        agent = json.loads(self.brood("agent", "status", "-o", "json").stdout)
        self.assertEqual(agent["journalProblem"], "")
        self.fill()

        refused = self.brood("run", "--", "touch", os.path.join(self.folder, "ran"))
        self.assertEqual(refused.returncode, 125)
        for word in ("takes nothing new", "ENOSPC", os.path.join(self.disk, "state"), "make room"):
            self.assertIn(word, refused.stderr)
        self.assertFalse(os.path.exists(os.path.join(self.folder, "ran")))
        self.assertEqual(self.brood("run", "--durable", "--", "true").returncode, 125)
        lines = os.path.join(self.folder, "lines")
        with open(lines, "w", encoding="utf-8") as file:
            file.write("one\ntwo\n")
        each = self.brood("run", "--each", lines, "--", "echo", "{}")
        self.assertEqual((each.returncode, each.stdout), (125, ""), "a full disk is not waited for as a full queue is")
        # All who ask are told.
        self.assertIn("ENOSPC", json.loads(self.brood("agent", "status", "-o", "json").stdout)["journalProblem"])
        self.assertIn("takes no new jobs", self.brood("agent", "status").stderr)
        self.assertIn("ENOSPC", self.brood("hosts", "-o", "wide").stdout)
        doctor = self.brood("doctor")
        self.assertNotEqual(doctor.returncode, 0)
        self.assertIn("takes no new jobs", doctor.stdout)

        # Readers, ends and cancels.
        self.assertEqual(self.brood("logs", waits).returncode, 0)
        self.assertIn(waits.split("/")[-1][:8], self.brood("ps").stdout)
        with open(gate, "w", encoding="utf-8") as file:
            file.write("on\n")
        self.assertEqual(self.brood("wait", waits).returncode, 7)
        self.assertEqual(self.brood("cancel", stays).returncode, 0)
        self.brood("wait", stays)
        self.assertEqual(json.loads(self.brood("show", stays, "-o", "json").stdout)["outcome"], "CANCELLED")
        self.assertEqual(self.brood("events", waits, "-o", "jsonl").stdout.count('"exited"'), 1)

        os.unlink(os.path.join(self.disk, "ballast"))
        proc.wait_until("jobs are taken again", lambda: self.brood("run", "--", "true").returncode == 0)
        self.assertEqual(self.brood("run", "--durable", "--", "echo", "kept").stdout, "kept\n")
        self.assertIn('"durable"', self.brood("events", "last", "-o", "jsonl").stdout)
        after = json.loads(self.brood("agent", "status", "-o", "json").stdout)
        self.assertEqual((after["journalProblem"], after["pid"]), ("", agent["pid"]), "the same agent, well again")

    def test_output_that_the_disk_does_not_take_is_counted_and_the_job_goes_on(self):
        gate = os.path.join(self.folder, "gate")
        os.mkfifo(gate)
        script = f"echo before; read word <{gate}; head -c 3000000 /dev/zero; exit 3"
        job = self.submit("--", "sh", "-c", script)
        proc.wait_until("it runs", lambda: self.state(job) == "RUNNING")
        self.fill()
        with open(gate, "w", encoding="utf-8") as file:
            file.write("on\n")
        self.assertEqual(self.brood("wait", job).returncode, 3)
        closed = [
            json.loads(line)["outputClosed"]
            for line in self.brood("events", job, "-o", "jsonl").stdout.splitlines()
            if "outputClosed" in line
        ]
        self.assertEqual(len(closed), 1)
        dropped = int(closed[0].get("droppedBytes", 0))
        self.assertGreater(dropped, 2_000_000)
        self.assertEqual(dropped + int(closed[0]["stdoutBytes"]), 3_000_007)

    def test_an_agent_that_is_killed_on_a_full_disk_comes_back_to_it(self):
        gate = os.path.join(self.folder, "gate")
        os.mkfifo(gate)
        job = self.submit("--", "sh", "-c", f"read word <{gate}; exit 9")
        proc.wait_until("it runs", lambda: self.state(job) == "RUNNING")
        self.fill()
        agent = json.loads(self.brood("agent", "status", "-o", "json").stdout)["pid"]
        proc.kill(agent)
        self.start("agent", "run", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(self.brood, "agent", "stop")
        proc.wait_until("it answers", lambda: self.brood("agent", "status").returncode == 0)
        self.assertEqual(self.state(job), "RUNNING")
        refused = self.brood("run", "--", "true")
        self.assertEqual(refused.returncode, 125)
        self.assertIn("ENOSPC", refused.stderr)
        with open(gate, "w", encoding="utf-8") as file:
            file.write("on\n")
        self.assertEqual(self.brood("wait", job).returncode, 9)
        os.unlink(os.path.join(self.disk, "ballast"))
        proc.wait_until("jobs are taken again", lambda: self.brood("run", "--", "true").returncode == 0)


if __name__ == "__main__":
    reason = enter_mount_namespace()
    if reason:
        print("skipped:", reason)
        sys.exit(SKIPPED)
    unittest.main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Limits of a job: each holds it, and who ended is told why; where a limit cannot be held it is refused or said.

Usage: limits_test.py; BROOD_BIN_DIR names the folder of the programs. What needs a controller of control groups is
skipped, with that reason, where the agent says that it has none.
"""

import json
import os
import re
import signal
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../testing"))
import proc  # noqa: E402
from local_world import LocalWorld  # noqa: E402

# Takes memory until it is refused or killed: 300 MiB, far beyond the limit, and far below what a machine has.
GLUTTON = "x = bytearray(300 << 20); print(len(x))"
# Forks children that wait, and says how often it could before it was refused.
FORKER = """
import errno, os, signal
children = []
try:
    for _ in range(40):
        child = os.fork()
        if child == 0: signal.pause()
        children.append(child)
    print("never refused")
except OSError as refused:
    print(len(children), errno.errorcode[refused.errno])
for child in children: os.kill(child, signal.SIGKILL)
"""


class LimitsTest(LocalWorld):
    def setUp(self):
        super().setUp()
        self.host = json.loads(self.brood("hosts", "-o", "json").stdout)["hosts"][0]
        with open(self.find("epoch"), encoding="ascii") as file:
            self.journal = re.search(r"^id ([0-9a-f]{16})$", file.read(), re.M).group(1)

    def find(self, name):
        for folder, _, names in os.walk(self.folder + "/state"):
            if name in names:
                return os.path.join(folder, name)
        self.fail(f"no {name} in {self.folder}")

    def need(self, what):
        """`what` is a sentence of the agent's own: none is made up here."""
        if not self.host.get("limitControllers"):
            self.skipTest(f"this agent has no controllers of control groups, and {what} needs one")

    def show(self, job="last"):
        return json.loads(self.brood("show", job, "-o", "json").stdout)

    def groups(self):
        """The control groups of this state's jobs, anywhere."""
        return [os.path.join(folder, name) for folder, names, _ in os.walk("/sys/fs/cgroup") for name in names
                if name.startswith(f"brood-{self.journal}-")]

    def test_the_kernels_limits_of_one_process_hold(self):
        shell = "ulimit -n; ulimit -c; ulimit -t; ulimit -f"
        said = self.brood("run", "--limit", "files=64", "--limit", "core=0", "--limit", "cpu=2m", "--limit", "fsize=1M",
                          "--", "bash", "-c", shell)
        self.assertEqual(said.stdout.split(), ["64", "0", "120", "1024"], said.stderr)
        spun = self.brood("run", "--limit", "cpu=1s", "--", "sh", "-c", "while :; do :; done")
        self.assertIn(spun.returncode, (128 + signal.SIGXCPU, 128 + signal.SIGKILL), spun.stderr)
        large = self.brood("run", "--limit", "fsize=64K", "--", "head", "-c", "100000", "/dev/zero")
        self.assertEqual((large.returncode, len(large.stdout)), (0, 100000), "a pipe is no file")
        path = self.folder + "/large"
        large = self.brood("run", "--limit", "fsize=64K", "--", "sh", "-c", f"head -c 100000 /dev/zero >{path}")
        self.assertNotEqual(large.returncode, 0)
        self.assertLessEqual(os.path.getsize(path), 64 << 10)

    def test_what_goes_past_its_memory_is_killed_and_told_so(self):
        self.need("the memory of a whole job")
        ended = self.brood("run", "--limit", "mem=64M", "--", sys.executable, "-c", GLUTTON)
        self.assertEqual((ended.returncode, ended.stdout), (128 + signal.SIGKILL, ""), ended.stderr)
        self.assertEqual(self.show()["message"], "killed by the kernel: its memory limit was reached")
        self.assertIn("its memory limit was reached", self.brood("events", "last").stdout)
        # A shell that tells of its child, whose memory it was.
        child = self.brood("run", "--limit", "mem=64M", "--", "sh", "-c", f"{sys.executable} -c '{GLUTTON}'; exit $?")
        self.assertEqual(child.returncode, 128 + signal.SIGKILL, child.stderr)
        self.assertIn("memory limit", self.show().get("message", ""))
        self.assertEqual(self.brood("run", "--limit", "mem=64M", "--", "echo", "enough").stdout, "enough\n")

    def test_without_a_controller_memory_is_address_space_and_that_is_said(self):
        if self.host.get("limitControllers"):
            self.skipTest("this agent has controllers")
        ended = self.brood("run", "--limit", "mem=200M", "--", sys.executable, "-c", GLUTTON)
        self.assertIn("MemoryError", ended.stderr)
        self.assertIn("mem bounds the address space", self.brood("events", "last").stdout)

    def test_nobody_is_said_to_have_reached_a_limit_who_was_only_killed(self):
        killed = self.brood("run", "--limit", "mem=512M", "--", "sh", "-c", "kill -9 $$")
        self.assertEqual(killed.returncode, 128 + signal.SIGKILL)
        self.assertNotIn("memory limit", self.show().get("message", ""))
        self.assertEqual(self.brood("run", "--limit", "mem=512M", "--", "sh", "-c", "exit 137").returncode, 137)
        self.assertNotIn("memory limit", self.show().get("message", ""))

    def test_a_forked_call_has_a_limit_of_its_own_and_its_parent_none(self):
        self.need("the memory of a whole job")
        self.assertEqual(self.brood("run", "--mode", "thread", "--call", "demo.add", "hits", "1").stdout, "1\n")
        touched = self.brood("run", "--mode", "fork", "--limit", "mem=16M", "--call", "demo.block", "large", "200", "false")
        shown = self.show()
        self.assertEqual(touched.returncode, 128 + signal.SIGKILL, (touched.stdout, touched.stderr, shown))
        self.assertIn("memory limit", shown["message"])
        self.assertEqual(self.brood("run", "--mode", "thread", "--call", "demo.add", "hits", "1").stdout, "2\n")

    def test_the_processes_of_a_job_are_counted_or_the_limit_is_refused(self):
        ended = self.brood("run", "--limit", "procs=10", "--", sys.executable, "-c", FORKER)
        if "procs" not in self.host["limits"]:
            self.assertEqual(ended.returncode, 125)
            self.assertIn("spec.limits[0].name: 'procs' cannot be held", ended.stderr)
            self.skipTest("this agent can bound no processes, and has said so")
        self.need("the processes of one job, and not all of its user's,")
        self.assertEqual((ended.stdout, ended.returncode), ("9 EAGAIN\n", 0), ended.stderr)

    def test_one_that_cannot_even_start_in_its_memory_fails_alone(self):
        self.need("the memory of a whole job")
        self.brood("run", "--mode", "thread", "--call", "demo.add", "hits", "1")
        for _ in range(3):
            small = self.brood("run", "--limit", "mem=1M", "--", sys.executable, "-c", GLUTTON)
            self.assertIn(small.returncode, (128 + signal.SIGKILL, 126), small.stderr)
        self.assertEqual(self.brood("run", "--mode", "thread", "--call", "demo.add", "hits", "1").stdout, "2\n")

    def test_no_group_is_left_by_whoever_dies(self):
        self.need("what is looked for here")
        self.brood("run", "--limit", "mem=64M", "--limit", "procs=9", "--", "true")
        proc.wait_until("a group is left after the end", lambda: not self.groups())
        gate = self.folder + "/gate"
        job = self.brood("run", "-d", "--limit", "mem=64M", "--limit", "procs=9", "--", "sh", "-c",
                         f"while [ ! -e {gate} ]; do sleep 0.02; done").stdout.strip()
        proc.wait_until("it does not run", lambda: self.show(job)["state"] == "RUNNING")
        self.assertTrue(self.groups())
        proc.kill(json.loads(self.expect("agent", "status", "-o", "json"))["pid"])
        # The job goes on in its group, ends while nobody looks, and the next agent tidies up.
        self.assertTrue(self.groups())
        pid_folder = self.groups()[0]
        open(gate, "w").close()

        def is_empty():
            with open(pid_folder + "/cgroup.procs", encoding="ascii") as file:
                return not file.read()

        proc.wait_until("the job does not end", is_empty)
        self.assertEqual(self.brood("wait", job).returncode, 0)
        proc.wait_until("the next agent leaves a group", lambda: not self.groups())

    def test_a_group_stays_for_as_long_as_somebody_lives_in_it(self):
        self.need("what is looked for here")
        self.brood("run", "--limit", "mem=64M", "--", "sh", "-c", "setsid sleep 600 >/dev/null 2>&1 &")
        self.assertTrue(self.groups())
        with open(self.groups()[0] + "/cgroup.procs", encoding="ascii") as file:
            daemon = int(file.read())
        os.kill(daemon, signal.SIGKILL)
        proc.wait_until("a group is left after the last in it", lambda: not self.groups())

    def test_what_is_no_limit_is_refused_with_its_cure(self):
        for limit, words in {
            "mem=12": "give at least 1048576",
            "mem=12Q": "512M or 1GiB",
            "mem=99999999T": "no number of bytes",
            "cpu=300ms": "no whole number of seconds",
            "files=4K": "no whole number; write files=256",
            "procs=0": "give at least 1",
            "cpu=0": "--limit: 0 is too little of 'cpu'",
            "stack=1": "give at least 16384",
            "as=1": "give at least 1048576",
            "files=0": "give at least 4",
            "luck=7": "take one of cpu, mem, files, procs",
        }.items():
            ended = self.brood("run", "--limit", limit, "--", "true")
            self.assertEqual(ended.returncode, 125, limit)
            self.assertIn(words, ended.stderr, limit)
        twice = self.brood("run", "--limit", "files=64", "--limit", "nofile=64", "--", "true")
        self.assertIn("'nofile' is the same as 'files'", twice.stderr)
        thread = self.brood("run", "--mode", "thread", "--limit", "mem=64M", "--call", "demo.noop")
        self.assertIn("--limit: does not go with --mode thread", thread.stderr)

    def test_the_host_says_what_it_has(self):
        self.assertTrue({"cpu", "mem", "files", "fsize", "core"} <= set(self.host["limits"]))
        wide = self.brood("hosts", "-o", "wide").stdout
        doctor = self.brood("doctor").stdout
        if self.host.get("limitControllers"):
            self.assertIn(self.host["limitControllers"], wide)
            self.assertIn(f"limits of memory and processes are held by {self.host['limitControllers']}", doctor)
        else:
            self.assertIn("WARN  the local agent has no controllers", doctor)


if __name__ == "__main__":
    unittest.main(verbosity=2)

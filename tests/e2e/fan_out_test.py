#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A run on three hosts of a lab, some of which are down, hang, or are lost on the way."""

import json
import os
import select
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../testing"))
from local_world import BROOD, LocalWorld  # noqa: E402

RULE = "-" * 15 + "\n"


class FanOutTest(LocalWorld):
    def setUp(self):
        super().setUp()
        self.addCleanup(self.brood, "lab", "down")
        up = self.brood("lab", "up", "-n", "3")
        self.assertEqual(up.returncode, 0, up.stderr)

    def pid_of(self, host):
        status = json.loads(self.brood("lab", "status", "-o", "json").stdout)
        return next(one["pid"] for one in status["hosts"] if one["name"] == host)

    def kill_agent(self, host):
        pid = self.pid_of(host)
        pidfd = os.pidfd_open(pid)
        os.kill(pid, signal.SIGKILL)
        # Its end, which is not ours to wait for, is seen by the descriptor.
        select.select([pidfd], [], [], 20)
        os.close(pidfd)

    def start(self, *words):
        process = subprocess.Popen(
            [BROOD, *words], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.addCleanup(process.communicate)
        return process

    def gate(self, last="exit 3"):
        """The words of a job that says it is up and ends when a file is made, and that file."""
        gate = self.folder + "/gate"
        return gate, ("sh", "-c", f"echo up; while [ ! -e {gate} ]; do sleep 0.02; done; {last}")

    def test_equal_output_is_printed_once_and_the_rest_as_a_difference(self):
        same = self.brood("run", "-b", "-w", "@lab", "--", "uname", "-s")
        self.assertEqual(same.stdout, RULE + "host[1-3]\n" + RULE + "Linux\n")
        self.assertEqual(same.returncode, 0)
        one = self.brood(
            "run", "--diff", "-w", "@lab", "--", "sh", "-c",
            'echo a; test $BROOD_HOST = host2 && echo 12 || echo 16',
        )
        self.assertEqual(
            one.stdout, "--- host[1,3] (2)\n+++ host2\n@@ -1,2 +1,2 @@\n a\n-16\n+12\n")

    def test_a_host_that_is_down_delays_nobody_and_is_told_by_125(self):
        self.kill_agent("host2")
        for words in ((), ("-f", "1")):
            run = self.brood("run", *words, "-w", "@lab", "--", "echo", "x")
            self.assertEqual(run.returncode, 125)
            self.assertEqual(sorted(run.stdout.splitlines()), ["host1: x", "host3: x"])
            self.assertIn("brood: host2: unreachable: ", run.stderr)

    def test_a_host_that_hangs_at_the_start_is_given_up(self):
        pid = self.pid_of("host2")
        os.kill(pid, signal.SIGSTOP)
        try:
            run = self.start("run", "-w", "@lab", "-o", "json", "--", "true")
            out, err = run.communicate(timeout=60)
        finally:
            os.kill(pid, signal.SIGCONT)
        self.assertEqual(run.returncode, 125, err)
        hosts = {one["host"]: one for one in json.loads(out)}
        self.assertEqual({name: one["reached"] for name, one in hosts.items()},
                         {"host1": True, "host2": False, "host3": True})
        self.assertEqual(hosts["host1"]["exitCode"], 0)

    def test_a_host_that_is_lost_and_comes_back_tells_the_truth(self):
        gate, words = self.gate()
        run = self.start("run", "-w", "@lab", "--", *words)
        self.assertEqual(sorted(run.stdout.readline() for _ in range(3)),
                         ["host1: up\n", "host2: up\n", "host3: up\n"])
        self.kill_agent("host2")
        said = run.stderr.readline()
        self.assertIn("host2: the connection is lost (unreachable: ", said)
        up = self.brood("lab", "up", "-n", "3")
        self.assertEqual(up.returncode, 0, up.stderr)
        self.assertIn("host2: connected again", run.stderr.readline())
        open(gate, "w").close()
        err = run.communicate(timeout=60)[1]
        self.assertEqual(run.returncode, 3, err)
        self.assertEqual(sorted(err.splitlines()), [f"brood: host{i}: exited 3" for i in (1, 2, 3)])

    def test_a_host_that_is_lost_for_good_is_125_and_the_others_complete(self):
        gate, words = self.gate("echo end")
        run = self.start("run", "-b", "-w", "@lab", "--give-up-after", "1s", "--", *words)
        # Gathered output says nothing yet.
        deadline = time.monotonic() + 60
        for host in ("host1", "host2", "host3"):
            while '"RUNNING"' not in self.brood("ps", "-l", "-w", host, "-o", "json").stdout:
                self.assertLess(time.monotonic(), deadline)
        self.kill_agent("host2")
        # The connection that is lost, and then the host that is given up.
        self.assertIn("host2: the connection is lost", run.stderr.readline())
        self.assertIn("host2: unreachable: ", run.stderr.readline())
        open(gate, "w").close()
        # Not by communicate, which leaves what readline has read ahead.
        err = run.stderr.read()
        out = run.stdout.read()
        self.assertEqual(run.wait(timeout=60), 125, err)
        self.assertTrue(out.startswith(RULE + "host[1,3]\n" + RULE + "up\nend\n"), out)
        self.assertNotIn("host2\n", out)
        self.assertIn("may go on", err)

    def test_the_rest_is_cancelled_when_one_fails(self):
        gate = self.folder + "/gate"
        script = f"test $BROOD_HOST = host2 && exit 7; touch {gate}.$BROOD_HOST; sleep 100"
        run = self.brood("run", "-w", "@lab", "--fail-fast", "--", "sh", "-c", script)
        self.assertEqual(run.returncode, 7, run.stderr)
        self.assertIn("brood: 1 failed: cancelling the rest\n", run.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A job that forks without end is held by its limit, disturbs nobody, and is ended whole.

Usage: fork_bomb_test.py; BROOD_BIN_DIR names the folder of the programs. Needs root and setpriv(1): the kernel binds only
other users by RLIMIT_NPROC, so the jobs become one that nothing else runs as.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../testing"))
import proc  # noqa: E402
from local_world import LocalWorld  # noqa: E402

PROCESSES = 40

# Each process forks for ever, and so does each child. Who is refused says so once, and tries again when a child has
# ended, or a moment later. Should brood leave it alone, all of it ends by itself.
BOMB = """
import errno, os, signal, sys, time
stubborn = sys.argv[1] == "stubborn"
if stubborn: signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
said = False
end = time.monotonic() + 120
while time.monotonic() < end:
    try:
        if os.fork() == 0:
            said = False
            if stubborn and os.getpid() % 2 == 0: os.setsid()
    except OSError as refused:
        if not said: os.write(1, (errno.errorcode[refused.errno] + "\\n").encode())
        said = True
        signal.sigtimedwait({signal.SIGCHLD}, 0.01)
"""


def processes_of(uid):
    """The living processes of that user, as /proc has them."""
    pids = []
    for pid in proc.pids():
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if int(proc.status(pid, "Uid")) == uid and proc.status(pid, "State") not in "ZX":
                pids.append(pid)
    return pids


@unittest.skipUnless(os.geteuid() == 0, "not root: RLIMIT_NPROC would count all of this user's processes")
@unittest.skipUnless(shutil.which("setpriv"), "no setpriv: RLIMIT_NPROC does not bind root")
class ForkBombTest(LocalWorld):
    def setUp(self):
        self.uid = random.choice(range(20000, 60000))
        while processes_of(self.uid):
            self.uid = random.choice(range(20000, 60000))
        super().setUp()
        self.addCleanup(self.end_bomb)

    def end_bomb(self):
        # Nothing, unless the test has failed. Stopped first: what is left would fork meanwhile.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for _ in range(3):
                for pid in processes_of(self.uid):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)

    def start_bomb(self, manner, *options):
        return self.expect("run", "-d", "--limit", f"nproc={PROCESSES}", *options, "--", "setpriv", "--reuid", str(self.uid),
                          "--regid", str(self.uid), "--clear-groups", sys.executable, "-c", BOMB, manner).strip()

    def events(self, job):
        return [json.loads(line) for line in self.expect("events", job, "-o", "jsonl").splitlines()]

    def check_held(self, job):
        """The limit is reached and refuses, and others do not notice."""
        proc.wait_until("nobody was refused", lambda: self.expect("logs", job))
        self.assertEqual(set(self.expect("logs", job).split()), {"EAGAIN"})
        most = 0
        for turn in range(1, 6):
            most = max(most, len(processes_of(self.uid)))
            self.assertEqual(self.expect("run", "--mode", "thread", "--call", "demo.add", "x", "1").strip(), str(turn))
            self.assertEqual(self.expect("run", "--mode", "fork", "--call", "demo.read", "x").strip(), str(turn))
            self.assertEqual(self.expect("run", "--", "echo", "other").strip(), "other")
            self.assertIn(" RUNNING ", self.expect("ps"))
        self.assertGreater(most, PROCESSES // 2)
        self.assertLessEqual(most, PROCESSES)

    def check_gone(self, job, outcome):
        proc.wait_until("it was not cleaned", lambda: any("cleaned" in event for event in self.events(job)))
        self.assertEqual(processes_of(self.uid), [])
        self.assertEqual([event for event in self.events(job) if "survivors" in event], [])
        self.assertEqual(json.loads(self.expect("show", job, "-o", "json"))["outcome"], outcome)
        self.assertEqual(self.expect("run", "--", "echo", "after").strip(), "after")

    def test_a_cancel_ends_all_of_it(self):
        job = self.start_bomb("plain")
        self.check_held(job)
        self.expect("cancel", job)
        self.check_gone(job, "CANCELLED")

    def test_a_cancel_ends_one_that_ignores_sigterm_and_leaves_its_session(self):
        job = self.start_bomb("stubborn")
        self.check_held(job)
        self.expect("cancel", "--grace", "100ms", job)
        self.check_gone(job, "CANCELLED")

    def test_a_time_out_ends_all_of_it(self):
        job = self.start_bomb("stubborn", "--timeout", "5s", "--grace", "100ms")
        proc.wait_until("nobody was refused", lambda: self.expect("logs", job))
        self.check_gone(job, "TIMED_OUT")


if __name__ == "__main__":
    unittest.main(verbosity=2)

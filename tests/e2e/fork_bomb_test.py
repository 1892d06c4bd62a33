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
import subprocess
import sys
import tempfile
import time
import unittest

BROOD = os.path.join(os.environ["BROOD_BIN_DIR"], "brood")
SECONDS = 60
PROCESSES = 40
VARIABLES = ("BROOD_STATE_DIR", "BROOD_RUNTIME_DIR", "BROOD_CONFIG", "BROOD_HOSTS")

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
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/status", encoding="utf-8", errors="replace") as file:
                status = dict(line.split(":", 1) for line in file)
        except OSError:
            continue  # it has ended meanwhile
        if int(status["Uid"].split()[0]) == uid and status["State"].split()[0] not in "ZX":
            pids.append(int(entry))
    return pids


@unittest.skipUnless(os.geteuid() == 0, "not root: RLIMIT_NPROC would count all of this user's processes")
@unittest.skipUnless(shutil.which("setpriv"), "no setpriv: RLIMIT_NPROC does not bind root")
class ForkBombTest(unittest.TestCase):
    def setUp(self):
        self.uid = random.choice(range(20000, 60000))
        while processes_of(self.uid):
            self.uid = random.choice(range(20000, 60000))
        self.folder = tempfile.mkdtemp(prefix="brood-", dir="/var/tmp")
        self.environment = dict(os.environ, HOME=self.folder)
        for name in VARIABLES:
            self.environment[name] = os.path.join(self.folder, name[6:].lower())
        self.brood("run", "--", "true")  # starts an agent

    def tearDown(self):
        # Nothing, unless the test has failed. Stopped first: what is left would fork meanwhile.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for _ in range(3):
                for pid in processes_of(self.uid):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
        self.brood("agent", "stop")
        shutil.rmtree(self.folder)

    def brood(self, *words, code=0):
        answer = subprocess.run([BROOD, *words], env=self.environment, capture_output=True, text=True,
                                timeout=SECONDS, check=False, stdin=subprocess.DEVNULL)
        self.assertEqual(answer.returncode, code, f"{words}: {answer.stdout}{answer.stderr}")
        return answer.stdout

    def start_bomb(self, manner, *options):
        return self.brood("run", "-d", "--limit", f"nproc={PROCESSES}", *options, "--", "setpriv", "--reuid", str(self.uid),
                          "--regid", str(self.uid), "--clear-groups", sys.executable, "-c", BOMB, manner).strip()

    def events(self, job):
        return [json.loads(line) for line in self.brood("events", job, "-o", "jsonl").splitlines()]

    def wait_until(self, what, holds):
        deadline = time.monotonic() + SECONDS
        while not holds():
            self.assertLess(time.monotonic(), deadline, what)

    def check_held(self, job):
        """The limit is reached and refuses, and others do not notice."""
        self.wait_until("nobody was refused", lambda: self.brood("logs", job))
        self.assertEqual(set(self.brood("logs", job).split()), {"EAGAIN"})
        most = 0
        for turn in range(1, 6):
            most = max(most, len(processes_of(self.uid)))
            self.assertEqual(self.brood("run", "--mode", "thread", "--call", "demo.add", "x", "1").strip(), str(turn))
            self.assertEqual(self.brood("run", "--mode", "fork", "--call", "demo.read", "x").strip(), str(turn))
            self.assertEqual(self.brood("run", "--", "echo", "other").strip(), "other")
            self.assertIn(" RUNNING ", self.brood("ps"))
        self.assertGreater(most, PROCESSES // 2)
        self.assertLessEqual(most, PROCESSES)

    def check_gone(self, job, outcome):
        self.wait_until("it was not cleaned", lambda: any("cleaned" in event for event in self.events(job)))
        self.assertEqual(processes_of(self.uid), [])
        self.assertEqual([event for event in self.events(job) if "survivors" in event], [])
        self.assertEqual(json.loads(self.brood("show", job, "-o", "json"))["outcome"], outcome)
        self.assertEqual(self.brood("run", "--", "echo", "after").strip(), "after")

    def test_a_cancel_ends_all_of_it(self):
        job = self.start_bomb("plain")
        self.check_held(job)
        self.brood("cancel", job)
        self.check_gone(job, "CANCELLED")

    def test_a_cancel_ends_one_that_ignores_sigterm_and_leaves_its_session(self):
        job = self.start_bomb("stubborn")
        self.check_held(job)
        self.brood("cancel", "--grace", "100ms", job)
        self.check_gone(job, "CANCELLED")

    def test_a_time_out_ends_all_of_it(self):
        job = self.start_bomb("stubborn", "--timeout", "5s", "--grace", "100ms")
        self.wait_until("nobody was refused", lambda: self.brood("logs", job))
        self.check_gone(job, "TIMED_OUT")


if __name__ == "__main__":
    unittest.main(verbosity=2)

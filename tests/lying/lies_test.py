#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each lie that brood could tell about forks and threads fails its claim; without one, the same programs pass.

Usage: lies_test.py; BROOD_LYING_BIN_DIR names the folder of the programs that can lie.
"""

import json
import os
import shutil
import subprocess
import tempfile
import unittest

BROOD = os.path.join(os.environ["BROOD_LYING_BIN_DIR"], "brood")
SECONDS = 120
VARIABLES = ("BROOD_STATE_DIR", "BROOD_RUNTIME_DIR", "BROOD_CONFIG", "BROOD_HOSTS")


class LiesTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="brood-", dir="/var/tmp")
        self.environment = dict(os.environ, TMPDIR="/var/tmp", HOME=self.folder)
        self.environment.pop("BROOD_LIE", None)
        for name in VARIABLES:
            self.environment[name] = os.path.join(self.folder, name[6:].lower())

    def tearDown(self):
        self.brood("lab", "down")
        shutil.rmtree(self.folder)

    def brood(self, *words):
        return subprocess.run([BROOD, *words], env=self.environment, capture_output=True, text=True,
                              timeout=SECONDS, check=False, stdin=subprocess.DEVNULL)

    def failed_claims(self, lie, experiment):
        """What the experiment's FAILED claims say, on a host that tells the lie."""
        if lie:
            self.environment["BROOD_LIE"] = lie
        up = self.brood("lab", "up", "-n", "1")
        self.assertEqual(up.returncode, 0, up.stderr)
        answer = self.brood("experiment", "run", experiment, "-w", "host1", "-o", "json")
        report = json.loads(answer.stdout)[experiment]
        self.assertEqual(answer.returncode, 1 if report["verdict"] != "PASSED" else 0, answer.stderr)
        return [claim["says"] for claim in report["hosts"]["host1"]["claims"] if claim["verdict"] == "FAILED"]

    def test_without_a_lie_the_claims_hold(self):
        for experiment in ("C1", "C5", "C9"):
            with self.subTest(experiment):
                self.assertEqual(self.failed_claims(None, experiment), [])

    def test_a_fork_that_runs_as_a_thread_fails_c1(self):
        self.assertIn("the parent does not see it: by its own word, and read from outside",
                      self.failed_claims("fork-as-thread", "C1"))

    def test_a_cell_that_is_silently_shared_fails_c1(self):
        self.assertIn("the parent does not see it: by its own word, and read from outside",
                      self.failed_claims("shared-cell", "C1"))

    def test_an_invented_reparenting_fails_c5(self):
        self.assertIn("a fork whose parent lives is not given to anybody",
                      self.failed_claims("invented-reparenting", "C5"))

    def test_threads_that_are_ended_one_by_one_fail_c9(self):
        self.assertIn("no thread was ended by itself before: the fork finds nobody counted",
                      self.failed_claims("threads-one-by-one", "C9"))

    def test_a_status_that_is_made_up_fails_c5(self):
        self.assertIn("by kill: their exit status, and what the fork had in its copy, is still true",
                      self.failed_claims("made-up-status", "C5"))


if __name__ == "__main__":
    unittest.main(verbosity=2)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each lie that brood could tell about forks and threads fails its claim; without one, the same programs pass.

Usage: lies_test.py; BROOD_BIN_DIR names the folder of the programs that can lie.
"""

import json
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../testing"))
from local_world import OwnFolders  # noqa: E402

SECONDS = 120


class LiesTest(OwnFolders):
    def setUp(self):
        super().setUp()
        self.environment.pop("BROOD_LIE", None)
        self.addCleanup(self.brood, "lab", "down")

    def failed_claims(self, lie, experiment):
        """What the experiment's FAILED claims say, on a host that tells the lie."""
        if lie:
            self.environment["BROOD_LIE"] = lie
        up = self.brood("lab", "up", "-n", "1")
        self.assertEqual(up.returncode, 0, up.stderr)
        answer = self.brood("experiment", "run", experiment, "-w", "host1", "-o", "json", timeout=SECONDS)
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

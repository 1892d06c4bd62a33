#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`brood experiment` as typed by a user, on three real agents of this machine.

Usage: experiment_cli_test.py; BROOD_BIN_DIR names the folder of the programs, BROOD_SOURCE_DIR that of the sources.
"""

import json
import os
import signal
import subprocess
import sys
import unittest
import xml.etree.ElementTree

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../testing"))
from local_world import BROOD, environment_in, own_folder, run_brood  # noqa: E402
from proc import wait_until  # noqa: E402

SOURCE = os.environ["BROOD_SOURCE_DIR"]
HERE = os.path.join(SOURCE, "tests", "controller", "experiment")
EXAMPLES = os.path.join(SOURCE, "docs", "examples", "experiments")
SECONDS = 120


class ExperimentTest(unittest.TestCase):
    """One lab for all."""

    @classmethod
    def setUpClass(cls):
        cls.folder = cls.enterClassContext(own_folder())
        cls.environment = environment_in(cls.folder)
        cls.addClassCleanup(cls.brood, "lab", "down")
        cls.brood("lab", "up", "-n", "3")

    @classmethod
    def brood(cls, *words, code=0):
        answer = run_brood(cls.environment, *words, timeout=SECONDS)
        assert answer.returncode == code, f"{words}: {answer.returncode}\n{answer.stdout}{answer.stderr}"
        return answer

    def running(self):
        """Jobs and parents that live on the lab's hosts now, the default parents aside."""
        jobs = [line for line in self.brood("ps", "-w", "@lab").stdout.splitlines()[1:] if " ENDED " not in line]
        parents = [line for line in self.brood("parent", "list", "-w", "@lab").stdout.splitlines()[1:]
                   if " ENDED " not in line and " default " not in line]
        return jobs + parents

    def write(self, text):
        path = os.path.join(self.folder, "mine.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def test_all_thirteen_claims_hold_on_three_hosts(self):
        answer = self.brood("experiment", "run", "claims", "-w", "@lab", "-o", "json")
        report = json.loads(answer.stdout)
        self.assertEqual(list(report), [f"C{number}" for number in range(1, 14)])
        for name, claim in report.items():
            self.assertEqual(claim["verdict"], "PASSED", f"{name}: {claim}")
            self.assertEqual(sorted(claim["hosts"]), ["host1", "host2", "host3"])
            self.assertTrue(claim["evidence"])
            self.assertEqual(sorted(claim["resumeTokens"]), ["host1", "host2", "host3"])
            for tokens in claim["resumeTokens"].values():
                self.assertTrue(tokens["first"] and tokens["last"])
        self.assertEqual(self.running(), [])

    def test_the_events_of_an_experiment_can_be_read_again_by_its_tokens(self):
        report = json.loads(self.brood("experiment", "run", "C13", "-w", "host1", "-o", "json").stdout)
        token = report["C13"]["resumeTokens"]["host1"]["first"]
        events = self.brood("events", "-w", "host1", "--after", token, "-o", "jsonl").stdout.splitlines()
        cursors = {int(json.loads(line)["cursor"]) for line in events}
        used = {cursor for claim in report["C13"]["hosts"]["host1"]["claims"] for check in claim["checks"]
                for cursor in check["cursors"]}
        self.assertTrue(used)
        self.assertLessEqual(used, cursors)

    def test_ten_false_claims_are_refused(self):
        path = os.path.join(HERE, "false_claims.toml")
        report = json.loads(self.brood("experiment", "run", path, "-w", "host1", "-o", "json", code=1).stdout)
        claims = report["false"]["hosts"]["host1"]["claims"]
        self.assertEqual([claim["verdict"] for claim in claims], ["FAILED"] * 10, claims)

    def test_the_examples_of_the_docs_hold(self):
        for name in sorted(os.listdir(EXAMPLES)):
            with self.subTest(name):
                self.brood("experiment", "run", os.path.join(EXAMPLES, name), "-w", "host1")

    def test_junit_counts_every_claim(self):
        suites = xml.etree.ElementTree.fromstring(
            self.brood("experiment", "run", "C1", "-w", "host[1-2]", "-o", "junit").stdout)
        self.assertEqual([suite.get("name") for suite in suites], ["host1", "host2"])
        for suite in suites:
            self.assertGreater(len(suite), 0)
            self.assertEqual(int(suite.get("tests")), len(suite))
            self.assertEqual((suite.get("failures"), suite.get("errors")), ("0", "0"))

    def test_markdown_and_table_name_claim_host_and_verdict(self):
        self.assertIn("| C4 | host1 | PASSED |", self.brood("experiment", "run", "C4", "-w", "host1", "-o", "markdown").stdout)
        self.assertRegex(self.brood("experiment", "run", "C4", "-w", "host1").stdout, r"C4 +host1 +PASSED +4/4")

    def test_explain_says_what_is_done_and_claimed(self):
        text = self.brood("experiment", "explain", "C9").stdout
        self.assertIn("end parent p by RETURN", text)
        self.assertIn("control: ", text)
        self.assertIn("C13", self.brood("experiment", "list").stdout)

    def test_a_misspelt_key_is_named_with_its_place(self):
        path = self.write('name = "a"\ntitle = "b"\n[[step]]\ndo = "run"\nas = "x"\nagrv = ["true"]\n')
        answer = self.brood("experiment", "run", path, "-w", "host1", code=125)
        self.assertIn("line 6, column 1: 'agrv' is not understood", answer.stderr)
        self.assertIn("did you mean 'argv'?", answer.stderr)

    def test_a_claim_about_a_step_that_never_ran_says_so(self):
        path = self.write(
            'name = "a"\ntitle = "b"\n'
            '[[step]]\ndo = "start-parent"\nname = "p"\n'
            '[[step]]\ndo = "call"\nas = "bad"\ntask = "demo.nowhere"\nmode = "thread"\nin = "p"\n'
            '[[step]]\ndo = "call"\nas = "later"\ntask = "demo.noop"\nmode = "thread"\nin = "p"\n'
            '[[claim]]\nsays = "it ran"\ncheck = "later.outcome == \'RETURNED\'"\n')
        report = json.loads(self.brood("experiment", "run", path, "-w", "host1", "-o", "json", code=1).stdout)
        host = report["a"]["hosts"]["host1"]
        self.assertEqual(host["claims"][0]["verdict"], "NOT_RUN")
        self.assertIn("never ran", host["claims"][0]["why"])
        self.assertIn("demo.nowhere", host["why"])
        self.assertEqual(self.running(), [])

    def test_an_interrupt_leaves_nothing_behind(self):
        path = self.write(
            'name = "a"\ntitle = "b"\n'
            '[[step]]\ndo = "start-parent"\nname = "p"\n'
            '[[step]]\ndo = "call"\nas = "kid"\ntask = "demo.hold"\nargs = [600.0]\nmode = "fork"\nin = "p"\ntimes = 5\n'
            '[[step]]\ndo = "wait"\nfor = "kid.ended"\nwithin = "10m"\n'
            '[[claim]]\nsays = "x"\ncheck = "kid.pid > 0"\n')
        run = subprocess.Popen([BROOD, "experiment", "run", path, "-w", "host1"], env=self.environment,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            wait_until("five do not run", lambda: self.brood("ps", "-w", "host1").stdout.count(" RUNNING ") >= 5)
            run.send_signal(signal.SIGINT)
            run.communicate(timeout=SECONDS)
        finally:
            run.kill()
            run.communicate()
        self.assertEqual(run.returncode, -signal.SIGINT)
        self.assertEqual(self.running(), [])

    def test_what_is_unknown_is_named_with_what_was_meant(self):
        self.assertIn("did you mean 'claims'?", self.brood("experiment", "run", "claim", "-w", "host1", code=125).stderr)
        self.assertIn("no 'C99'", self.brood("experiment", "run", "claims", "--only", "C99", code=125).stderr)
        self.assertIn("'xml' is not one of", self.brood("experiment", "run", "C1", "-o", "xml", code=125).stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)

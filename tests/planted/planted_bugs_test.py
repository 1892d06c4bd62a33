#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The suite finds bugs: each planted one (common/base/planted_bug.h) makes a check of it fail, which passes without.

Usage: planted_bugs_test.py [-k NAME]; BROOD_TEST_BIN_DIR names the folder of the tests' programs, built with
BROOD_FAILPOINTS.
"""

import os
import re
import subprocess
import sys
import unittest
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../testing"))
import proc  # noqa: E402

PROGRAMS = os.environ["BROOD_TEST_BIN_DIR"]
HEADER = os.path.join(os.environ["BROOD_SOURCE_DIR"], "common", "base", "planted_bug.h")
SECONDS = 150
# Which job comes to a point is chance: a seed that finds a bug may not find it again.
SEEDS = 8
FEW_KILLS = {"BROOD_CHAOS_KILLS": "4"}


def failpoint(name):
    return "failpoints_test", f"At/FailpointsTest.LoseAndDoubleNothing/{name}", {}


# What finds it: a program of the suite, the tests of it, further variables.
CHECKS = {
    "no-dedupe": ("command_jobs_test", "CommandJobsTest.TheSameIdAndSpecIsTheSameJobAndRunsOnce", {}),
    "ack-before-journal": ("sequencer_test", "*", {}),
    "ack-before-sync": ("sequencer_test", "*", {}),
    "tell-before-journal": ("sequencer_test", "*", {}),
    "queue-order-lost": ("core_test", "CoreRestartTest.JobsThatWaitedAreStartedByTheNextAgentInTheirOrder", {}),
    "environment-lost": ("agent_restart_test",
                         "AgentRestartTest.JobsThatWaitAreRunByTheNextAgentWithTheirEnvironment", {}),
    "end-told-twice": ("core_test", "CoreTest.TheSameFactTwiceIsOneEvent", {}),
    "cleaned-too-early": ("core_test", "CoreTest.TheSameFactTwiceIsOneEvent", {}),
    "time-out-anew": ("core_test", "CoreRestartTest.ATimeOutIsCountedFromTheStartThroughTheAgentsDeath", {}),
    "runs-again": ("core_test", "CoreTest.*Parent*:CoreWatchedTest.*Orphan*", {}),
    "unknown-as-zero": ("stranger_watch_test", "*IsAnUnknownStatusInTheEnd", {}),
    "end-of-file-is-death": ("parent_agents_test", "ParentAgentsTest.GoesOnWithoutAnAgentAndHandsStreamsToTheNext", {}),
    "no-torn-tail-cut": ("journal_test", "JournalTest.Cuts*", {}),
    "no-epoch-at-cut": ("journal_test", "JournalTest.Cuts*", {}),
    "no-checksum": ("journal_test", "JournalTest.RefusesAFlippedBit*", {}),
    "retention-off-by-one": ("journal_test", "JournalTest.RetentionDeletesTheOldestWholeSegments", {}),
    "push-only": ("kills_test", "KillsTest.OfTheAgentLoseAndDoubleNothing", FEW_KILLS),
    "token-off-by-one": ("kills_test", "KillsTest.OfTheAgentLoseAndDoubleNothing", FEW_KILLS),
    "lost-wake-up": ("event_feed_test", "EventFeedTest.EveryRoundThatBeginsEnds", {}),
    "output-offset-off-by-one": ("spool_test", "SpoolTest.GoesOnBehindWhatAnEarlierSpoolKept", {}),
    "fixed-drain": ("spool_test", "SpoolTest.AGrandchildThatWritesWithinTheSilenceIsHeard", {}),
    "note-unchecked": ("outbox_test", "OutboxTest.SkipsADamagedNoteAndCountsIt", {}),
    "outbox-freed-early": ("outbox_test", "OutboxTest.GoesOnInTheNextSegmentAndGivesReadOnesBack", {}),
    "child-speaks": ("outbox_test", "OutboxTest.SaysNothingForAForkedChild", {}),
    "no-start-slot": ("parent_parts_test", "ChildSetupTest.GoesNoFurtherWhereTheAgentWasFirst", {}),
    "revokes-the-begun": ("slot_file_test", "SlotFileTest.IsTheChildsOrTheAgentsAndNeverBoths", {}),
    "reap-before-note": failpoint("process_ended_kill_parent"),
    "wait-for-any-child": ("parent_commands_test", "ParentCommandsTest.TellsOfStartAndExit", {}),
    "kill-by-pid": ("tree_kill_test", "TreeKillTest.*TookOver*:TreeKillTest.SignalsThatVery*", {}),
    "older-agent-obeyed": ("parent_agents_test", "ParentAgentsTest.LetsANewerAgentFenceOffTheOlderOne", {}),
    "stock-listener": ("bad_input_test", "BadInputTest.AnAgentThatHadNoDescriptorLeft*", {}),
}


class PlantedBugsTest(unittest.TestCase):
    def check(self, bug, planted, seed=1):
        """Whether it passes, and what it said; one that hangs does not, and what it leaves is ended."""
        program, tests, variables = CHECKS[bug]
        mark = uuid.uuid4().hex
        environment = dict(os.environ, BROOD_CHAOS_SEED=str(seed), BROOD_TEST_MARK=mark, **variables)
        environment.pop("BROOD_PLANTED_BUG", None)
        if planted:
            environment["BROOD_PLANTED_BUG"] = bug
        words = [os.path.join(PROGRAMS, program), f"--gtest_filter={tests}", "--gtest_brief=1"]
        try:
            done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS,
                                  check=False, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired as hangs:
            return False, f"no end after {SECONDS} s: {(hangs.stdout or b'').decode(errors='replace')}"
        finally:
            proc.end_all_with(mark)
        return done.returncode == 0, done.stdout.decode(errors="replace")

    def test_every_bug_of_the_header_has_a_check(self):
        with open(HEADER, encoding="utf-8") as file:
            names = re.findall(r'"([a-z-]+)"', file.read().split("kNames", 1)[1])
        self.assertEqual(sorted(names), sorted(CHECKS))
        self.assertGreaterEqual(len(names), 20)


def finds(bug):
    def test(self):
        passes, said = self.check(bug, False)
        self.assertTrue(passes, said)
        self.assertRegex(said, r"\[  PASSED  \] [1-9]", "the check runs no test")
        self.assertNotIn("SKIPPED", said, "the check is skipped here")
        chosen = CHECKS[bug][0] in ("failpoints_test", "kills_test")
        seeds = range(1, SEEDS + 1 if chosen else 2)
        self.assertTrue(any(not self.check(bug, True, seed)[0] for seed in seeds), "nobody finds it")
    return test


for name in CHECKS:
    setattr(PlantedBugsTest, "test_" + name.replace("-", "_"), finds(name))

if __name__ == "__main__":
    unittest.main(verbosity=2)

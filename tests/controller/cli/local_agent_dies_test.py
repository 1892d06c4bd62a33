#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What someone at a shell sees of an agent that has died, or was stopped."""

import json
import os
import select
import signal
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../testing"))
import proc  # noqa: E402
from local_world import LocalWorld  # noqa: E402


class LocalAgentDiesTest(LocalWorld):
    def kill_agent(self):
        proc.kill(json.loads(self.expect("agent", "status", "-o", "json"))["pid"])

    def test_a_dead_agent_comes_back_for_whoever_asks(self):
        gate = self.folder + "/gate"
        job = self.brood(
            "run", "-d", "--", "sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.02; done; echo done"
        ).stdout.strip()
        self.kill_agent()
        shown = self.brood("show", job, "-o", "json")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertEqual(json.loads(shown.stdout)["state"], "RUNNING")
        self.kill_agent()
        open(gate, "w").close()
        waited = self.brood("wait", job)
        self.assertEqual(waited.returncode, 0, waited.stderr)
        self.assertEqual(self.brood("logs", job).stdout, "done\n")

    def test_what_follows_a_job_goes_on_when_its_agent_dies(self):
        gate = self.folder + "/gate"
        script = f"echo one; while [ ! -e {gate} ]; do sleep 0.02; done; echo two; exit 3"
        run = self.start("run", "--", "sh", "-c", script)
        self.assertEqual(run.stdout.readline(), "one\n")
        logs = self.start("logs", "-f", "last")
        self.assertEqual(logs.stdout.readline(), "one\n")
        events = self.start("events", "-f", "-o", "jsonl", "last")
        first = json.loads(events.stdout.readline())
        self.assertIn("received", first)
        self.kill_agent()
        open(gate, "w").close()
        # Not by communicate, which leaves what readline has read ahead.
        for process, out, code in ((run, "two\n", 3), (logs, "two\n", 0)):
            self.assertEqual((process.stdout.read(), process.wait(timeout=60)), (out, code))
        rest = [json.loads(line) for line in events.stdout]
        self.assertEqual(events.wait(timeout=60), 0)
        self.assertEqual([int(event["seq"]) for event in rest], list(range(2, len(rest) + 2)))
        self.assertIn("cleaned", rest[-1])

    def assert_stays_stopped(self):
        for words in (["ps"], ["events", "-f"], ["agent", "status"], ["logs", "last"]):
            asked = self.brood(*words)
            self.assertEqual(asked.returncode, 1, words)
            self.assertIn("no agent runs on this machine: it was stopped", asked.stderr)
        self.assertFalse(os.path.exists(self.folder + "/run/agent.sock"))

    def test_a_stopped_agent_does_not(self):
        self.assertEqual(self.brood("agent", "stop").returncode, 0)
        self.assert_stays_stopped()
        self.assertIn("no agent runs on this machine\n", self.brood("agent", "stop").stderr)

    def test_one_that_was_stopped_without_its_jobs_stays_stopped_until_something_is_to_be_run(self):
        gate = self.folder + "/gate"
        script = f"echo one; while [ ! -e {gate} ]; do sleep 0.02; done; echo two; exit 3"
        run = self.start("run", "--give-up-after", "10m", "--", "sh", "-c", script)
        self.assertEqual(run.stdout.readline(), "one\n")
        logs = self.start("logs", "-f", "--give-up-after", "10m", "last")
        self.assertEqual(logs.stdout.readline(), "one\n")
        events = self.start("events", "-f", "--give-up-after", "1s", "last")
        self.assertIn("RECEIVED", events.stdout.readline())
        self.assertEqual(self.brood("agent", "stop", "--keep-jobs").returncode, 0)
        # Neither who followed it before nor who asks now starts it.
        self.assertEqual(events.wait(timeout=60), 1)
        self.assertIn("no agent runs on this machine: it was stopped", events.stderr.read())
        for process in (run, logs):
            self.assertIn("it was stopped; `brood run`", process.stderr.readline())
        self.assert_stays_stopped()
        self.assertIn("what it had started may go on", self.brood("agent", "stop").stderr)
        # A new run does, and who followed it goes on.
        self.assertEqual(self.brood("run", "--", "true").returncode, 0)
        open(gate, "w").close()
        for process in (run, logs):
            self.assertEqual(process.communicate(timeout=60)[0], "two\n")
        self.assertEqual((run.returncode, logs.returncode), (3, 0))

    def test_one_that_its_service_manager_ends_stays_stopped_and_one_that_then_dies_comes_back(self):
        pid = json.loads(self.brood("agent", "status", "-o", "json").stdout)["pid"]
        pidfd = os.pidfd_open(pid)
        os.kill(pid, signal.SIGTERM)
        select.select([pidfd], [], [], 20)
        os.close(pidfd)
        self.assert_stays_stopped()
        self.assertEqual(self.brood("run", "--", "true").returncode, 0)
        self.kill_agent()
        self.assertEqual(self.brood("ps").returncode, 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)

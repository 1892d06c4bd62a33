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
from local_world import LocalWorld  # noqa: E402


class LocalAgentDiesTest(LocalWorld):
    def kill_agent(self):
        status = json.loads(self.brood("agent", "status", "-o", "json").stdout)
        pidfd = os.pidfd_open(status["pid"])
        os.kill(status["pid"], signal.SIGKILL)
        # Its end, which is not ours to wait for, is seen by the descriptor.
        select.select([pidfd], [], [], 20)
        os.close(pidfd)

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

    def test_a_stopped_agent_does_not(self):
        self.assertEqual(self.brood("agent", "stop").returncode, 0)
        asked = self.brood("ps")
        self.assertNotEqual(asked.returncode, 0)
        self.assertIn("no agent runs on this machine", asked.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)

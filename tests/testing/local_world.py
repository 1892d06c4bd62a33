# SPDX-License-Identifier: Apache-2.0
"""A local agent for a test in Python, in folders of its own."""

import os
import subprocess
import tempfile
import unittest

BROOD = os.path.join(os.environ["BROOD_BIN_DIR"], "brood")


class LocalWorld(unittest.TestCase):
    """Starts it before each test, and stops it after."""

    def setUp(self):
        # Outboxes refuse tmpfs.
        folder = tempfile.TemporaryDirectory(dir="/var/tmp", prefix="brood-test-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.environment = dict(
            os.environ,
            BROOD_STATE_DIR=self.folder + "/state",
            BROOD_RUNTIME_DIR=self.folder + "/run",
            BROOD_CONFIG=self.folder + "/config.toml",
            BROOD_HOSTS=self.folder + "/hosts.toml",
        )
        # Starts the local agent.
        self.addCleanup(self.brood, "agent", "stop")
        self.assertEqual(self.brood("run", "--", "echo", "up").stdout, "up\n")

    def brood(self, *words):
        return subprocess.run(
            [BROOD, *words], env=self.environment, capture_output=True, text=True, timeout=60
        )

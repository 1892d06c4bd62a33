#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The Python example, on stubs generated here, against a real agent."""

import glob
import os
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.environ["BROOD_SOURCE_DIR"]
BROOD = os.path.join(os.environ["BROOD_BIN_DIR"], "brood")


class PythonClientTest(unittest.TestCase):
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

    def test_runs_a_command_a_thread_and_a_fork(self):
        protos = SOURCE + "/protos"
        files = [os.path.relpath(f, protos) for f in glob.glob(protos + "/brood/v1/*.proto")]
        stubs = self.folder + "/stubs"
        os.mkdir(stubs)
        subprocess.run(
            ["protoc", "-I", protos, "--python_out=" + stubs, "--grpc_out=" + stubs]
            + ["--plugin=protoc-gen-grpc=/usr/bin/grpc_python_plugin", *files],
            check=True,
            timeout=60,
        )
        example = subprocess.run(
            [sys.executable, SOURCE + "/docs/examples/python_client.py"]
            + ["unix:" + self.folder + "/run/agent.sock"],
            env=dict(self.environment, PYTHONPATH=stubs),
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual(example.returncode, 0, example.stderr)
        lines = example.stdout.splitlines()
        self.assertIn("1 output 'hello from a fork\\n'", lines)
        self.assertIn("1 exited code 3", lines)
        self.assertEqual(sum(line.endswith(" cleaned") for line in lines), 3)
        # The thread writes the parent's cell; the fork a copy of it, made before or after.
        self.assertIn("2 thread_ended returned 5", lines)
        self.assertTrue("3 exited returned 5" in lines or "3 exited returned 10" in lines, lines)


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The Python example, on stubs generated here, against a real agent."""

import glob
import os
import subprocess
import sys
import unittest

SOURCE = os.environ["BROOD_SOURCE_DIR"]
sys.path.insert(0, SOURCE + "/tests/testing")
from local_world import LocalWorld  # noqa: E402


class PythonClientTest(LocalWorld):
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

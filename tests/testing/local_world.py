# SPDX-License-Identifier: Apache-2.0
"""brood for a test in Python, in folders of its own."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import unittest

import proc

BROOD = os.path.join(os.environ["BROOD_BIN_DIR"], "brood")
SECONDS = 60


@contextlib.contextmanager
def own_folder():
    """Gone afterwards, with all that still runs in it; that anything does is a failure."""
    # Short, for sockets; on a disk, as outboxes refuse tmpfs.
    folder = tempfile.mkdtemp(prefix="brood-", dir="/var/tmp")
    try:
        yield folder
    finally:
        left = proc.end_all_with(folder)
        shutil.rmtree(folder)
    assert not left, f"left behind: {left}"


def environment_in(folder):
    """In which brood knows nothing but what is in that folder."""
    return dict(
        os.environ,
        HOME=folder,
        TMPDIR="/var/tmp",
        BROOD_STATE_DIR=folder + "/state",
        BROOD_RUNTIME_DIR=folder + "/run",
        BROOD_CONFIG=folder + "/config.toml",
        BROOD_HOSTS=folder + "/hosts.toml",
    )


def run_brood(environment, *words, timeout=SECONDS, **more):
    """One command, to its end."""
    if "input" not in more:
        more["stdin"] = subprocess.DEVNULL
    return subprocess.run(
        [BROOD, *words], env=environment, capture_output=True, text=True, timeout=timeout, check=False, **more
    )


def expect_brood(environment, *words, code=0, **more):
    """What it prints; it ends with that code."""
    answer = run_brood(environment, *words, **more)
    assert answer.returncode == code, f"{words}: {answer.returncode}: {answer.stdout}{answer.stderr}"
    return answer.stdout


class OwnFolders(unittest.TestCase):
    """Each test has folders of its own, in which nothing runs yet."""

    def setUp(self):
        self.folder = self.enterContext(own_folder())
        self.environment = environment_in(self.folder)

    def brood(self, *words, **more):
        return run_brood(self.environment, *words, **more)

    def expect(self, *words, **more):
        return expect_brood(self.environment, *words, **more)

    def start(self, *words, **more):
        """A command that goes on; it is ended, if it has not ended by then, before its agent is."""
        usual = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen([BROOD, *words], env=self.environment, **(usual | more))
        self.addCleanup(process.communicate, None, SECONDS)
        self.addCleanup(process.kill)
        return process


class LocalWorld(OwnFolders):
    """Starts the local agent before each test, and stops it after."""

    def setUp(self):
        super().setUp()
        self.addCleanup(self.brood, "agent", "stop")
        self.assertEqual(self.brood("run", "--", "echo", "up").stdout, "up\n")

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Without TLS an agent listens on loopback only, and only when asked by name: every form of every other address is refused.

In a network of its own, which ends with its last process, with addresses and names that this machine does not have.
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest

AGENT = os.path.join(os.environ["BROOD_BIN_DIR"], "brood-agent")
PATIENCE = 60
SETUP = """ip link set lo up
ip addr add 10.9.8.7/32 dev lo
ip -6 addr add fd00::7/128 dev lo nodad
mount --bind "$HOSTS_FILE" /etc/hosts
exec "$@"
"""
HOSTS = """127.0.0.1 localhost inside
10.9.8.7 outside
fd00::7 outside6
0.0.0.0 everywhere
"""
REFUSED = ("0.0.0.0", "0", "0x0", "[::]", "[::0]", "[0:0:0:0:0:0:0:0]", "[::ffff:0.0.0.0]", "10.9.8.7", "0x0a090807", "10.591879",
           "[fd00::7]", "[::ffff:10.9.8.7]", "[::ffff:a09:807]", "outside", "outside6", "everywhere",
           # Loopback, but as no form that the agent takes for it.
           "[::ffff:127.0.0.1]")
TAKEN = ("127.0.0.1", "127.9.9.9", "127.1", "localhost", "inside", "[::1]")
NO_ADDRESS = ("256.0.0.1", "[::1", "nobody.invalid", "", "127.0.0.1 ")


class PlaintextTest(unittest.TestCase):
    def setUp(self):
        # Outboxes refuse tmpfs.
        folder = tempfile.TemporaryDirectory(dir="/var/tmp", prefix="brood-plain-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.environment = dict(os.environ, HOSTS_FILE=self.folder + "/hosts", BROOD_STATE_DIR=self.folder + "/state",
                                BROOD_RUNTIME_DIR=self.folder + "/run", BROOD_CONFIG=self.folder + "/config.toml",
                                BROOD_HOSTS=self.folder + "/hosts.toml")
        with open(self.folder + "/hosts", "w", encoding="utf-8") as file:
            file.write(HOSTS)

    def command(self, *words):
        return ["unshare", "--map-root-user", "--net", "--mount", "sh", "-ec", SETUP, "sh", *words]

    def start(self, address, *options):
        return subprocess.run(self.command(AGENT, "--listen", address + ":0", *options), env=self.environment,
                              capture_output=True, text=True, timeout=PATIENCE)

    def test_whatever_others_can_reach_is_refused(self):
        for address in REFUSED:
            with self.subTest(address):
                refused = self.start(address, "--insecure-loopback")
                self.assertEqual(refused.returncode, 1, refused.stderr)
                self.assertIn("can be reached from other machines", refused.stderr)
                self.assertIn("brood certs issue agent", refused.stderr)
                # No process, no journal: nothing of an agent's was made.
                self.assertFalse(os.path.exists(self.folder + "/state"))

    def test_without_a_word_nothing_is_plaintext(self):
        for address in REFUSED + TAKEN:
            with self.subTest(address):
                refused = self.start(address)
                self.assertEqual(refused.returncode, 1, refused.stderr)
                self.assertIn("there is no '" + self.folder + "/certs/agent.pem'", refused.stderr)
                self.assertFalse(os.path.exists(self.folder + "/state"))

    def test_what_is_no_address_is_told(self):
        for address in NO_ADDRESS:
            with self.subTest(address):
                refused = self.start(address, "--insecure-loopback")
                self.assertEqual(refused.returncode, 1, refused.stderr)
                self.assertIn("is no address", refused.stderr)

    def test_loopback_asked_for_by_name_is_taken(self):
        for address in TAKEN:
            with self.subTest(address):
                # Its only parent ends it: by the pipe it has said that it serves.
                script = '"$0" --listen "$1" --insecure-loopback --ready-fd 3 3>"$2" & wait $!'
                fifo = self.folder + "/ready"
                os.mkfifo(fifo)
                with subprocess.Popen(self.command("sh", "-c", script, AGENT, address + ":0", fifo), env=self.environment,
                                      stderr=subprocess.PIPE, text=True) as started:
                    with open(fifo, "rb") as ready:
                        said = ready.read(1000)
                    os.unlink(fifo)
                    subprocess.run([os.path.join(os.environ["BROOD_BIN_DIR"], "brood"), "agent", "stop"], check=True,
                                   env=self.environment, capture_output=True, timeout=PATIENCE)
                    log = started.communicate(timeout=PATIENCE)[1]
                self.assertEqual(said, b"\n", log)
                self.assertRegex(log, re.compile(r"listening on (127\.\S+|\[::1\]):\d+ in plaintext"))


if __name__ == "__main__":
    probe = subprocess.run(["unshare", "--map-root-user", "--net", "--mount", "ip", "link"], capture_output=True, text=True)
    if probe.returncode != 0:
        print("skipped: no network of one's own here: " + probe.stderr.strip())
        sys.exit(77)
    unittest.main()

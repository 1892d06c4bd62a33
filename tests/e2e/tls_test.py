#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No stranger comes in: agents that listen on TCP, and who may do what there."""

import contextlib
import os
import socket
import ssl
import subprocess
import sys
import threading
import unittest
import warnings

sys.path.insert(0, os.path.join(os.environ["BROOD_SOURCE_DIR"], "tests", "testing"))
from tls_world import BROOD, PATIENCE, TlsWorld  # noqa: E402

HOUR = 3600
# That a version is old is the point.
warnings.simplefilter("ignore", DeprecationWarning)


class StrangerTest(TlsWorld):
    """Who comes in, and who is told what."""

    def setUp(self):
        super().setUp()
        self.issue_agent("node1")
        self.start_agent("node1")

    def refused(self, whose, *sentences, host="node1"):
        run = self.brood("run", "-w", host, "--", "echo", "in", whose=whose)
        self.assertEqual((run.returncode, run.stdout), (125, ""), run.stderr)
        for sentence in sentences:
            self.assertIn(sentence, run.stderr)

    def test_a_user_with_a_certificate_runs_jobs(self):
        run = self.brood("run", "-w", "node1", "--", "sh", "-c", "echo in; exit 3")
        self.assertEqual((run.returncode, run.stdout), (3, "in\n"), run.stderr)

    def test_a_user_of_another_authority_is_refused_and_told(self):
        self.certs("init", whose="mallory")
        self.certs("issue", "user", "mallory", "--here", whose="mallory")
        self.refused("mallory", "is of another certificate authority than", "brood certs init")
        # Also when she knows the right one.
        self.put(self.authority + "/ca.pem", self.folder + "/mallory/certs/ca.pem")
        self.refused("mallory", "certificate authority", "brood://brood/user/mallory")
        with self.assertRaises(OSError):
            self.shake("node1", self.folder + "/mallory/certs/user.pem")

    def test_without_a_certificate_nobody_comes_in(self):
        self.refused("nobody", "which takes TLS: there is no", "brood certs issue user NAME")
        self.shake("node1", self.folder + "/alice/certs/user.pem")
        with self.assertRaises(OSError):
            self.shake("node1")

    def test_an_expired_certificate_is_refused_on_both_sides(self):
        mine = self.folder + "/late/certs/user.pem"
        self.odd("user", "late", -2 * HOUR, HOUR, mine)
        self.put(self.authority + "/ca.pem", self.folder + "/late/certs/ca.pem")
        self.refused("late", "was valid until", "brood certs rotate user late")
        with self.assertRaises(OSError):
            self.shake("node1", mine)
        self.odd("agent", "node1", -2 * HOUR, HOUR, self.folder + "/node1/certs/agent.pem")
        self.until(lambda: self.brood("run", "-w", "node1", "--", "true").returncode, "the agent takes the file")
        self.refused("alice", "its certificate was valid until", "brood certs rotate agent node1")

    def test_a_certificate_of_tomorrow_is_refused_on_both_sides(self):
        mine = self.folder + "/early/certs/user.pem"
        self.odd("user", "early", HOUR, HOUR, mine)
        self.put(self.authority + "/ca.pem", self.folder + "/early/certs/ca.pem")
        self.refused("early", "is not valid before", "set the clock")
        with self.assertRaises(OSError):
            self.shake("node1", mine)
        self.odd("agent", "node1", HOUR, HOUR, self.folder + "/node1/certs/agent.pem")
        self.until(lambda: self.brood("run", "-w", "node1", "--", "true").returncode, "the agent takes the file")
        self.refused("alice", "its certificate is not valid before", "set the clock")

    def test_old_versions_of_tls_are_refused(self):
        alice = self.folder + "/alice/certs/user.pem"
        self.shake("node1", alice, ssl.TLSVersion.TLSv1_2)
        self.shake("node1", alice, ssl.TLSVersion.TLSv1_3)
        with self.assertRaises(OSError):
            self.shake("node1", alice, ssl.TLSVersion.TLSv1_1)
        # Which this client could speak, to one who would.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1_1
        context.load_cert_chain(self.folder + "/node1/certs/agent.pem")
        with self.server(context) as port:
            self.addresses["old"] = f"127.0.0.1:{port}"
            with self.assertRaisesRegex(ConnectionError, "closed without a word"):
                self.shake("old", alice, ssl.TLSVersion.TLSv1_1)

    def test_another_host_than_the_one_asked_for_is_not_spoken_to(self):
        self.name_host("node7", self.addresses["node1"].replace("127.0.0.1", "localhost"))
        self.refused("alice", "'brood://brood/agent/node1' answers instead of 'brood://brood/agent/node7'", host="node7")

    def test_a_user_that_plays_agent_is_not_spoken_to(self):
        self.user("eve")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder + "/eve/certs/user.pem")
        context.set_alpn_protocols(["h2"])
        with self.server(context) as port:
            self.name_host("node8", f"127.0.0.1:{port}")
            self.refused("alice", "'brood://brood/user/eve' answers instead of", host="node8")

    def test_a_host_without_tls_is_told_from_one_that_is_away(self):
        self.start_agent("plain", "--insecure-loopback")
        self.refused("alice", "speaks no TLS", "insecure = true", host="plain")

    def server(self, context):
        """A server that shakes hands and closes, in a thread of its own, until the block ends."""
        @contextlib.contextmanager
        def serving():
            with socket.create_server(("127.0.0.1", 0)) as listener:
                def serve():
                    while True:
                        try:
                            plain, _ = listener.accept()
                        except OSError:
                            return
                        with plain:
                            try:
                                context.wrap_socket(plain, server_side=True).close()
                            except OSError:
                                pass
                thread = threading.Thread(target=serve, daemon=True)
                thread.start()
                yield listener.getsockname()[1]
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(PATIENCE)
        return serving()


class AgentFilesTest(TlsWorld):
    """What an agent says of its own files, before it listens."""

    def start(self, *options):
        return self.brood("agent", "run", "--listen", "127.0.0.1:0", *options, whose="node1")

    def refused(self, *sentences):
        started = self.start()
        self.assertEqual((started.returncode, started.stdout), (1, ""))
        for sentence in sentences:
            self.assertIn(sentence, started.stderr)
        self.assertFalse(os.path.exists(self.folder + "/node1/state"))

    def test_an_agent_without_a_sound_certificate_does_not_start(self):
        self.refused("there is no", "certs/agent.pem", "brood certs issue agent NAME", "--insecure-loopback")
        self.issue_agent("node1")
        mine = self.folder + "/node1/certs/agent.pem"
        os.chmod(mine, 0o644)
        self.refused("can be read by other users", "chmod 600")
        self.odd("agent", "node1", -2 * HOUR, HOUR, mine)
        self.refused("was valid until", "brood certs rotate agent node1")
        self.odd("agent", "node1", HOUR, HOUR, mine)
        self.refused("is not valid before", "set the clock")
        self.odd("user", "eve", -HOUR, 2 * HOUR, mine)
        self.refused("which is no agent")

    def test_keys_and_values_of_the_configuration_are_checked(self):
        config = self.environment("node1")["BROOD_CONFIG"]
        for text, sentence in (("[agent]\ncert = 'x'\n", "line 2: 'cert' is not understood"),
                               ("[roles]\n'eve' = 'viewer'\n", "'eve' is no identity"),
                               ("[roles]\n'brood://brood/user/eve' = 'admin'\n", "there are \"operator\"")):
            with open(config, "w", encoding="utf-8") as file:
                file.write(text)
            self.refused(sentence)

    def test_a_lone_key_that_fits_is_taken_and_one_that_does_not_is_refused(self):
        self.issue_agent("node1")
        self.issue_agent("node2")
        started = self.start("--key", self.folder + "/node2/certs/agent.pem")
        self.assertEqual(started.returncode, 1)
        self.assertIn("is not that of the certificate", started.stderr)


class RoleTest(TlsWorld):
    """Roles of users, and what kinds may not."""

    def setUp(self):
        super().setUp()
        self.user("eve")
        self.issue_agent("node1")
        self.agent = self.start_agent("node1", config='[roles]\n"brood://brood/user/eve" = "viewer"\n')

    def test_a_viewer_looks_and_changes_nothing(self):
        self.assertEqual(self.brood("run", "-d", "-w", "node1", "--", "sleep", "300").returncode, 0)
        for words in (["hosts", "-w", "node1"], ["ps", "-w", "node1"], ["tree", "-w", "node1"],
                      ["parent", "list", "-w", "node1"], ["tasks", "-w", "node1"], ["agent", "status", "-w", "node1"]):
            done = self.brood(*words, whose="eve")
            self.assertEqual(done.returncode, 0, (words, done.stderr))
        for words in (["run", "-w", "node1", "--", "true"], ["agent", "stop", "-w", "node1"],
                      ["parent", "start", "x", "-w", "node1"], ["parent", "end", "default", "-w", "node1"]):
            done = self.brood(*words, whose="eve")
            self.assertNotEqual(done.returncode, 0, words)
            self.assertIn("'brood://brood/user/eve' has the role viewer here, and ", done.stderr)
            self.assertIn(" needs operator", done.stderr)
        self.assertIsNone(self.agent.poll())

    def test_a_role_is_taken_away_without_a_restart(self):
        with open(self.folder + "/node1/config.toml", "w", encoding="utf-8") as file:
            file.write('[roles]\n"brood://brood/user/eve" = "none"\n"brood://brood/user/alice" = "viewer"\n')
        self.until(lambda: self.brood("ps", "-w", "node1", whose="eve").returncode, "eve has no role any more")
        self.assertEqual(self.brood("ps", "-w", "node1").returncode, 0)
        self.assertEqual(self.brood("run", "-w", "node1", "--", "true").returncode, 125)
        # One that cannot be read changes nothing.
        with open(self.folder + "/node1/config.toml", "w", encoding="utf-8") as file:
            file.write("[roles\n")

        def has_looked():
            self.brood("ps", "-w", "node1")
            with open(self.folder + "/node1/log", encoding="utf-8") as log:
                return "stay as they were" in log.read()

        self.until(has_looked, "the agent has looked")
        self.assertNotEqual(self.brood("ps", "-w", "node1", whose="eve").returncode, 0)

    def test_the_unix_socket_is_its_users_as_before(self):
        self.assertEqual(self.brood("run", "--", "echo", "in", whose="node1").stdout, "in\n")


class RotateTest(TlsWorld):
    """New certificates, the same agent."""

    def test_a_rotated_certificate_is_taken_without_a_restart_and_hurts_no_run(self):
        self.issue_agent("node1")
        file = self.authority + "/agents/node1.pem"
        agent = self.start_agent("node1", config=f'[agent]\ncertificate = "{file}"\n')
        alice = self.folder + "/alice/certs/user.pem"
        before = self.shake("node1", alice)[1]
        fifo = self.folder + "/fifo"
        os.mkfifo(fifo)
        run = subprocess.Popen([BROOD, "run", "-w", "node1", "--", "sh", "-c", f"echo began; cat {fifo}"],
                               env=self.environment("alice"), stdout=subprocess.PIPE, text=True)
        self.assertEqual(run.stdout.readline(), "began\n")
        rotated = self.certs("rotate", "agent", "node1")
        self.assertIn(file, rotated.stdout)
        self.assertEqual(os.stat(file).st_mode & 0o777, 0o600)
        self.until(lambda: self.shake("node1", alice)[1] != before, "the new certificate is shown")
        with open(fifo, "w", encoding="utf-8") as end:
            end.write("went on\n")
        self.assertEqual(run.communicate(timeout=PATIENCE)[0], "went on\n")
        self.assertEqual(run.returncode, 0)
        self.certs("rotate", "user", "alice", "--here")
        self.assertEqual(self.brood("run", "-w", "node1", "--", "echo", "in").stdout, "in\n")
        self.assertIsNone(agent.poll())


if __name__ == "__main__":
    unittest.main()

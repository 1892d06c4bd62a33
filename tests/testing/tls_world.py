# SPDX-License-Identifier: Apache-2.0
"""Agents that listen with TLS, certificates for them and for users, for a test in Python."""

import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import unittest

BIN = os.environ["BROOD_BIN_DIR"]
BROOD = os.path.join(BIN, "brood")
# Machines do not always start processes fast.
PATIENCE = 60


class TlsWorld(unittest.TestCase):
    """A certificate authority, the user alice, who may use it, and the agent of node1."""

    def setUp(self):
        # Outboxes refuse tmpfs.
        folder = tempfile.TemporaryDirectory(dir="/var/tmp", prefix="brood-tls-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.authority = self.folder + "/alice/authority"
        self.addresses = {}
        self.certs("init")
        self.certs("issue", "user", "alice", "--here")

    # Worlds: each user and each agent has a folder for all of its own.

    def environment(self, whose):
        base = f"{self.folder}/{whose}"
        os.makedirs(base, exist_ok=True)
        return dict(os.environ, BROOD_STATE_DIR=base + "/state", BROOD_RUNTIME_DIR=base + "/run",
                    BROOD_CONFIG=base + "/config.toml", BROOD_HOSTS=self.folder + "/hosts.toml")

    def brood(self, *words, whose="alice"):
        return subprocess.run([BROOD, *words], env=self.environment(whose), capture_output=True, text=True,
                              timeout=2 * PATIENCE)

    def certs(self, *words, whose="alice"):
        done = self.brood("certs", *words, whose=whose)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def user(self, name):
        """Another user, with a certificate of alice's authority and a folder of its own."""
        self.certs("issue", "user", name)
        self.put(f"{self.authority}/users/{name}.pem", f"{self.folder}/{name}/certs/user.pem")
        self.put(f"{self.authority}/ca.pem", f"{self.folder}/{name}/certs/ca.pem")

    def put(self, source, target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copyfile(source, target + ".new")
        os.chmod(target + ".new", 0o600)
        os.rename(target + ".new", target)

    def odd(self, kind, name, begins_in, seconds, target):
        """A certificate whose time is another one."""
        os.makedirs(os.path.dirname(target), exist_ok=True)
        subprocess.run([os.environ["BROOD_ODD_CERTIFICATE"], self.authority, kind, name, str(begins_in),
                        str(seconds), target], check=True, timeout=PATIENCE)

    def issue_agent(self, name):
        self.certs("issue", "agent", name, "--address", "127.0.0.1")
        self.put(f"{self.authority}/agents/{name}.pem", f"{self.folder}/{name}/certs/agent.pem")
        self.put(f"{self.authority}/ca.pem", f"{self.folder}/{name}/certs/ca.pem")

    def start_agent(self, name, *options, listen="127.0.0.1:0", config=""):
        """Starts it, waits until it serves, and names its address to all users. Returns its process."""
        environment = self.environment(name)
        with open(environment["BROOD_CONFIG"], "w", encoding="utf-8") as file:
            file.write(config)
        log = f"{self.folder}/{name}/log"
        ready, writer = os.pipe()
        with open(log, "w", encoding="utf-8") as errors:
            agent = subprocess.Popen([BROOD, "agent", "run", "--name", name, "--listen", listen, *options,
                                      "--ready-fd", str(writer)], env=environment, stderr=errors, pass_fds=[writer])
        os.close(writer)
        self.addCleanup(self.end_agent, agent, name)
        with open(ready, "rb") as pipe:
            said = pipe.read(1000)
        self.assertEqual(said, b"\n", said)
        with open(log, encoding="utf-8") as file:
            address = re.search(r"listening on (\S+) ", file.read())[1]
        self.addresses[name] = address
        self.name_host(name, address)
        return agent

    def end_agent(self, agent, name):
        self.brood("agent", "stop", whose=name)
        try:
            agent.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            agent.kill()
            agent.wait()

    def name_host(self, name, address, more=""):
        with open(self.folder + "/hosts.toml", "a", encoding="utf-8") as file:
            file.write(f'[hosts.{name}]\naddress = "{address}"\n{more}')

    # A client of TLS that is not ours.

    def shake(self, name, certificate=None, version=None):
        """The agent's first bytes and its certificate, as a client with that certificate gets them; raises if refused."""
        context = ssl.create_default_context(cafile=self.authority + "/ca.pem")
        context.check_hostname = False
        context.set_alpn_protocols(["h2"])
        if version is not None:
            context.set_ciphers("DEFAULT@SECLEVEL=0")
            context.minimum_version = context.maximum_version = version
        if certificate:
            context.load_cert_chain(certificate)
        host, port = self.addresses[name].rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as plain:
            with context.wrap_socket(plain) as connection:
                shown = connection.getpeercert(binary_form=True)
                first = connection.recv(9)
                if not first:
                    raise ConnectionError("closed without a word")
                return first, shown

    def until(self, look, what):
        """Looks again until look() is true, bounded; each look takes its time, as it asks an agent."""
        give_up = time.monotonic() + PATIENCE
        while True:
            found = look()
            if found:
                return found
            self.assertLess(time.monotonic(), give_up, what)

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every method of a real agent, for every kind and role: who may call it, and who may not.

What is expected is written here once more, by hand: a method that is missing here fails, and so does a page that says
otherwise (docs/security.md).
"""

import os
import re
import subprocess
import sys
import unittest

try:
    import grpc
except ImportError:
    print("skipped: there is no python3-grpcio")
    sys.exit(77)

SOURCE = os.environ["BROOD_SOURCE_DIR"]
sys.path.insert(0, os.path.join(SOURCE, "tests", "testing"))
from tls_world import TlsWorld  # noqa: E402

CALLERS = ("operator", "viewer", "none", "agent")
EVERYBODY = CALLERS
VIEWERS = ("operator", "viewer")
OPERATORS = ("operator",)
EXPECTED = {
    "/brood.v1.JobService/RunJobs": OPERATORS,
    "/brood.v1.JobService/SubmitJobs": OPERATORS,
    "/brood.v1.JobService/WatchEvents": VIEWERS,
    "/brood.v1.JobService/GetJob": VIEWERS,
    "/brood.v1.JobService/ListJobs": VIEWERS,
    "/brood.v1.JobService/CancelJobs": OPERATORS,
    "/brood.v1.JobService/SignalJobs": OPERATORS,
    "/brood.v1.JobService/WriteInput": OPERATORS,
    "/brood.v1.JobService/ReadOutput": VIEWERS,
    "/brood.v1.ParentService/StartParent": OPERATORS,
    "/brood.v1.ParentService/EndParent": OPERATORS,
    "/brood.v1.ParentService/ListParents": VIEWERS,
    "/brood.v1.ParentService/ReadMemory": VIEWERS,
    "/brood.v1.ParentService/WatchMemory": VIEWERS,
    "/brood.v1.ParentService/ListTasks": VIEWERS,
    "/brood.v1.HostService/GetHost": VIEWERS,
    "/brood.v1.HostService/ListProcesses": VIEWERS,
    "/brood.v1.HostService/Drain": OPERATORS,
    "/brood.v1.HostService/Resume": OPERATORS,
    "/grpc.health.v1.Health/Check": EVERYBODY,
    "/grpc.health.v1.Health/Watch": EVERYBODY,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": VIEWERS,
    "/grpc.channelz.v1.Channelz/GetTopChannels": OPERATORS,
    "/grpc.channelz.v1.Channelz/GetServers": OPERATORS,
    "/grpc.channelz.v1.Channelz/GetServer": OPERATORS,
    "/grpc.channelz.v1.Channelz/GetServerSockets": OPERATORS,
    "/grpc.channelz.v1.Channelz/GetChannel": OPERATORS,
    "/grpc.channelz.v1.Channelz/GetSubchannel": OPERATORS,
    "/grpc.channelz.v1.Channelz/GetSocket": OPERATORS,
    # What nobody has heard of is nobody's.
    "/brood.v1.JobService/Purge": (),
    "/brood.v2.JobService/RunJobs": (),
    # The last: it ends the agent.
    "/brood.v1.HostService/StopAgent": OPERATORS,
}
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
# A call that goes on is broken off then: it was let in.
SECONDS = 2


def own_methods():
    """All of protos/brood/v1, read as text: what the build's own program has not had in its hands."""
    folder = os.path.join(SOURCE, "protos", "brood", "v1")
    for file in sorted(os.listdir(folder)):
        with open(os.path.join(folder, file), encoding="utf-8") as proto:
            service = None
            for line in proto:
                service = (re.match(r"service (\w+)", line) or [None, service])[1]
                method = re.match(r"\s+rpc (\w+)", line)
                if method:
                    yield f"/brood.v1.{service}/{method[1]}"


class AccessTest(TlsWorld):
    def setUp(self):
        super().setUp()
        for name in ("viewer", "none"):
            self.user(name)
        self.certs("issue", "user", "operator")
        self.issue_agent("node1")
        self.certs("issue", "agent", "agent")
        self.start_agent("node1", config="[roles]\n" + "".join(
            f'"brood://brood/user/{name}" = "{name}"\n' for name in ("viewer", "none")))

    def channel(self, caller):
        folder = "agents" if caller == "agent" else "users"
        with open(f"{self.authority}/{folder}/{caller}.pem", "rb") as file:
            identity = file.read()
        with open(self.authority + "/ca.pem", "rb") as file:
            credentials = grpc.ssl_channel_credentials(file.read(), identity, identity)
        channel = grpc.secure_channel(self.addresses["node1"], credentials,
                                      options=[("grpc.ssl_target_name_override", "node1")])
        self.addCleanup(channel.close)
        return channel

    def call(self, channel, path, request=b""):
        """Calls it with one message, whatever it takes; what it says, and with what it ends."""
        call = channel.stream_stream(path)(iter([request]), timeout=SECONDS)
        try:
            return list(call), grpc.StatusCode.OK, ""
        except grpc.RpcError as error:
            return [], error.code(), error.details()

    def test_every_cell_of_the_table(self):
        channels = {caller: self.channel(caller) for caller in CALLERS}
        wrong = []
        for path, allowed in EXPECTED.items():
            # Those who may come last: StopAgent.
            for caller in reversed(CALLERS):
                _, code, details = self.call(channels[caller], path)
                denied = code == grpc.StatusCode.PERMISSION_DENIED
                if denied != (caller not in allowed) or code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN):
                    wrong.append((path, caller, code, details))
                if denied and ("may not call" not in details and "has the role" not in details
                               or f"/{caller}'" not in details):
                    wrong.append((path, caller, "says", details))
        self.assertEqual(wrong, [])

    def test_no_method_is_missing(self):
        methods = list(own_methods())
        self.assertGreater(len(methods), 15)
        self.assertEqual([path for path in methods if path not in EXPECTED], [])
        # And no service of others is served that is not here: the agent says which there are.
        answers, code, _ = self.call(self.channel("viewer"), REFLECTION, b"\x3a\x00")
        self.assertEqual(code, grpc.StatusCode.OK)
        served = set(re.findall(rb"[a-z][\w.]+\.\w+", answers[0]))
        self.assertIn(b"brood.v1.JobService", served)
        self.assertEqual(served - {path.split("/")[1].encode() for path in EXPECTED}, set())

    def test_the_page_says_the_same(self):
        table = os.environ["BROOD_ACCESS_TABLE"]
        protos = sorted(file for file in os.listdir(SOURCE + "/protos/brood/v1"))
        rows = subprocess.run([table, "page", *("brood/v1/" + file for file in protos)], check=True, capture_output=True,
                              text=True, timeout=60).stdout.splitlines()
        with open(SOURCE + "/docs/security.md", encoding="utf-8") as file:
            page = file.read().splitlines()
        self.assertEqual([row for row in rows if row not in page], [])
        self.assertEqual([line for line in page if line.startswith("| `/") and line not in rows], [])


if __name__ == "__main__":
    unittest.main()

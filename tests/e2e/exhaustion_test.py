#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A host that has no more of something: what is refused says why, what was accepted is not lost, and after it all is well.

Usage: exhaustion_test.py, by the system's interpreter, which has gRPC; BROOD_BIN_DIR and BROOD_SOURCE_DIR name the folders of
the programs and of the sources.
"""

import contextlib
import errno
import json
import os
import resource
import select
import socket
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../testing"))
from agent_stubs import AgentStubs  # noqa: E402
from local_world import LocalWorld  # noqa: E402
from proc import stat, status, wait_until  # noqa: E402

CLIENTS = 1000
MESSAGE_BYTES = 600 << 20
# What one message to a limit of 1 MiB may cost the agent: the 64 MiB that gRPC may hold (agent/rpc/limits.h) with as much
# again for what the allocator keeps of it.
GROWTH_BYTES_MAX = 160 << 20
TICKS = os.sysconf("SC_CLK_TCK")
FORK, THREAD = 2, 3  # brood.v1.Mode


def descriptors(pid):
    return {int(name) for name in os.listdir(f"/proc/{pid}/fd")}


def first_free(pid):
    """Its next descriptor: a limit of that leaves it what it has, and no more."""
    taken = descriptors(pid)
    return next(number for number in range(len(taken) + 1) if number not in taken)


def cpu_seconds(pid):
    fields = stat(pid)
    return (int(fields[11]) + int(fields[12])) / TICKS


@contextlib.contextmanager
def limited(pid, what, value):
    """That process has only so much of it meanwhile."""
    usual = resource.prlimit(pid, what)
    resource.prlimit(pid, what, (value, usual[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, what, usual)


def own_group_of(pid):
    """Its folder under the controller of processes (version 1)."""
    with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
        path = next((line.rstrip("\n").split(":", 2)[2] for line in file if ":pids:" in line), "/")
    return "/sys/fs/cgroup/pids" + path.rstrip("/")


def kind(event):
    return event.WhichOneof("payload")


class ExhaustionTest(LocalWorld):
    def setUp(self):
        super().setUp()
        agent = json.loads(self.expect("agent", "status", "-o", "json"))
        self.agent = agent["pid"]
        self.parent = agent["parents"][0]["pid"]
        self.socket = self.folder + "/run/agent.sock"
        self.stubs = AgentStubs(self.folder, self.socket)
        self.addCleanup(self.stubs.close)
        # Once each: threads, pages and descriptors that come with the first job of a kind are there.
        for mode in (FORK, THREAD):
            self.stubs.run(f"first-{mode}", task=["demo.noop"], mode=mode)
        self.stubs.run("first", argv=["true"])

    def expect_well(self):
        """The agent answers a normal job of each kind, on the old connection and to somebody new."""
        self.assertEqual(self.brood("run", "--", "echo", "well").stdout, "well\n")
        self.assertEqual(self.brood("run", "--mode", "thread", "--call", "demo.echo", "well").stdout, '"well"\n')
        self.assertEqual(self.brood("run", "--mode", "fork", "--call", "demo.echo", "well").stdout, '"well"\n')
        self.assertTrue(self.stubs.host_service.GetHost(self.stubs.hosts.GetHostRequest(), timeout=20).host.name)

    def expect_failed(self, events, steps, numbers):
        failed = [event.failed_to_start for event in events if kind(event) == "failed_to_start"]
        self.assertEqual(len(failed), 1, [kind(event) for event in events])
        self.assertIn(failed[0].step, steps)
        self.assertIn(failed[0].error_number, numbers)
        self.assertIn(f"({errno.errorcode[failed[0].error_number]})", failed[0].message)
        self.assertEqual(kind(events[-1]), "cleaned")

    def connect(self, patience=20):
        client = socket.socket(socket.AF_UNIX)
        client.connect(self.socket)  # waits where the line at the door is full
        client.settimeout(patience)
        return client

    def test_no_descriptor_for_a_connection(self):
        with limited(self.agent, resource.RLIMIT_NOFILE, first_free(self.agent)):
            waiting = [self.connect() for _ in range(20)]
            self.addCleanup(lambda: [client.close() for client in waiting])
            before = cpu_seconds(self.agent)
            # Nobody takes them: the time passes.
            self.assertEqual(select.select(waiting[:1], [], [], 1.0), ([], [], []))
            self.assertLess(cpu_seconds(self.agent) - before, 0.5, "the agent spins")
            # Who is connected is served all the same.
            self.assertTrue(self.stubs.host_service.GetHost(self.stubs.hosts.GetHostRequest(), timeout=20).host.name)
        # Those that waited are taken now: gRPC speaks first.
        self.assertTrue(select.select(waiting[-1:], [], [], 20)[0], "it never accepts again")
        self.expect_well()

    def test_almost_no_descriptor_refuses_and_spares_the_rest(self):
        with limited(self.agent, resource.RLIMIT_NOFILE, max(descriptors(self.agent)) + 40):
            refused = [self.connect() for _ in range(100)]
            for client in refused:
                self.assertEqual(client.recv(1), b"", "it was not closed")
                client.close()
            self.assertEqual(kind(self.stubs.run("inside", argv=["true"])[-1]), "cleaned")
        self.expect_well()

    def test_no_descriptor_for_a_jobs_pipes(self):
        with limited(self.parent, resource.RLIMIT_NOFILE, first_free(self.parent)):
            for number, mode in (("command", FORK), ("call", FORK)):
                named = {"argv": ["true"]} if number == "command" else {"task": ["demo.noop"]}
                self.expect_failed(self.stubs.run("starved-" + number, mode=mode, **named), ("pipe", "fork"), (errno.EMFILE,))
            # A thread has no pipe.
            self.assertEqual(kind(self.stubs.run("thread", task=["demo.noop"], mode=THREAD)[-1]), "cleaned")
        self.expect_well()

    def test_no_descriptor_in_the_agent_for_a_jobs_output(self):
        shell = "head -c 200000 /dev/zero; echo said >&2; exit 3"
        with limited(self.agent, resource.RLIMIT_NOFILE, first_free(self.agent)):
            jobs = self.stubs.request("poor", argv=["sh", "-c", shell]).jobs
            jobs.extend(self.stubs.request("short", argv=["echo", "said"]).jobs)
            answer = self.stubs.job_service.SubmitJobs(self.stubs.jobs.SubmitJobsRequest(jobs=jobs), timeout=20)
            self.assertEqual([accepted.error_code for accepted in answer.accepted], [0, 0])
            # The short one comes and goes meanwhile; its end is not told before its output can be.
            events = self.stubs.run("thread", task=["demo.echo", "well"], mode=THREAD)
            self.assertEqual(kind(events[-1]), "cleaned")
        for job, code, out, err in (("poor", 3, bytes(200_000), b"said\n"), ("short", 0, b"said\n", b"")):
            request = self.stubs.jobs.WatchEventsRequest(job_ids=[job], include_output=True, follow=True)
            events = [event for response in self.stubs.job_service.WatchEvents(request, timeout=20)
                      for event in response.events]
            by_kind = {kind(event): event for event in events}
            said = [b"".join(event.output.bytes for event in events
                             if kind(event) == "output" and event.output.stream == stream) for stream in (1, 2)]
            self.assertEqual(said, [out, err], job)
            self.assertEqual(by_kind["exited"].exited.exit_code, code)
            self.assertFalse(by_kind["output_closed"].output_closed.may_be_cut)
            self.assertEqual(by_kind["output_closed"].output_closed.dropped_bytes, 0)
        self.expect_well()

    def test_no_process_and_no_thread(self):
        home = own_group_of(self.parent)
        folder = f"{home}/brood-test-{os.getpid()}"
        try:
            os.mkdir(folder)
        except OSError as refused:
            self.skipTest(f"no controller of processes (version 1) that this test may use: {refused}")
        try:
            with open(folder + "/cgroup.procs", "w", encoding="ascii") as file:
                file.write(str(self.parent))
            with open(folder + "/pids.current", encoding="ascii") as file:
                now = file.read()
            with open(folder + "/pids.max", "w", encoding="ascii") as file:
                file.write(now)
            self.expect_failed(self.stubs.run("command", argv=["true"]), ("fork",), (errno.EAGAIN,))
            self.expect_failed(self.stubs.run("fork", task=["demo.noop"], mode=FORK), ("fork",), (errno.EAGAIN,))
            self.expect_failed(self.stubs.run("thread", task=["demo.noop"], mode=THREAD), ("thread",), (errno.EAGAIN,))
            with open(folder + "/pids.max", "w", encoding="ascii") as file:
                file.write("max")
            self.expect_well()
        finally:
            # The parent goes back where it was, so that the group can go.
            with open(home + "/cgroup.procs", "w", encoding="ascii") as file:
                file.write(str(self.parent))
            os.rmdir(folder)

    def test_no_memory_for_a_thread(self):
        # The kernel's count is in pages of 4 KiB: what there is, and not the mebibyte of one more stack.
        with open(f"/proc/{self.parent}/statm", encoding="ascii") as file:
            now = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        holders = []
        with limited(self.parent, resource.RLIMIT_AS, now + (256 << 10)):
            # glibc keeps stacks: the first few may fit in one of those.
            for number in range(3):
                request = self.stubs.request(f"held-{number}", task=["demo.hold", "600"], mode=THREAD)
                answer = self.stubs.job_service.SubmitJobs(self.stubs.jobs.SubmitJobsRequest(jobs=request.jobs), timeout=20)
                self.assertEqual(answer.accepted[0].error_code, 0)
                holders.append(f"held-{number}")
            events = self.stubs.run("one-more", task=["demo.noop"], mode=THREAD)
            self.expect_failed(events, ("thread",), (errno.EAGAIN, errno.ENOMEM))
        self.stubs.job_service.CancelJobs(self.stubs.jobs.CancelJobsRequest(job_ids=holders), timeout=20)
        self.expect_well()

    def test_arguments_that_are_too_long(self):
        request = self.stubs.request("long", argv=["true"] + ["x" * 100_000] * 2)
        # The kernel gives arguments a quarter of the stack, and 128 KiB at least.
        request.jobs[0].spec.limits.add(name="stack", value=256 << 10)
        events = [event for response in self.stubs.job_service.RunJobs(iter([request]), timeout=20)
                  for event in response.events]
        self.expect_failed(events, ("exec",), (errno.E2BIG,))
        self.expect_well()

    def test_a_thousand_clients_that_say_nothing(self):
        silent = []
        try:
            before = len(descriptors(self.agent))
            for _ in range(CLIENTS):
                silent.append(self.connect())
            # They cost the others nothing.
            self.expect_well()
            self.assertLess(int(status(self.agent, "Threads")), 64)
        finally:
            for client in silent:
                client.close()
        # The agent lets go of them too.
        wait_until("descriptors are left", lambda: len(descriptors(self.agent)) <= before + 16)
        self.expect_well()

    def test_a_thousand_connections_at_once_that_ask(self):
        grpc = self.stubs.grpc
        options = [("grpc.use_local_subchannel_pool", 1)]
        channels = [grpc.insecure_channel("unix:" + self.socket, options=options) for _ in range(CLIENTS)]
        method = "/brood.v1.HostService/GetHost"
        try:
            calls = [channel.unary_unary(method).future(b"", timeout=60, wait_for_ready=True) for channel in channels]
            answered = sum(1 for call in calls if call.result())
            self.assertEqual(answered, len(channels))
            self.expect_well()
        finally:
            for channel in channels:
                channel.close()

    def test_a_message_of_600_mb_to_a_limit_of_one(self):
        before = int(status(self.agent, "VmHWM")) << 10
        call = self.stubs.channel.unary_unary("/brood.v1.JobService/SubmitJobs")
        with self.assertRaises(self.stubs.grpc.RpcError) as refused:
            call(bytes(MESSAGE_BYTES), timeout=60)
        self.assertEqual(refused.exception.code(), self.stubs.grpc.StatusCode.RESOURCE_EXHAUSTED)
        grown = (int(status(self.agent, "VmHWM")) << 10) - before
        self.assertLess(grown, GROWTH_BYTES_MAX, f"{grown >> 20} MiB")
        self.expect_well()


if __name__ == "__main__":
    unittest.main(verbosity=2)

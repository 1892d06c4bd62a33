#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each claim C1 to C13 once more, beside brood: what it tells is held against raw /proc and raw memory.

Usage: claims_proc_test.py; BROOD_BIN_DIR names the folder of the programs.
"""

import json
import os
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../testing"))
from local_world import SECONDS, LocalWorld  # noqa: E402
from proc import children_of, status, wait_until  # noqa: E402


def word(pid, address):
    """The whole number in that process's memory."""
    with open(f"/proc/{pid}/mem", "rb") as memory:
        memory.seek(address)
        return struct.unpack("q", memory.read(8))[0]


def tasks(pid):
    return {int(tid) for tid in os.listdir(f"/proc/{pid}/task")}


def lives(pid):
    return os.path.exists(f"/proc/{pid}") and status(pid, "State") != "Z"


class ClaimsTest(LocalWorld):
    def setUp(self):
        super().setUp()
        self.expect("parent", "start", "p")
        self.parent = self.pid_of("p")

    def pid_of(self, name):
        parents = json.loads(self.expect("parent", "list", "-o", "json"))["parents"]
        return [parent["pid"] for parent in parents if parent["name"] == name and parent["state"] == "RUNNING"][0]

    def call(self, mode, task, *words, parent="p", code=0):
        return self.expect("run", "--parent", parent, "--mode", mode, "--call", task, *words, code=code)

    def hold(self, mode, task, *words, parent="p", event="progress"):
        """Starts a call and waits until it has said that it is at work; what `show` then tells of it."""
        return self.follow(self.call_detached("--parent", parent, "--mode", mode, "--call", task, *words), event)

    def call_detached(self, *words):
        return self.expect("run", "-d", *words).strip()

    def follow(self, job, event):
        wait_until(f"{job} without {event}", lambda: self.events(job, event))
        return json.loads(self.expect("show", job, "-o", "json")) | {"name": job}

    def events(self, job, payload):
        lines = self.expect("events", job, "-o", "jsonl").splitlines()
        return [event[payload] for event in map(json.loads, lines) if payload in event]

    def cursor(self, job, payload):
        lines = self.expect("events", job, "-o", "jsonl").splitlines()
        return [int(event["cursor"]) for event in map(json.loads, lines) if payload in event][0]

    def open_gate(self, path):
        """Lets who reads from the FIFO go on, once somebody does."""

        def is_open():
            try:
                gate = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                return False
            os.write(gate, b"two words")
            os.close(gate)
            return True

        wait_until("nobody reads from the FIFO", is_open)

    def cell(self, name, *flags):
        return json.loads(self.expect("cells", name, "--parent", "p", "-o", "json", *flags))["cells"][0]

    def test_c1_a_fork_writes_its_own_copy(self):
        self.call("thread", "demo.add", "x", "5")
        fork = self.hold("fork", "demo.add.hold", "x", "100", "60")
        cell = self.cell("x", "--compare")
        address = int(cell["address"])
        self.assertEqual((word(self.parent, address), word(fork["pid"], address)), (5, 105))
        self.assertEqual(cell["outside"]["value"]["intValue"], "5")
        self.assertEqual(cell["copies"][0]["outside"]["value"]["intValue"], "105")

    def test_c2_threads_are_tasks_of_the_parent_and_forks_processes(self):
        threads = [self.hold("thread", "demo.hold", "60") for _ in range(2)]
        forks = [self.hold("fork", "demo.hold", "60") for _ in range(2)]
        self.assertLessEqual({thread["tid"] for thread in threads}, tasks(self.parent))
        for fork in forks:
            self.assertEqual(status(fork["pid"], "PPid"), str(self.parent))
            self.assertEqual(tasks(fork["pid"]), {fork["pid"]})

    def test_c3_all_children_are_the_parents(self):
        forks = {self.hold("fork", "demo.hold", "60")["pid"] for _ in range(6)}
        self.assertEqual({pid for pid, _ in children_of(self.parent)}, forks)

    def test_c4_a_fork_runs_the_parents_program_and_a_command_another(self):
        fork = self.hold("fork", "demo.hold", "60")
        command = self.follow(self.call_detached("--parent", "p", "--", "sleep", "60"), "started")
        program = os.readlink(f"/proc/{self.parent}/exe")
        self.assertEqual(os.readlink(f"/proc/{fork['pid']}/exe"), program)
        wait_until("it does not come to exec", lambda: os.readlink(f"/proc/{command['pid']}/exe") != program)

    def test_c5_the_kernel_says_the_same_adopter(self):
        fork = self.hold("fork", "demo.hold", "60")
        self.expect("parent", "end", "p", "--how", "kill")
        told = self.follow(fork["name"], "reparented") and self.events(fork["name"], "reparented")[0]
        self.assertEqual(status(fork["pid"], "PPid"), str(told["newPpid"]))
        self.assertEqual(told["oldPpid"], self.parent)
        self.assertFalse(os.path.exists(f"/proc/{self.parent}"))

    def test_c6_a_callable_runs_in_a_task_of_the_parent(self):
        thread = self.hold("thread", "demo.hold", "60", '"kept"')
        self.assertEqual(status(f"{self.parent}/task/{thread['tid']}", "Tgid"), str(self.parent))

    def test_c7_a_threads_write_is_in_the_parents_memory(self):
        self.call("thread", "demo.add", "x", "5")
        address = int(self.cell("x")["address"])
        self.assertEqual(word(self.parent, address), 5)
        self.call("thread", "demo.add", "x", "1")
        self.assertEqual(word(self.parent, address), 6)
        self.call("fork", "demo.add", "x", "100")
        self.assertEqual(word(self.parent, address), 6)

    def test_c8_a_method_acts_on_the_object_at_its_address(self):
        self.call("thread", "demo.counter.add", "hits", "4")
        address = int(json.loads(self.call("thread", "demo.counter.address", "hits")), 16)
        self.assertEqual(word(self.parent, address), 4)
        self.assertEqual(int(self.cell("demo.counter.hits")["address"]), address)
        self.call("fork", "demo.counter.add", "hits", "100")
        self.assertEqual(word(self.parent, address), 4)

    def test_c9_the_threads_are_gone_with_the_process_and_the_fork_is_not(self):
        thread = self.hold("thread", "demo.hold", "60")
        fork = self.hold("fork", "demo.hold", "60")
        self.expect("parent", "end", "p", "--how", "return")
        self.assertFalse(os.path.exists(f"/proc/{self.parent}"))
        self.assertIn("parentEnded", self.events(thread["name"], "threadEnded")[0])
        self.assertTrue(lives(fork["pid"]))

    def test_c9_control_where_the_main_thread_leaves_the_process_goes_on(self):
        thread = self.hold("thread", "demo.hold", "60")
        self.expect("parent", "end", "p", "--how", "thread-exit")
        wait_until("the main thread goes on", lambda: status(f"{self.parent}/task/{self.parent}", "State") == "Z")
        self.assertIn(thread["tid"], tasks(self.parent))
        self.expect("parent", "end", "p", "--how", "kill")

    def test_c10_the_parent_answers_while_a_task_of_it_computes(self):
        thread = self.hold("thread", "demo.spin", "60")
        self.call("thread", "demo.add", "x", "1")
        self.assertEqual(word(self.parent, int(self.cell("x")["address"])), 1)
        self.assertIn(thread["tid"], tasks(self.parent))
        self.assertIn(status(f"{self.parent}/task/{thread['tid']}", "State"), "RS")

    def test_c10_control_the_same_work_on_the_main_thread_blocks_the_parent(self):
        self.expect("run", "--parent", "p", "--", "true")  # from now on a thread of p starts commands
        self.call("thread", "demo.add", "x", "1")
        gate = os.path.join(self.folder, "gate")
        os.mkfifo(gate)
        try:
            thread = self.hold("thread", "demo.words", gate, event="started")
            self.call("thread", "demo.add", "x", "1")
            self.assertEqual(self.cell("x")["value"]["intValue"], "2")
            self.assertEqual(self.events(thread["name"], "threadEnded"), [])
            self.open_gate(gate)
            self.follow(thread["name"], "threadEnded")

            main = self.hold("thread", "demo.words.main", gate, event="started")
            self.assertEqual(main["tid"], self.parent)
            late = self.call_detached("--parent", "p", "--mode", "thread", "--call", "demo.add", "x", "1")
            self.follow(late, "starting")
            reading = self.start("cells", "x", "--parent", "p", stderr=subprocess.STDOUT)
            # Longer than a thread takes to start, or an answer to come: the thread that starts commands goes on.
            for _ in range(3):
                self.follow(self.call_detached("--parent", "p", "--", "true"), "started")
            self.assertEqual(self.events(late, "started"), [])
            self.assertIsNone(reading.poll())
            self.open_gate(gate)
            self.assertIn("x", reading.communicate(timeout=SECONDS)[0])
            self.assertEqual(reading.returncode, 0)
            self.expect("wait", main["name"], late)
            self.assertLess(self.cursor(main["name"], "threadEnded"), self.cursor(late, "started"))
        finally:
            os.close(os.open(gate, os.O_RDWR))  # whoever still waits sees the end of the file

    def test_c11_a_thread_has_the_parents_memory_map_and_a_fork_its_own(self):
        thread = self.hold("thread", "demo.hold", "60")
        fork = self.hold("fork", "demo.hold", "60")
        self.assertEqual(status(f"{self.parent}/task/{thread['tid']}", "Tgid"), str(self.parent))
        self.assertEqual(status(fork["pid"], "Tgid"), str(fork["pid"]))

    def test_c12_what_was_lost_is_not_in_memory_either(self):
        for name, task in (("u", "demo.add.unsafe"), ("s", "demo.add.safe")):
            jobs = [self.call_detached("--parent", "p", "--mode", "thread", "--call", task, name, "2000")
                    for _ in range(4)]
            self.expect("wait", *jobs)
            cell = self.cell(name)
            self.assertEqual(word(self.parent, int(cell["address"])), int(cell["value"]["intValue"]))
            self.assertEqual(int(cell["version"]), 8000)
        self.assertEqual(int(self.cell("s")["value"]["intValue"]), 8000)

    def test_c13_a_crash_ends_the_process_it_is_in_and_no_other(self):
        self.call("fork", "demo.crash", "segv", code=139)
        self.assertTrue(lives(self.parent))
        victim = self.hold("thread", "demo.hold", "60")
        fork = self.hold("fork", "demo.hold", "60")
        self.call("thread", "demo.crash", "segv", code=125)
        self.assertFalse(os.path.exists(f"/proc/{self.parent}"))
        self.assertTrue(self.events(victim["name"], "threadEnded")[0]["parentEnded"]["culpritJobId"])
        self.assertTrue(lives(fork["pid"]))


if __name__ == "__main__":
    unittest.main(verbosity=2)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`brood lab`, `demo` and the commands on hosts, as typed by a user, with real agents.

Usage: lab_cli_test.py; BROOD_BIN_DIR names the folder of the programs.
"""

import json
import os
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../testing"))
import proc  # noqa: E402
from local_world import BROOD, SECONDS, OwnFolders  # noqa: E402


def processes_with(text):
    return list(proc.processes_with(text).values())


class CliTest(OwnFolders):
    """Each test ends its lab."""

    def setUp(self):
        super().setUp()
        self.addCleanup(self.brood, "lab", "down", check=False)

    def brood(self, *words, check=True, **more):
        answer = super().brood(*words, **more)
        if check:
            self.assertEqual(answer.returncode, 0, f"{words}: {answer.stdout}{answer.stderr}")
        return answer

    def json(self, *words):
        return json.loads(self.brood(*words, "-o", "json").stdout)


class LabTest(CliTest):
    def test_up_is_idempotent_and_down_ends_all(self):
        self.assertEqual(self.brood("lab", "up", "-n", "2").stdout, "host1\nhost2\n")
        pids = [host["pid"] for host in self.json("lab", "status")["hosts"]]
        self.assertEqual(self.brood("lab", "up", "-n", "2").stdout, "host1\nhost2\n")
        self.assertEqual([host["pid"] for host in self.json("lab", "status")["hosts"]], pids)
        self.assertEqual(self.brood("lab", "up", "-n", "3").stdout, "host1\nhost2\nhost3\n")
        self.assertEqual([host["pid"] for host in self.json("lab", "status")["hosts"]][:2], pids)
        self.assertEqual(self.brood("hosts", "-w", "host[1-2],@lab", "-o", "name").stdout,
                         "host1\nhost2\nhost3\n")
        self.brood("lab", "down")
        self.assertEqual(processes_with(self.folder), [])
        self.assertEqual(self.brood("lab", "status", check=False).returncode, 1)
        self.assertEqual(self.brood("lab", "down").stderr, "brood: there was no lab\n")

    def test_jobs_run_on_a_set_of_its_hosts(self):
        self.brood("lab", "up", "-n", "3")
        answer = self.brood("run", "-w", "host[1-3]", "--", "sh", "-c", "echo $BROOD_HOST")
        self.assertEqual(sorted(answer.stdout.split("\n")),
                         ["", "host1: host1", "host2: host2", "host3: host3"])
        self.assertEqual(len(self.brood("run", "-w", "@lab", "--", "true").stdout), 0)

    def test_down_ends_running_jobs_and_daemons_of_theirs(self):
        self.brood("lab", "up", "-n", "1")
        # One that does not listen to SIGTERM, and one that left its session and its parent.
        self.brood("run", "-w", "host1", "-d", "--", "sh", "-c", "trap '' TERM; while :; do sleep 100; done")
        self.brood("run", "-w", "host1", "--", "sh", "-c", "setsid sleep 100 >/dev/null 2>&1 &")
        self.brood("run", "-w", "host1", "-d", "--mode", "thread", "--call", "demo.hold", "100")
        self.brood("lab", "down")
        self.assertEqual(processes_with(self.folder), [])

    def test_status_and_down_cope_with_an_agent_that_was_killed(self):
        self.brood("lab", "up", "-n", "2")
        agent = self.json("lab", "status")["hosts"][0]["pid"]
        proc.kill(agent)
        status = self.brood("lab", "status", "-o", "json", check=False)
        self.assertEqual(status.returncode, 1)
        self.assertEqual([host["running"] for host in json.loads(status.stdout)["hosts"]], [False, True])
        self.brood("lab", "down")
        self.assertEqual(processes_with(self.folder), [])

    def test_refusals_say_what_to_do(self):
        self.assertIn("1 to 200", self.brood("lab", "up", "-n", "0", check=False).stderr)
        self.environment["BROOD_RUNTIME_DIR"] = os.path.join(self.folder, "x" * 80)
        answer = self.brood("lab", "up", check=False)
        self.assertEqual(answer.returncode, 1)
        self.assertIn("set BROOD_RUNTIME_DIR to a shorter one", answer.stderr)
        for words in (["lab"], ["lab", "sideways"], ["lab", "up", "-n", "many"]):
            self.assertEqual(self.brood(*words, check=False).returncode, 2, words)

    def test_an_unknown_host_is_named_with_those_known(self):
        self.brood("lab", "up", "-n", "2")
        answer = self.brood("hosts", "-w", "host[1-4]", check=False)
        self.assertEqual(answer.returncode, 1)
        self.assertIn("no host 'host[3-4]'", answer.stderr)
        self.assertIn("hosts known: host1, host2; groups known: lab", answer.stderr)


class HostCommandsTest(CliTest):
    def setUp(self):
        super().setUp()
        self.brood("lab", "up", "-n", "1")

    def test_cells_of_a_parent(self):
        self.brood("run", "-w", "host1", "--mode", "thread", "--call", "demo.add", "score", "5")
        cells = self.json("cells", "-w", "host1")["cells"]
        self.assertEqual([(cell["name"], cell["value"]) for cell in cells], [("score", {"intValue": "5"})])
        answer = self.brood("cells", "-w", "host1", "nothing", check=False)
        self.assertEqual(answer.returncode, 1)
        self.assertIn("nothing", answer.stderr)

    def test_tasks_are_listed_with_arguments(self):
        tasks = {task["name"]: task for task in self.json("tasks", "-w", "host1")["tasks"]}
        self.assertEqual([parameter["type"] for parameter in tasks["demo.add"]["parameters"]],
                         ["TEXT", "INT"])
        self.assertIn("demo.words", self.brood("tasks", "-w", "host1").stdout)

    def test_a_twin_run_says_how_thread_and_fork_differ_and_leaves_no_parent(self):
        answer = self.json("twin", "--rounds", "2", "-w", "@lab")
        self.assertTrue(answer["hosts"])
        self.assertTrue(all(len(host["rounds"]) == 2 for host in answer["hosts"]))
        for host in answer["hosts"]:
            said = {finding["topic"]: finding for finding in host["findings"]}
            for topic in ("process", "parent", "sibling", "end"):
                self.assertEqual(said[topic]["verdict"], "DIFFER", said[topic])
            self.assertEqual(said["start value"]["verdict"], "SAME", said["start value"])
            for read in host["rounds"]:
                self.assertEqual(read["thread"]["pid"], host["parentPid"])
                self.assertEqual(read["fork"]["ppid"], host["parentPid"])
                self.assertEqual(read["after"]["value"], read["before"]["value"] + 1)
                self.assertEqual(read["after"]["outside"], read["after"]["value"])
        self.assertEqual(self.living_parents(), {"default"})
        table = self.brood("twin", "--rounds", "1", "-w", "host1", "demo.add", "mine", "5").stdout
        self.assertIn("AS A THREAD", table)
        self.assertIn("What the thread wrote was in the parent's memory", table)

    def test_a_twin_run_that_is_stopped_ends_its_jobs_and_its_parent(self):
        with subprocess.Popen([BROOD, "twin", "-w", "host1", "demo.hold", "60"], env=self.environment,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as program:
            proc.wait_until("nothing runs", lambda: '"RUNNING"' in self.brood("ps", "-l", "-w", "host1", "-o", "json").stdout)
            program.send_signal(signal.SIGINT)
            self.assertEqual(program.wait(SECONDS), -signal.SIGINT)
        self.assertEqual(self.living_parents(), {"default"})

    def test_a_twin_run_refuses_what_is_not_there(self):
        self.assertIn("no task 'demo.nosuch'", self.brood("twin", "-w", "host1", "demo.nosuch", check=False).stderr)
        self.assertIn("no parent 'nope' runs", self.brood("twin", "-w", "host1", "--parent", "nope", check=False).stderr)

    def living_parents(self):
        listed = self.brood("parent", "list", "-w", "@lab").stdout.splitlines()[1:]
        return {row.split()[1] for row in listed if row.split()[3] != "ENDED"}

    def test_parents_start_and_end_as_asked(self):
        self.assertIn("RUNNING", self.brood("parent", "start", "second", "-w", "host1").stdout)
        for how, end in (("return", {"exitCode": 0}), ("kill", {"signal": 9}), ("abort", {"signal": 6})):
            self.brood("parent", "start", "second", "-w", "host1")
            parent = self.json("parent", "end", "second", "-w", "host1", "--how", how)["parent"]
            self.assertEqual({**parent["ended"], **end}, parent["ended"], how)
        parents = self.json("parent", "list", "-w", "host1")["parents"]
        self.assertEqual({parent["name"] for parent in parents}, {"default", "second"})
        self.assertEqual(self.brood("parent", "end", "second", "--how", "gently", check=False).returncode, 2)
        self.assertEqual(self.brood("parent", "end", "nobody", "-w", "host1", check=False).returncode, 1)

    def test_the_tree_shows_who_is_below_whom_and_who_was_adopted(self):
        fork = self.brood("run", "-w", "host1", "-d", "--mode", "fork", "--call", "demo.hold", "100").stdout.strip()
        thread = self.brood("run", "-w", "host1", "-d", "--mode", "thread", "--call", "demo.hold", "100").stdout.strip()
        # The job's own child, started before the job says a word.
        command = self.brood("run", "-w", "host1", "-d", "--", "sh", "-c", "sleep 100 & echo up; wait").stdout.strip()
        with subprocess.Popen([BROOD, "logs", "-f", command], env=self.environment, text=True,
                              stdout=subprocess.PIPE) as logs:
            self.assertEqual(logs.stdout.readline(), "up\n")
            logs.kill()
        names = [word.split("/")[1] for word in (fork, thread, command)]

        def find(node, name, above=()):
            if node["name"] == name:
                return node, above
            for child in node.get("below", []):
                if found := find(child, name, (*above, node["kind"])):
                    return found
            return None

        tree = self.json("tree", "-w", "host1")
        for name in names:
            node, above = find(tree, name)
            self.assertEqual(above[-1], "parent", name)
        self.assertNotEqual(find(tree, names[1])[0]["tid"], find(tree, names[1])[0]["pid"])
        self.assertEqual([child["name"] for child in find(tree, names[2])[0]["below"]], ["sleep"])

        self.brood("parent", "end", "default", "-w", "host1", "--how", "kill")
        tree = self.json("tree", "-w", "host1")
        self.assertEqual(find(tree, names[0])[1][-1], "supervisor")
        self.assertEqual(find(tree, names[2])[1][-1], "supervisor")
        self.assertIsNone(find(tree, names[1]))
        self.assertIn("└─", self.brood("tree", "-w", "host1").stdout)

    def test_agent_status_and_stop(self):
        status = self.json("agent", "status", "-w", "host1")
        self.assertGreater(status["pid"], 0)
        self.assertGreater(status["supervisorPid"], 0)
        self.assertEqual([(parent["name"], parent["state"]) for parent in status["parents"]],
                         [("default", "RUNNING")])
        self.brood("agent", "stop", "-w", "host1")
        self.assertEqual(processes_with(self.folder), [])

    def test_stop_can_leave_the_jobs_running(self):
        status = self.json("agent", "status", "-w", "host1")
        self.brood("run", "-w", "host1", "-d", "--", "sleep", "100")
        self.brood("agent", "stop", "--keep-jobs", "-w", "host1")
        self.assertFalse(os.path.exists(f"/proc/{status['pid']}/exe"))
        self.assertTrue(os.path.exists(f"/proc/{status['supervisorPid']}/exe"))
        self.assertIn("sleep 100 ", processes_with(self.folder))

    def test_doctor_finds_what_is_wrong(self):
        self.assertNotIn("FAIL", self.brood("doctor").stdout)
        with open(self.environment["BROOD_HOSTS"], "w", encoding="utf-8") as file:
            file.write("[hosts\n")
        answer = self.brood("doctor", check=False)
        self.assertEqual(answer.returncode, 1)
        self.assertIn("FAIL  hosts file", answer.stdout)
        # What reads well and cannot be used is wrong as well.
        with open(self.environment["BROOD_HOSTS"], "w", encoding="utf-8") as file:
            file.write('[hosts.far]\naddress = "far:99999"\n')
        answer = self.brood("doctor", check=False)
        self.assertEqual(answer.returncode, 1)
        self.assertIn("FAIL  the address of host 'far' is 'far:99999'", answer.stdout)

    def test_doctor_says_which_journal_is_none(self):
        empty = os.path.join(self.folder, "empty")
        os.mkdir(empty)
        for words, code, said in (
            (["--journal", "/nonexist"], 1, "read the journal in '/nonexist': No such file or directory"),
            (["--journal", empty], 1, f"read the journal in '{empty}': there is none, it has no file 'epoch'"),
            (["--journal", BROOD], 1, "it is no folder"),
            (["--journal", ""], 2, "--journal: is empty"),
        ):
            answer = self.brood("doctor", *words, check=False)
            self.assertEqual(answer.returncode, code, words)
            self.assertIn(said, answer.stderr)

    def test_config_says_which_file_is_none(self):
        hosts = os.path.join(self.folder, "none.toml")
        self.environment["BROOD_HOSTS"] = hosts
        answer = self.brood("config", "check", check=False)
        self.assertEqual(answer.returncode, 1)
        self.assertIn(f"BROOD_HOSTS names '{hosts}': there is no such file", answer.stderr)
        # The default one need not be there.
        del self.environment["BROOD_HOSTS"]
        self.environment["BROOD_CONFIG"] = os.path.join(self.folder, "none", "config.toml")
        answer = self.brood("config", "check")
        self.assertIn("none/hosts.toml: no such file, which is as good as an empty one", answer.stdout)

    def test_what_is_no_word_of_a_command_is_answered_with_those_that_are(self):
        for words, said in (
            (["config", "foo"], "there is no 'brood config foo'; there are check, path"),
            (["config"], "brood config needs one of these: check, path"),
            (["run", "--durable=maybe", "true"], "--durable takes no value, and was given 'maybe'"),
            (["run", "--give-up-after", "x", "true"], "brood: --give-up-after: 'x' is no duration"),
            (["run", "--limit", "luck", "true"], "brood: --limit: 'luck' has no name"),
            (["run", "-w", "^", "true"], "'^' names no file; write ^FILE"),
            (["run", "-w", "node1,^f", "true"], "-w SET -w ^FILE"),
        ):
            answer = self.brood(*words, check=False)
            self.assertNotEqual(answer.returncode, 0, words)
            self.assertIn(said, answer.stderr)


class DemoTest(CliTest):
    def test_everything_is_as_claimed_and_nothing_is_left(self):
        answer = self.brood("demo")
        self.assertNotIn("NOT SEEN", answer.stdout)
        self.assertEqual(answer.stdout.count("  seen "), 6)
        self.assertEqual(answer.stdout.count("fork of the parent"), 3)
        folder = answer.stdout.split("\n")[0].split(" ")[-1]
        self.assertFalse(os.path.exists(folder))
        self.assertEqual(processes_with(folder), [])

    def test_control_c_leaves_nothing(self):
        with subprocess.Popen([BROOD, "demo"], env=self.environment, text=True, start_new_session=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as demo:
            folder = demo.stdout.readline().strip().split(" ")[-1]
            os.killpg(demo.pid, signal.SIGINT)
            demo.stdout.read()
        self.assertEqual(demo.returncode, -signal.SIGINT)
        self.assertFalse(os.path.exists(folder))
        self.assertEqual(processes_with(folder), [])


if __name__ == "__main__":
    # Started from a shell in the background, SIGINT is ignored, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    unittest.main()

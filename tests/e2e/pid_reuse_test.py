#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The pid of a job is given to a stranger between the job's end and what brood then does: no stranger is ever hit.

Usage: pid_reuse_test.py; BROOD_BIN_DIR names the folder of the programs, BROOD_PID_REUSES how often in all (100). Skipped, with
the reason, where no pid namespace can be made, in which the next pid can be said: this machine's own pids are left alone.

A stranger (decoy) leads a session of its own, as jobs do, and writes down every signal that it gets.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../testing"))
from local_world import BROOD, environment_in, expect_brood, own_folder  # noqa: E402
from proc import kill, wait_until  # noqa: E402

ROUNDS = int(os.environ.get("BROOD_PID_REUSES", "100"))
SECONDS = 20
LAST_PID = "/proc/sys/kernel/ns_last_pid"
NAMESPACE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
# It ignores SIGTERM, so that its end is this test's doing alone.
STUBBORN = ["sh", "-c", "trap '' TERM USR1; exec sleep 600", "{}"]
BATCH = 5  # jobs, and strangers, at once


class Decoy:
    """A stranger that has that very pid."""

    def __init__(self, pid):
        self.pid = pid
        self.reports, writer = os.pipe()
        deadline = time.monotonic() + SECONDS
        while True:
            assert time.monotonic() < deadline, f"pid {pid} is not to be had"
            with open(LAST_PID, "w", encoding="ascii") as file:
                file.write(str(pid - 1))
            child = os.fork()
            if child == 0:
                self.live(writer)
            if child == pid:
                break
            # Somebody else was given one in between, or it is not free yet.
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        os.close(writer)
        assert os.read(self.reports, 1) == b"!"

    def live(self, writer):
        if os.getpid() != self.pid:
            while True:
                signal.pause()
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, lambda got, _: os.write(writer, bytes([got])))
        os.setsid()
        os.write(writer, b"!")
        while True:
            signal.pause()

    def judge(self):
        """What was done to it; nothing, if all is well."""
        hits = []
        while select.select([self.reports], [], [], 0)[0]:
            got = os.read(self.reports, 1)
            if not got:
                break
            hits.append(signal.Signals(got[0]).name)
        ended, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)
        if ended:
            hits.append(f"status {status:#x}")
        if not ended or os.WIFSTOPPED(status):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.reports)
        return hits


class World:
    """One host's brood, of which this process, pid 1 of its namespace, adopts what nobody else does."""

    def __init__(self, folder):
        self.environment = environment_in(folder)
        self.brood("run", "--", "true")

    def start(self, *words):
        return subprocess.Popen([BROOD, *words], env=self.environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def brood(self, *words, lines=""):
        return expect_brood(self.environment, *words, timeout=SECONDS, input=lines)

    def status(self):
        return json.loads(self.brood("agent", "status", "-o", "json"))

    def run(self, *options):
        """Jobs that run: their ids and pids."""
        jobs = self.brood("run", "-d", "--each", "-", *options, "--", *STUBBORN, lines="x\n" * BATCH).split()
        return jobs, [self.pid_of(job) for job in jobs]

    def pid_of(self, job):
        shown = {}

        def runs():
            shown.update(json.loads(self.brood("show", job, "-o", "json")))
            return "pid" in shown and open(f"/proc/{shown['pid']}/comm", encoding="utf-8").read() == "sleep\n"

        wait_until("it does not run", runs)
        return shown["pid"]

    def wait_for_ends(self, jobs):
        self.start("wait", *jobs).communicate(timeout=SECONDS)
        wait_until("they are not cleaned", lambda: sum("cleaned" in json.loads(line) for line in self.brood(
            "events", *jobs, "-o", "jsonl").splitlines()) == len(jobs))


def take_places_of(pids):
    for pid in pids:
        kill(pid)
    # Pid 1's own, if nobody else adopted them.
    for pid in pids:
        wait_until("nobody waits for the job", lambda: not os.path.exists(f"/proc/{pid}") or adopt(pid))
    return [Decoy(pid) for pid in pids]


def adopt(pid):
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return False


def connections():
    """To agents, those included that nobody has taken yet."""
    with open("/proc/net/unix", encoding="utf-8") as file:
        return sum("/agent.sock" in line for line in file)


def behind_a_stopped_agent(world, jobs, pids):
    """The agent has not heard of the ends when it is asked to signal and to end the jobs."""
    agent = world.status()["pid"]
    os.kill(agent, signal.SIGSTOP)
    decoys = take_places_of(pids)
    before = connections()
    asked = [world.start("kill", "-s", "USR1", *jobs), world.start("cancel", "--grace", "0s", *jobs)]
    wait_until("nobody stands at its door", lambda: connections() >= before + len(asked))
    os.kill(agent, signal.SIGCONT)
    for process in asked:
        process.communicate(timeout=SECONDS)
    world.wait_for_ends(jobs)
    return decoys


def of_a_living_parent(world):
    return behind_a_stopped_agent(world, *world.run())


def of_orphans(world):
    parent = f"p{time.monotonic_ns()}"
    world.brood("parent", "start", parent)
    jobs, pids = world.run("--parent", parent)
    world.brood("parent", "end", parent, "--how", "kill")
    return behind_a_stopped_agent(world, jobs, pids)


def cancelled_jobs(world):
    """Those whose grace has begun when their agent dies."""
    status = world.status()
    jobs, pids = world.run()
    asked = world.start("cancel", "--grace", "5s", *jobs)
    wait_until("they are not asked", lambda: world.brood("events", *jobs).count("CANCEL_REQUESTED") == len(jobs))
    # Who asked would start another agent at once.
    asked.kill()
    asked.communicate(timeout=SECONDS)
    kill(status["pid"])
    return status, jobs, pids


def of_cancels_that_the_next_agent_takes_over(world):
    _, jobs, pids = cancelled_jobs(world)
    decoys = take_places_of(pids)
    world.wait_for_ends(jobs)
    return decoys


def of_jobs_whose_end_nobody_saw(world):
    status, jobs, pids = cancelled_jobs(world)
    for process in (status["supervisorPid"], *(parent["pid"] for parent in status["parents"] if parent["state"] == "RUNNING")):
        kill(process)
    decoys = take_places_of(pids)
    world.brood("run", "--", "true")  # Another agent, and all else.
    world.wait_for_ends(jobs)
    return decoys


CASES = (of_a_living_parent, of_orphans, of_cancels_that_the_next_agent_takes_over, of_jobs_whose_end_nobody_saw)


def inside(folder):
    # Somewhere to begin, where the namespace has no pids yet and none wraps around.
    with open(LAST_PID, "w", encoding="ascii") as file:
        file.write("1000")
    strangers = 0
    hits = 0
    world = World(folder)
    for number in range(-(-ROUNDS // BATCH)):
        case = CASES[number % len(CASES)]
        for decoy in case(world):
            strangers += 1
            done = decoy.judge()
            if done:
                hits += 1
                print(f"{case.__name__}: the stranger with pid {decoy.pid} got {', '.join(done)}")
        # What was orphaned and has ended.
        while adopt(-1):
            pass
    world.brood("agent", "stop")
    print(f"{strangers} pids were given to strangers, {hits} strangers were hit")
    return 1 if hits else 0


def main():
    if sys.argv[1:2] == ["--inside"]:
        return inside(sys.argv[2])
    probe = ["sh", "-c", f"echo 1000 >{LAST_PID} && [ $$ = 1 ]"]
    try:
        tried = subprocess.run([*NAMESPACE, *probe], capture_output=True, text=True, timeout=SECONDS, check=False)
        why = tried.stderr.strip() if tried.returncode else ""
    except OSError as missing:
        why = str(missing)
    if why:
        print(f"SKIPPED: no pid namespace whose next pid can be said: {why}")
        return 77
    # Out here it is removed also where the time is over and the whole namespace is killed.
    with own_folder() as folder:
        words = [*NAMESPACE, sys.executable, os.path.abspath(__file__), "--inside", folder]
        return subprocess.run(words, timeout=280, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mixed load for a while, and what grows: memory, descriptors, threads, zombies, files.

Usage: soak_test.py [SECONDS]; BROOD_BIN_DIR names the folder of the programs. The load is bounded: it is about what is left
of each job, not about how many there can be.
"""

import contextlib
import io
import json
import os
import select
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../testing"))
from local_world import BROOD, environment_in, expect_brood, own_folder  # noqa: E402
from proc import children_of, status, wait_until  # noqa: E402

PATIENCE = 120
# Jobs a second, by kind, and jobs at once before it begins: more than the 10,000 ended ones that an agent keeps in memory, of
# the same kinds, so that from there on each new one takes the place of an old one.
LOAD = {
    "command": (20, 4400, ["--", "sh", "-c", "echo {}"]),
    "fork": (20, 4400, ["--mode", "fork", "--call", "demo.echo", "{}"]),
    "thread": (10, 2200, ["--mode", "thread", "--call", "demo.add", "hits", "{}"]),
}
RATE = sum(rate for rate, _, _ in LOAD.values())

# Bytes of memory that a job may leave behind for ever, by process. An ended job that is kept costs the agent some 4 KiB, and a
# running one the parent some hundred bytes. The allocators take memory in steps, which hides more in a short run than in a long one.
LEFT_BY_A_JOB_MAX = {"agent": 500, "parent": 100, "supervisor": 100}
LEFT_IN_A_LONG_RUN_MAX = {"agent": 100, "parent": 60, "supervisor": 50}
LONG_SECONDS = 300
# Then faster until a snapshot of that many jobs is written: it takes the most memory at once that an agent ever has, some MiB,
# which malloc keeps for the next one.
SETTLE_SECONDS = 4
SETTLE_FASTER = 4  # times the rate
# At rest, after as much load as it was: what is more of these than before it.
MORE_AT_REST_MAX = {"descriptors": 8, "threads": 8, "zombies": 0}
JOURNAL_BYTES_MAX = (256 << 20) + (32 << 20)  # what is kept, the segment that is being written, and the room for the next
JOURNAL_BYTES_PER_JOB_MAX = 8 << 10
SPOOL_FILES_MAX = 2 * 10_000 + 2 * RATE  # two streams of each ended job that is kept, and those that live


def slope(points):
    """Least squares: how much the second grows for one of the first."""
    count = len(points)
    middle = sum(x for x, _ in points) / count
    height = sum(y for _, y in points) / count
    spread = sum((x - middle) ** 2 for x, _ in points)
    return sum((x - middle) * (y - height) for x, y in points) / spread


def judge_memory(samples, limits):
    """Sentences on what grows. `samples`: (jobs so far, {process: bytes})."""
    breaches = []
    for process, most in limits.items():
        left = slope([(jobs, memory[process]) for jobs, memory in samples])
        shape = [str(memory[process] >> 10) for _, memory in samples[::max(1, len(samples) // 10)]]
        print(f"  {process}: {left:.0f} bytes of memory a job, at most {most}; KiB: {' '.join(shape)}")
        if left > most:
            breaches.append(f"each job leaves {left:.0f} bytes in the {process}; at most {most} are noise")
    return breaches


def judge_rest(before, after):
    """The same of what is there at rest: {process: {what: count}}."""
    breaches = []
    for process, counts in before.items():
        for what, most in MORE_AT_REST_MAX.items():
            more = after[process][what] - counts[what]
            print(f"  {process}: {after[process][what]} {what} at rest, {counts[what]} before")
            if more > most:
                breaches.append(f"the {process} has {more} {what} more at rest than before; at most {most}")
    return breaches


def check_judges():
    """They can fail: a leak of a quarter more than is allowed, among noise, is found; the noise alone is not."""
    noise = [(i * 50, (i * 7919 % 13 - 6) * 4096) for i in range(60)]
    steady = [(jobs, dict.fromkeys(LEFT_BY_A_JOB_MAX, 50_000_000 + wobble)) for jobs, wobble in noise]
    leaky = [(jobs, {**memory, "agent": memory["agent"] + jobs * 625}) for jobs, memory in steady]
    assert not judge_memory(steady, LEFT_BY_A_JOB_MAX)
    assert len(judge_memory(leaky, LEFT_BY_A_JOB_MAX)) == 1
    rest = {"agent": {"descriptors": 40, "threads": 9, "zombies": 0}}
    assert not judge_rest(rest, rest)
    assert len(judge_rest(rest, {"agent": {"descriptors": 60, "threads": 9, "zombies": 1}})) == 2


def memory_of(pid):
    """What is its own alone: files that it maps grow until they are full, and are then let go."""
    return int(status(pid, "RssAnon")) << 10


def zombies_of(pid):
    return sum(state == "Z" for _, state in children_of(pid))


def size_of(folder):
    files = [os.path.join(inside, name) for inside, _, names in os.walk(folder) for name in names]
    total = 0
    for file in files:
        try:
            total += os.stat(file).st_blocks * 512
        except FileNotFoundError:
            pass  # it was forgotten meanwhile
    return len(files), total


class Soak:
    def __init__(self, folder):
        self.environment = environment_in(folder)
        self.brood("run", "--", "true")
        agent = json.loads(self.brood("agent", "status", "-o", "json"))
        self.pids = {"agent": agent["pid"], "supervisor": agent["supervisorPid"], "parent": agent["parents"][0]["pid"]}
        state = self.environment["BROOD_STATE_DIR"]
        self.state = os.path.join(state, os.listdir(state)[0])
        self.jobs = 0

    def brood(self, *words):
        return expect_brood(self.environment, *words, timeout=PATIENCE)

    def start(self, words):
        return subprocess.Popen([BROOD, "run", "--each", "-", *words], env=self.environment, stdin=subprocess.PIPE,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, bufsize=1)

    def end(self, runs):
        for kind, run in runs.items():
            _, said = run.communicate(timeout=PATIENCE)
            assert run.returncode == 0, f"{kind}: {run.returncode}: {said[-2000:]}"

    def warm_up(self):
        runs = {kind: self.start(words) for kind, (_, _, words) in LOAD.items()}
        for kind, (_, count, _) in LOAD.items():
            runs[kind].stdin.write("".join(f"{i}\n" for i in range(count)))
        self.end(runs)

    def snapshots(self):
        return {name for name in os.listdir(self.state + "/journal") if name.endswith(".snapshot")}

    def settle(self):
        before = self.snapshots()
        deadline = time.monotonic() + PATIENCE
        while self.snapshots() <= before:
            assert time.monotonic() < deadline, "no snapshot is written"
            self.load(SETTLE_SECONDS, SETTLE_FASTER)

    def cancel_one(self):
        job = self.brood("run", "-d", "--", "sleep", "600").strip()
        self.brood("cancel", "--grace", "1s", job)

    def rest(self):
        """What each process has when nothing runs."""
        wait_until("jobs do not end", lambda: not any(
            int(json.loads(self.brood("hosts", "-o", "json"))["hosts"][0].get(what, 0))
            for what in ("processes", "threads", "queued")), PATIENCE)
        counts = {}
        for process, pid in self.pids.items():
            counts[process] = {"descriptors": len(os.listdir(f"/proc/{pid}/fd")),
                               "threads": int(status(pid, "Threads")), "zombies": zombies_of(pid)}
        return counts

    def load(self, seconds, faster=1):
        """At so many times the rate, for so long; a sample each second."""
        runs = {kind: self.start(words) for kind, (_, _, words) in LOAD.items()}
        samples = []
        begin = time.monotonic()
        for second in range(seconds):
            for kind, (rate, _, _) in LOAD.items():
                runs[kind].stdin.write("".join(f"{i}\n" for i in range(rate * faster)))
            self.cancel_one()
            self.jobs += RATE * faster + 1
            # The rate: until the next second begins.
            select.select([], [], [], max(0, begin + second + 1 - time.monotonic()))
            samples.append((self.jobs, {process: memory_of(pid) for process, pid in self.pids.items()}))
        self.end(runs)
        return samples

    def judge_disk(self, jobs, before):
        """The same of the disk."""
        breaches = []
        _, journal = size_of(self.state + "/journal")
        files, spool = size_of(self.state + "/spool")
        grown = (journal - before) / jobs
        print(f"  disk: journal {journal >> 10} KiB, {grown:.0f} bytes a job; spool {files} files, {spool >> 10} KiB")
        if journal > JOURNAL_BYTES_MAX:
            breaches.append(f"the journal has {journal} bytes; at most {JOURNAL_BYTES_MAX}")
        if grown > JOURNAL_BYTES_PER_JOB_MAX + (16 << 20) / jobs:
            breaches.append(f"each job makes the journal {grown:.0f} bytes longer")
        if files > SPOOL_FILES_MAX:
            breaches.append(f"the spool has {files} files; at most {SPOOL_FILES_MAX}")
        return breaches


def main(seconds):
    with contextlib.redirect_stdout(io.StringIO()):
        check_judges()
    with own_folder() as folder:
        soak = Soak(folder)
        soak.warm_up()
        soak.settle()
        before = soak.rest()
        _, journal = size_of(soak.state + "/journal")
        first = soak.jobs
        samples = soak.load(seconds)
        after = soak.rest()
        print(f"{soak.jobs - first} jobs in {seconds} s:")
        limits = LEFT_BY_A_JOB_MAX if seconds < LONG_SECONDS else LEFT_IN_A_LONG_RUN_MAX
        breaches = judge_memory(samples, limits) + judge_rest(before, after) + soak.judge_disk(soak.jobs - first, journal)
        soak.brood("agent", "stop")
    for breach in breaches:
        print("BREACH: " + breach)
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 60))

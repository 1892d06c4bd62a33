#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Many children and many threads of one parent at once: each is seen, and each ends.

Usage: scale_test.py [HOSTS JOBS]...; one lab for each pair, with JOBS forks and JOBS threads on
each of its HOSTS. BROOD_BIN_DIR names the folder of the programs.
"""

import collections
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../testing"))
from local_world import BROOD, environment_in, expect_brood, own_folder  # noqa: E402
from proc import children_of, wait_until  # noqa: E402

# What does not come about by then never will: a fork takes a millisecond.
SECONDS = 100


class Lab:
    """A lab in that folder, which leaves nothing."""

    def __init__(self, folder, hosts):
        self.folder = folder
        self.environment = environment_in(folder)
        self.hosts = self.brood("lab", "up", "-n", str(hosts)).split()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.brood("lab", "down")

    def brood(self, *words):
        return expect_brood(self.environment, *words, timeout=SECONDS)

    def start(self, host, mode, lines):
        words = [BROOD, "run", "-w", host, "--mode", mode, "--each", lines, "--call", "demo.hold", "3600", "{}"]
        return subprocess.Popen(words, env=self.environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def live(self):
        """Jobs that each host says it runs: as processes, and as threads."""
        return [(host["processes"], host["threads"])
                for host in json.loads(self.brood("lab", "status", "-o", "json"))["hosts"]]

    def wait_for(self, live):
        wait_until(f"there are not {live} on each", lambda: self.live() == [live] * len(self.hosts), SECONDS)

    def jobs(self, host, *words):
        answer = json.loads(self.brood("ps", "-w", host, "-n", "100000", "-o", "json", *words))
        return answer["jobs"] if isinstance(answer, dict) else answer


def look_at(lab, host, count):
    """All are seen, by brood and by /proc alike."""
    jobs = []

    def all_run():
        jobs[:] = lab.jobs(host, "-l")
        return all(job["state"] == "RUNNING" for job in jobs)

    wait_until("some do not run", all_run, SECONDS)
    forks = [job for job in jobs if job["mode"] == "FORK"]
    threads = [job for job in jobs if job["mode"] == "THREAD"]
    assert (len(forks), len(threads)) == (count, count), (len(forks), len(threads))
    parents = {job["ppid"] for job in forks} | {job["pid"] for job in threads}
    assert len(parents) == 1, f"more parents than one: {parents}"
    parent = parents.pop()
    pids = {job["pid"] for job in forks}
    assert len(pids) == count and pids <= {pid for pid, _ in children_of(parent)}
    tids = {job["tid"] for job in threads}
    assert len(tids) == count and tids <= set(map(int, os.listdir(f"/proc/{parent}/task")))
    words = collections.Counter(word for line in lab.brood("tree", "-w", host).splitlines()
                                for word in line.replace(",", "").replace("(", "").split())
    assert (words["fork"], words["thread"]) == (count, count), (words["fork"], words["thread"])


def run(hosts, count):
    begin = time.monotonic()
    with own_folder() as folder, Lab(folder, hosts) as lab:
        lines = os.path.join(lab.folder, "lines")
        with open(lines, "w", encoding="utf-8") as file:
            file.writelines(f"{number}\n" for number in range(count))
        runs = [lab.start(host, mode, lines) for host in lab.hosts for mode in ("fork", "thread")]
        try:
            lab.wait_for((count, count))
            started = time.monotonic() - begin
            for host in lab.hosts:
                look_at(lab, host, count)
        finally:
            for program in runs:
                program.send_signal(signal.SIGTERM)
            codes = {program.wait(SECONDS) for program in runs}
        assert codes == {-signal.SIGTERM}, codes
        lab.wait_for((0, 0))
        for host in lab.hosts:
            ends = collections.Counter((job["state"], job["outcome"]) for job in lab.jobs(host))
            assert ends == {("ENDED", "CANCELLED"): 2 * count}, ends
    print(f"{hosts} hosts, {count} forks and {count} threads on each: all lived after {started:.1f} s, "
          f"all had ended after {time.monotonic() - begin:.1f} s")


if __name__ == "__main__":
    numbers = list(map(int, sys.argv[1:]))
    for index in range(0, len(numbers), 2):
        run(numbers[index], numbers[index + 1])

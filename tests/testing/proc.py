# SPDX-License-Identifier: Apache-2.0
"""What the kernel says of processes, and waits that end, for tests in Python."""

import contextlib
import os
import select
import signal
import time

SECONDS = 60


def wait_until(what, holds, seconds=SECONDS):
    """Looks again and again; fails with that sentence when it does not come about."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what
        select.select([], [], [], 0.001)  # the next look


def kill(pid):
    """Its end, seen; whoever waits for it takes it away later."""
    pidfd = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        assert select.select([pidfd], [], [], SECONDS)[0], f"process {pid} does not end"
    finally:
        os.close(pidfd)


def pids():
    """Of all that are there now."""
    return map(int, filter(str.isdigit, os.listdir("/proc")))


def processes_with(text):
    """{pid: command line} of living processes, but this one, whose words or environment have the text."""
    found = {}
    for pid in pids():
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as words, open(f"/proc/{pid}/environ", "rb") as environment:
                line = words.read()
                if text.encode() in line + b"\0" + environment.read() and pid != os.getpid():
                    found[pid] = line.replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            pass  # it has ended meanwhile
    return found


def end_all_with(text):
    """Kills those; the command lines of those that were there."""
    ended = []
    while found := processes_with(text):
        for pid, line in found.items():
            ended.append(line)
            with contextlib.suppress(ProcessLookupError):
                kill(pid)
    return ended


def status(pid, field):
    """The first word of that field of /proc/PID/status; `pid` may be PID/task/TID."""
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name == field:
                return value.split()[0]
    raise KeyError(field)


def stat(pid):
    """The fields of /proc/PID/stat behind the name: state, parent, …"""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        return file.read().rpartition(")")[2].split()


def children_of(parent):
    """(pid, state) of each, zombies included."""
    children = set()
    for pid in pids():
        try:
            state, ppid = stat(pid)[:2]
        except OSError:
            continue  # it has ended meanwhile
        if int(ppid) == parent:
            children.add((pid, state))
    return children

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A page whose commands are run: what it shows must be what they print.

Usage: page_test.py [--write] PAGE; BROOD_BIN_DIR names the folder of the programs.

Every indented block that begins with "$ " is run, in order, with agents of its own; the lines after a command are its output.
Numbers, ids, times and addresses may differ from one run to the next. --write puts the present output into the page.
"""

import contextlib
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../testing"))
from local_world import environment_in, own_folder, run_brood  # noqa: E402

BIN = os.environ["BROOD_BIN_DIR"]
SECONDS = 60
INDENT = "    "
# What may differ, and what stands for it. Small numbers are what the page is about: they must be the same.
PLACEHOLDERS = (
    (r"\b\d\d:\d\d:\d\d\.\d+", "TIME"),
    (r"0x[0-9a-f]+", "ADDRESS"),
    (r"\b\d+(\.\d+)? (us|ms|s|KiB)\b", "AMOUNT"),
    (r"\b\d+(\.\d+)?e-?\d+\b|\b0\.\d+\b", "FRACTION"),
    # One in twelve has no digit: then what stands around it tells.
    (r"\b(?=[a-z]*[2-7])[a-z2-7]{12}\b|\b[a-z2-7]{12}\b(?= |$)|(?<=/)[a-z2-7]{12}\b", "ID"),
    (r"\b\d{3,}\b", "NUMBER"),
    (r"/\S*/brood-parent", "PATH/brood-parent"),
    (r" +", " "),
    (r"-{2,}", "-"),
)


def normal(line):
    for pattern, stands_for in PLACEHOLDERS:
        line = re.sub(pattern, stands_for, line)
    return line.rstrip()


def blocks(lines):
    """(first, end) of each block of commands."""
    at = 0
    while at < len(lines):
        if not lines[at].startswith(INDENT + "$ "):
            at += 1
            continue
        end = at
        while end < len(lines) and lines[end].startswith(INDENT):
            end += 1
        yield at, end
        at = end


def run(commands, environment):
    """What each command of a block prints, on either stream; variables are kept within the block."""
    mark = "=== the next command ==="
    script = "".join(f"{{ {command}\n}} 2>&1\necho '{mark}'\n" for command in commands)
    answer = subprocess.run(["sh"], input=script, env=environment, capture_output=True, text=True,
                            timeout=SECONDS * len(commands), check=False)
    # Where the programs are is nobody's business.
    outputs = answer.stdout.replace(BIN, "/usr/local/bin").split(mark + "\n")
    return [output.splitlines() for output in outputs[:len(commands)]]


@contextlib.contextmanager
def agents_of(folder):
    """The environment of a page's commands; what they started is ended."""
    environment = environment_in(folder) | {"PATH": BIN + ":" + os.environ["PATH"]}
    try:
        yield environment
    finally:
        run_brood(environment, "lab", "down")
        run_brood(environment, "agent", "stop")


def main():
    write = sys.argv[1] == "--write"
    page = sys.argv[-1]
    with open(page, encoding="utf-8") as file:
        lines = file.read().splitlines()
    different = []
    result = []
    done = 0
    with own_folder() as folder, agents_of(folder) as environment:
        for first, end in blocks(lines):
            result += lines[done:first]
            done = end
            block = [line[len(INDENT):] for line in lines[first:end]]
            commands = [line[2:] for line in block if line.startswith("$ ")]
            shown = []
            for line in block:
                if line.startswith("$ "):
                    shown.append([])
                else:
                    shown[-1].append(line)
            for command, was, now in zip(commands, shown, run(commands, environment),
                                         strict=True):
                result += [INDENT + "$ " + command] + [(INDENT + line).rstrip() for line in now]
                if [normal(line) for line in was] != [normal(line) for line in now]:
                    different.append(f"$ {command}\nthe page shows:\n" + "\n".join(was) +
                                     "\nit prints:\n" + "\n".join(now))
    if write:
        with open(page, "w", encoding="utf-8") as file:
            file.write("\n".join(result + lines[done:]) + "\n")
        return 0
    if done == 0:
        different.append(f"{page} shows no command")
    print("\n\n".join(different))
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())

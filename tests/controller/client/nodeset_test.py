# SPDX-License-Identifier: Apache-2.0
"""Host sets mean what they mean to ClusterShell, whose nodeset is the oracle.

  nodeset_test.py [SETS [SEED]]     how many sets are made up (3000), and from which seed
"""

import os
import random
import re
import subprocess
import sys
import unittest

try:
    from ClusterShell.NodeSet import NodeSet, NodeSetException
except ImportError:
    print("SKIPPED: there is no ClusterShell for this Python (python3-clustershell)")
    sys.exit(77)

SETS = 3000
SEED = 1


class Maker:
    """Makes up sets; some are malformed."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def number(self, width):
        text = str(self.random.randrange(0, 120))
        return text.zfill(width) if width else text

    def range(self):
        width = self.random.choice([0, 0, 0, 2, 3])
        first = self.number(width)
        kind = self.random.random()
        if kind < 0.4:
            return first
        last = int(first) + self.random.randrange(0, 12)
        text = first + "-" + str(last).zfill(len(first) if first[0] == "0" else 0)
        if kind > 0.85:
            text += "/" + str(self.random.randrange(1, 5))
        if kind > 0.99:
            text = self.random.choice([first + "-", "9-1", "1-03", "1-3/0"])
        return text

    def bracket(self):
        return "[" + ",".join(self.range() for _ in range(self.random.randrange(1, 4))) + "]"

    def name(self):
        kind = self.random.random()
        head = self.random.choice(["n", "n", "n", "node", "r", "a-b"])
        if kind < 0.2:
            return head
        if kind < 0.35:
            return head + self.number(self.random.choice([0, 2]))
        if kind < 0.9:
            return head + self.bracket() + self.random.choice(["", "", "x", ".lan"])
        return head + self.bracket() + "n" + self.bracket()

    def set(self):
        text = self.name()
        for _ in range(self.random.randrange(0, 4)):
            text += self.random.choice(",,,!&^") + self.name()
        if self.random.random() < 0.02:
            text = self.random.choice([text + ",", "!" + text, text.replace("]", "", 1), text + "&"])
        return text


def parts(folded):
    """Of a folded set: what stands between its outer commas."""
    return sorted(re.findall(r"(?:[^,\[]|\[[^\]]*\])+", folded))


class HostSets(unittest.TestCase):
    def test_mean_what_they_mean_to_nodeset(self):
        print(f"seed {SEED}, {SETS} sets")
        maker = Maker(SEED)
        sets = [maker.set() for _ in range(SETS)]
        reader = os.path.join(os.environ["BROOD_TESTS_DIR"], "host_set_reader")
        told = subprocess.run([reader], input="\n".join(sets) + "\n", capture_output=True, text=True, check=True,
                              timeout=60).stdout.splitlines()
        self.assertEqual(len(told), SETS)
        refused = several = 0
        for text, ours in zip(sets, told):
            with self.subTest(set=text):
                try:
                    theirs = NodeSet(text)
                except NodeSetException as error:
                    refused += 1
                    self.assertTrue(ours.startswith("!"), f"nodeset refuses it: {error}; ours: {ours}")
                    continue
                self.assertFalse(ours.startswith("!"), ours)
                names, folded = ours.split("|")
                names = names.split()
                self.assertEqual(len(set(names)), len(names), "each name stands once")
                self.assertEqual(sorted(names), sorted(theirs))
                self.assertEqual(sorted(NodeSet(folded)), sorted(names), f"'{folded}' is another set")
                # Of several numbers there may be more than one shortest text.
                if not re.search(r"\d[^,]*[a-z][^,]*\d", re.sub(r"\[[^\]]*\]", "0", str(theirs))):
                    self.assertEqual(parts(folded), parts(str(theirs)))
                else:
                    several += 1
        self.assertGreater(refused, SETS // 200, "too few malformed sets were made up")
        self.assertGreater(several, SETS // 20)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments:
        SETS = int(arguments.pop(0))
    if arguments:
        SEED = int(arguments.pop(0))
    unittest.main(argv=sys.argv[:1])

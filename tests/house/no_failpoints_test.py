#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is installed has no failpoint and no planted bug: nothing of their names is in the programs.

Usage: no_failpoints_test.py SOURCE CONTROL PROGRAM…; CONTROL is a program that holds the names of all points.
"""

import os
import re
import sys
import unittest


def read(path):
    with open(path, "rb") as file:
        return file.read()


class NoFailpointsTest(unittest.TestCase):
    source = control = ""
    programs = []

    def names(self):
        rows = read(os.path.join(self.source, "tests", "chaos", "failpoint_list.cc"))
        return set(re.findall(rb'^ *\{"([a-z_.]+)", k', rows, re.M))

    def test_this_test_sees_a_name_that_is_there(self):
        self.assertGreater(len(self.names()), 40)
        control = read(self.control)
        self.assertEqual([name for name in self.names() if name not in control], [])

    def test_no_program_has_one(self):
        for program in self.programs:
            text = read(program)
            variables = {b"BROOD_FAILPOINTS", b"BROOD_PLANTED_BUG"}
            self.assertEqual([name for name in self.names() | variables if name in text], [], program)


if __name__ == "__main__":
    NoFailpointsTest.source, NoFailpointsTest.control, *NoFailpointsTest.programs = sys.argv[1:]
    unittest.main(argv=sys.argv[:1])

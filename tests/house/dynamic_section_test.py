#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Supervisor and parent are lean: they load no gRPC, no Abseil, no full protobuf.

Usage: dynamic_section_test.py READELF SUPERVISOR PARENT CONTROL…

Their dynamic sections may name only what is listed, and what those load in turn must not bring
the rest in. CONTROL is a program that does link gRPC: the test must see it there.
"""

import re
import subprocess
import sys
import unittest

ALLOWED = re.compile(r"^(?:libc|libm|libgcc_s|libstdc\+\+|libdl|libpthread|librt|libresolv|ld-linux[\w-]*|"
                     r"libprotobuf-lite|libisal|libasan|libubsan|libtsan)\.so[.\d]*$")
HEAVY = re.compile(r"^lib(?:grpc|absl|protobuf\.|re2|cares|ssl|crypto|spdlog|fmt)")


def needed(readelf, program):
    answer = subprocess.run([readelf, "--dynamic", "--wide", program], capture_output=True, text=True, check=True)
    return re.findall(r"\(NEEDED\).*\[(.*)\]", answer.stdout)


def loaded(program):
    """Everything that the dynamic linker would load, at any depth."""
    answer = subprocess.run(["ldd", program], capture_output=True, text=True, check=True)
    return [line.split()[0].rsplit("/", 1)[-1] for line in answer.stdout.splitlines() if line.strip()]


class DynamicSectionTest(unittest.TestCase):
    readelf = ""
    lean = []
    controls = []

    def test_this_test_sees_what_a_heavy_program_needs(self):
        for program in self.controls:
            self.assertTrue([name for name in needed(self.readelf, program) if not ALLOWED.match(name)], program)
            self.assertTrue([name for name in loaded(program) if HEAVY.match(name)], program)

    def test_they_name_only_what_is_listed(self):
        for program in self.lean:
            names = needed(self.readelf, program)
            self.assertIn("libc.so.6", names, program)
            self.assertEqual([name for name in names if not ALLOWED.match(name)], [], program)

    def test_nothing_heavy_comes_in_behind(self):
        for program in self.lean:
            self.assertEqual([name for name in loaded(program) if HEAVY.match(name)], [], program)


if __name__ == "__main__":
    DynamicSectionTest.readelf = sys.argv[1]
    DynamicSectionTest.lean = sys.argv[2:4]
    DynamicSectionTest.controls = sys.argv[4:]
    unittest.main(argv=sys.argv[:1])

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds what a machine can hold of docs/style.md.

Every rule is a function from (path, text) to sentences on what is wrong; each has a test that
it can fail. `tidy_test.py` runs those tests, then all rules over the tree.
"""

import os
import re
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SKIPPED_FOLDERS = {".git", ".cache", "__pycache__", "third_party"}
CPP = (".cc", ".h", ".hpp")
CODE = CPP + (".py", ".sh", ".proto", ".cmake")

SOURCE_LINES_MAX = 400
# A list of cases, which nobody reads from top to bottom.
TEST_LINES_MAX = 500

BANNED = {"manager", "handler", "helper", "util", "utils", "worker", "slave", "master", "wrapper",
          "misc", "data", "info", "impl"}
# Names that are not ours.
BORROWED = {"PidfdInfo": "the kernel's struct pidfd_info"}

# (what must not be included, where it must not, where it may all the same, why)
LAYERS = [
    ("grpcpp/", "", ("agent/rpc/", "controller/client/", "common/rpc/", "tests/"),
     "gRPC is for agent/rpc, controller/client and common/rpc"),
    ("grpc/", "", ("agent/rpc/", "controller/client/", "common/rpc/", "tests/"),
     "gRPC is for agent/rpc, controller/client and common/rpc"),
    ("agent/", "controller/", (), "the controller does not know the agent's insides"),
    ("controller/", "agent/", (), "the agent does not know the controller"),
    ("agent/", "common/", (), "common is below agent"),
    ("controller/", "common/", (), "common is below controller"),
    ("tests/", "agent/", (), "programs do not know their tests"),
    ("tests/", "common/", (), "programs do not know their tests"),
    ("tests/", "controller/", (), "programs do not know their tests"),
] + [(library, lean, (), "supervisor and parent are lean: no Abseil, no full protobuf, no iostream")
     for lean in ("agent/parent/", "agent/supervisor/", "agent/outbox/", "common/base/")
     for library in ("absl/", "google/protobuf/", "brood/v1/", "spdlog/", "iostream")]


def words_of(name):
    """The words of a name in any case: HTTPServer_main -> http server main."""
    spaced = re.sub(r"([a-z0-9])([A-Z])|([A-Z])(?=[A-Z][a-z])", r"\1\3 \2", name)
    return [word.lower() for word in re.split(r"[^A-Za-z0-9]+", spaced) if word]


def length(path, text):
    lines = text.count("\n")
    limit = TEST_LINES_MAX if path.startswith("tests/") else SOURCE_LINES_MAX
    # A promise to others is not split for its length.
    if path.endswith(CODE) and not path.endswith(".proto") and lines > limit:
        yield f"{lines} lines; at most {limit}: split it by nouns"


def license_line(path, text):
    if path.endswith(CPP + (".py", ".sh")) and "SPDX-License-Identifier: Apache-2.0" not in text[:200]:
        yield "no SPDX line at its head"


def file_name(path, text):
    for word in words_of(os.path.splitext(os.path.basename(path))[0]):
        if word in BANNED:
            yield f"its name has '{word}', which says nothing; name what it is"


def type_names(path, text):
    if not path.endswith(CPP):
        return
    for name in re.findall(r"^\s*(?:class|struct|enum class|enum|union)\s+(?:\[\[\w+\]\]\s+)?(\w+)", text, re.M):
        for word in words_of(name):
            if word in BANNED and name not in BORROWED:
                yield f"type {name} has '{word}', which says nothing; name what it is"


def sleeps(path, text):
    if not path.startswith("tests/") or path == "tests/tidy_test.py":
        return
    banned = r"\b(?:this_thread::sleep_\w+|usleep|nanosleep)\b" if path.endswith(CPP) else r"\btime\.sleep\b"
    for word in re.findall(banned, text):
        yield f"{word} in a test; wait for what you mean: a descriptor, a condition, an end"


def layers(path, text):
    if not path.endswith(CPP):
        return
    included = re.findall(r'^\s*#\s*include\s+[<"]([^>"]+)[>"]', text, re.M)
    for library, where, allowed, why in LAYERS:
        if not path.startswith(where) or path.startswith(tuple(allowed) or "\0"):
            continue
        for file in included:
            if file == library or (library.endswith("/") and file.startswith(library)):
                yield f"includes {file}: {why}"


def pragma_once(path, text):
    if path.endswith((".h", ".hpp")) and "#pragma once" not in text and "#ifndef" not in text:
        yield "a header without #pragma once"


def open_ends(path, text):
    # Written so that this file has none itself.
    for word in re.findall(r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX)\b", text):
        yield f"'{word}': do it, or write an issue"


def markdown_heads(path, text):
    if not path.endswith(".md"):
        return
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    heads = len(re.findall(r"^# ", prose, re.M))
    if heads != 1:
        yield f"{heads} heads of the first level; one says what the page is"


def links(path, text):
    if not path.endswith(".md"):
        return
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        if not os.path.exists(os.path.join(ROOT, os.path.dirname(path), target)):
            yield f"links to {target}, which is not there"


def trailing_blanks(path, text):
    if path.endswith(CODE + (".md", ".txt")):
        for number, line in enumerate(text.split("\n"), 1):
            if line != line.rstrip():
                yield f"line {number} ends with blanks"
        if text and not text.endswith("\n"):
            yield "does not end with a line feed"


RULES = [length, license_line, file_name, type_names, sleeps, layers, pragma_once, open_ends,
         markdown_heads, links, trailing_blanks]


def files():
    for folder, folders, names in os.walk(ROOT):
        inside = os.path.relpath(folder, ROOT)
        folders[:] = sorted(name for name in folders if name not in SKIPPED_FOLDERS
                            and not (inside == "." and name.startswith("build")))
        for name in sorted(names):
            path = os.path.normpath(os.path.join(inside, name))
            try:
                with open(os.path.join(ROOT, path), encoding="utf-8") as file:
                    yield path, file.read()
            except UnicodeDecodeError:
                yield path, ""


class RuleTest(unittest.TestCase):
    """Each rule can fail."""

    def wrong(self, rule, path, text):
        return list(rule(path, text)) != []

    def test_length(self):
        self.assertTrue(self.wrong(length, "agent/a.cc", "\n" * 401))
        self.assertFalse(self.wrong(length, "agent/a.cc", "\n" * 400))

    def test_license(self):
        self.assertTrue(self.wrong(license_line, "a.cc", "int x;\n"))
        self.assertFalse(self.wrong(license_line, "a.cc", "// SPDX-License-Identifier: Apache-2.0\n"))

    def test_names(self):
        self.assertTrue(self.wrong(file_name, "agent/string_util.cc", ""))
        self.assertFalse(self.wrong(file_name, "agent/utility_poles.cc", ""))
        self.assertTrue(self.wrong(type_names, "a.h", "class JobManager {};\n"))
        self.assertTrue(self.wrong(type_names, "a.h", "  struct [[nodiscard]] Info {};\n"))
        self.assertFalse(self.wrong(type_names, "a.h", "class Database {};\nstruct Mastery {};\n"))

    def test_sleeps(self):
        self.assertTrue(self.wrong(sleeps, "tests/a_test.cc", "std::this_thread::sleep_" + "for(x);"))
        self.assertFalse(self.wrong(sleeps, "agent/a.cc", "std::this_thread::sleep_" + "for(x);"))

    def test_layers(self):
        grpc = "#include <grpcpp/grpcpp.h>\n"
        self.assertTrue(self.wrong(layers, "agent/core/a.cc", grpc))
        self.assertFalse(self.wrong(layers, "agent/rpc/a.cc", grpc))
        self.assertTrue(self.wrong(layers, "controller/cli/a.cc", '#include "agent/core/core.h"\n'))
        self.assertTrue(self.wrong(layers, "agent/rpc/a.cc", '#include "controller/client/a.h"\n'))
        self.assertTrue(self.wrong(layers, "agent/parent/a.cc", "#include <iostream>\n"))
        self.assertTrue(self.wrong(layers, "common/base/a.h", '#include "absl/status/status.h"\n'))

    def test_the_rest(self):
        self.assertTrue(self.wrong(pragma_once, "a.h", ""))
        self.assertTrue(self.wrong(open_ends, "a.cc", "// TO" + "DO: later\n"))
        self.assertTrue(self.wrong(markdown_heads, "a.md", "# a\n\n# b\n"))
        self.assertFalse(self.wrong(markdown_heads, "a.md", "# a\n```sh\n# b\n```\n"))
        self.assertTrue(self.wrong(links, "README.md", "[x](docs/nowhere.md#there)"))
        self.assertFalse(self.wrong(links, "README.md", "[x](https://example.org) [y](LICENSE)"))
        self.assertTrue(self.wrong(trailing_blanks, "a.cc", "int x; \n"))


class TreeTest(unittest.TestCase):
    """The tree keeps every rule."""

    def test_tree(self):
        broken = [f"{path}: {sentence}" for path, text in files() for rule in RULES
                  for sentence in rule(path, text)]
        self.assertEqual(broken, [], "\n" + "\n".join(broken))


if __name__ == "__main__":
    sys.exit(0 if unittest.main(exit=False).result.wasSuccessful() else 1)

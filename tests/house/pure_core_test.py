#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The decision cores are pure: their objects ask for no clock, thread, file, random number or process.

Usage: pure_core_test.py NM CXX LIBRARY…

What an object may ask for is listed; everything else fails, so that nobody has to think of all
that could be wrong. The test proves first, with objects made for it, that it can fail.
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest

ALLOWED = re.compile(r"""(?:
    # The language: allocation, exceptions of others, start-up of statics, sanitizers.
    operator\ (?:new|delete)(?:\[\])?\(.*|_Unwind_Resume|__cxa_\w+|__gxx_personality_v0|__dso_handle|
    _GLOBAL_OFFSET_TABLE_|__clang_call_terminate|__stack_chk_fail|__libc_single_threaded|
    __(?:asan|ubsan|tsan|sanitizer|lsan)_\w+|vtable\ for\ __cxxabiv1::.*|
    # Bytes, texts and numbers.
    mem(?:chr|cmp|cpy|move|set|rchr)|bcmp|str(?:cmp|ncmp|len|chr|tod|tof|tol|toll|toul|toull)|
    snprintf|localeconv|__errno_location|abort|round|
    sigabbrev_np|sigdescr_np|strerrordesc_np|strerrorname_np|
    # The standard library's containers, texts, numbers and errors.
    std::__throw_\w+\(.*|std::_Hash_bytes\(.*|std::__detail::_Prime_rehash_policy::.*|
    std::_Rb_tree_\w+\(.*|std::__detail::_List_node_base::.*|std::(?:from|to)_chars\(.*|
    (?:(?:vtable|typeinfo|typeinfo\ name)\ for\ )?std::(?:\w*exception|\w+_error|bad_\w+|type_info)(?:::.*|@.*)?|
    std::terminate\(\)|std::__exception_ptr::.*|std::__glibcxx_assert_fail.*|std::ios_base::Init::.*|
    std::nothrow|
    (?:std::__cxx11::|.*\ std::|std::)basic_string.*|void\ std::__cxx11::basic_string.*|
    # Messages: values, and the failures of their own checks.
    .*google::protobuf::.*|.*brood::v1::.*|.*brood::internal::v1::.*|.*google::rpc::.*|.*nlohmann::.*|
    descriptor_table_.*|typeinfo\ for\ [a-z ]+|
    # Errors as values.
    brood::(?:FieldError|ErrnoError|ErrorCodeName|Crc32c|Crc64)\(.*
)""", re.VERBOSE)

# Things of the world that hide behind an allowed name.
NEVER = re.compile(r"^brood::(?!v1::|internal::v1::|FieldError\(|ErrnoError\(|ErrorCodeName\(|Crc32c\(|Crc64\()"
                   r"|google::protobuf::(?:io|util::TimeUtil::GetCurrentTime|compiler)|basic_\w*fstream|filebuf"
                   r"|std::(?:thread|mutex|condition_variable|chrono|filesystem|random_device)\b")


def symbols(nm, kind, file):
    answer = subprocess.run([nm, kind, "--demangle", file], capture_output=True, text=True, check=True)
    for line in answer.stdout.splitlines():
        found = re.match(r"^(?:[0-9a-f]+)?\s+([A-Za-z]) (.*)$", line)
        # 'w' and 'v' are weak: the linker does not need them, but a call to one is a call.
        if found and (kind == "--defined-only" or found[1] in "Uwv"):
            yield found[2].split("@")[0]


def impure(nm, libraries):
    """Symbols that the libraries ask for, have not among themselves, and may not have."""
    defined = {symbol for library in libraries for symbol in symbols(nm, "--defined-only", library)}
    asked = {symbol for library in libraries for symbol in symbols(nm, "--undefined-only", library)}
    return sorted(symbol for symbol in asked - defined
                  if not ALLOWED.fullmatch(symbol) or NEVER.search(symbol))


WORLD = {
    "a clock": "#include <chrono>\nlong f() { return std::chrono::system_clock::now().time_since_epoch().count(); }",
    "a C clock": "#include <time.h>\nlong f() { timespec t; clock_gettime(CLOCK_BOOTTIME, &t); return t.tv_sec; }",
    "a thread": "#include <thread>\nvoid f() { std::thread([] {}).join(); }",
    "a lock": "#include <pthread.h>\nvoid f(pthread_mutex_t* m) { pthread_mutex_lock(m); }",
    "a file": "#include <fcntl.h>\nint f() { return open(\"/x\", O_RDONLY); }",
    "a stream": "#include <fstream>\nbool f() { return std::ifstream(\"/x\").good(); }",
    "output": "#include <cstdio>\nvoid f() { std::puts(\"x\"); }",
    "a random number": "#include <random>\nunsigned f() { return std::random_device()(); }",
    "a process": "#include <unistd.h>\nint f() { return fork(); }",
    "a pid": "#include <unistd.h>\nint f() { return getpid(); }",
    "the environment": "#include <cstdlib>\nchar* f() { return std::getenv(\"x\"); }",
    "our own function that takes a message": "#include <google/protobuf/duration.pb.h>\n"
                     "namespace brood { void Now(google::protobuf::Duration*); }\n"
                     "void f(google::protobuf::Duration* d) { brood::Now(d); }",
    "our own clock": "#include <cstdint>\nnamespace brood { int64_t BootTimeNanos() noexcept; }\n"
                     "long f() { return brood::BootTimeNanos(); }",
}
PURE = ("#include <map>\n#include <string>\n#include <vector>\n"
        "std::map<std::string, std::vector<int>> g;\n"
        "void f(const std::string& a) { g[a].push_back(static_cast<int>(a.size())); }")


class PureCoreTest(unittest.TestCase):
    nm = cxx = ""
    libraries = []

    def compiled(self, folder, source):
        path = os.path.join(folder, "probe")
        with open(path + ".cc", "w", encoding="utf-8") as file:
            file.write(source + "\n")
        subprocess.run([self.cxx, "-std=c++20", "-O1", "-c", path + ".cc", "-o", path + ".o"], check=True)
        return path + ".o"

    def test_this_test_can_fail(self):
        with tempfile.TemporaryDirectory() as folder:
            for what, source in WORLD.items():
                with self.subTest(what):
                    self.assertNotEqual(impure(self.nm, [self.compiled(folder, source)]), [])

    def test_this_test_can_pass(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(impure(self.nm, [self.compiled(folder, PURE)]), [])

    def test_the_libraries_hold_code(self):
        for library in self.libraries:
            self.assertGreater(len(list(symbols(self.nm, "--defined-only", library))), 10, library)

    def test_the_cores_ask_for_nothing_of_the_world(self):
        self.assertEqual(impure(self.nm, self.libraries), [],
                         "a core decides; give it what it needs as an input")


if __name__ == "__main__":
    PureCoreTest.nm, PureCoreTest.cxx, *PureCoreTest.libraries = sys.argv[1:]
    unittest.main(argv=sys.argv[:1])

# SPDX-License-Identifier: Apache-2.0
"""Fails if a static library asks for a clock, thread, file, random number or process.

Usage: pure_symbols.py NM LIBRARY…   (NM: the binutils program)
A decision core must give the same answer for the same input: what it may not
call, its object files must not even name.
"""
import re
import subprocess
import sys

# Undefined symbols, demangled and without their version.
FORBIDDEN = re.compile(
    r"""^(
    # clocks
    clock_gettime|gettimeofday|time|times|ftime|clock|nanosleep|clock_nanosleep|sleep|usleep|
    std::chrono::.*::now\(\)|brood::BootTimeNanos.*|timerfd_.*|
    # threads
    pthread_create|std::thread::.*|pthread_(mutex|cond|rwlock)_.*|absl::.*Mutex.*|sem_.*|
    # files and sockets
    open(at)?(64)?|fopen(64)?|creat(64)?|read|write|p(read|write)v?(64)?|mmap(64)?|stat(x|64)?|
    fstat(64)?|opendir|socket|connect|send(msg|to)?|recv(msg|from)?|epoll_.*|poll|select|
    std::basic_[io]?fstream.*|std::basic_filebuf.*|std::filesystem::.*|printf|fprintf|puts|
    # randomness
    s?rand(om)?(_r)?|[dlm]rand48|getrandom|getentropy|arc4random.*|std::random_device.*|
    # processes and the world around them
    getpid|getppid|gettid|fork|vfork|clone3?|exec[lv]p?e?|posix_spawn.*|kill|raise|signal|sigaction|
    waitpid|waitid|wait4|system|popen|syscall|s?getenv|secure_getenv|setenv|gethostname|uname
    )$""",
    re.VERBOSE,
)


def undefined_symbols(nm, library):
    answer = subprocess.run(
        [nm, "--undefined-only", "--demangle", library], capture_output=True, text=True, check=True
    )
    member = "?"
    for line in answer.stdout.splitlines():
        if line.endswith(":"):
            member = line[:-1]
        elif line.strip().startswith("U "):
            yield member, line.strip()[2:].split("@")[0]


def main():
    nm, libraries = sys.argv[1], sys.argv[2:]
    failed = False
    for library in libraries:
        symbols = list(undefined_symbols(nm, library))
        if not symbols:
            print(f"{library}: no undefined symbol at all; is it a library?")
            failed = True
        for member, symbol in symbols:
            if FORBIDDEN.match(symbol):
                print(f"{library}({member}) asks for {symbol}: give it what it needs as an input")
                failed = True
    return 1 if failed else 0


sys.exit(main())

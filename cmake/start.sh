#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# From a bare Debian 12 to a running brood, in one command:
#
#   sh cmake/start.sh demo          build, then run `brood demo`
#   sh cmake/start.sh test [--long] build, then run every test; closes with "N passed, N failed"
#   sh cmake/start.sh build         build, then print the folder of the programs as the last line
#   sh cmake/start.sh tools         only install what .ci/run needs beside this
#
# Installs what is missing (as root, or by sudo) and says what. Progress goes to stderr.
# Test folders and demo state follow TMPDIR; it must not be on a tmpfs.
set -eu

# One list of packages per purpose.
build_packages="
  g++ cmake ninja-build pkg-config make
  libgrpc++-dev libgrpc-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc
  libabsl-dev libre2-dev libc-ares-dev libssl-dev zlib1g-dev
  libcli11-dev libtomlplusplus-dev libspdlog-dev libfmt-dev nlohmann-json3-dev libisal-dev"
test_packages="
  libgtest-dev libgmock-dev libbenchmark-dev binutils procps
  python3 python3-grpcio python3-protobuf python3-clustershell"
tools_packages="
  bash git ccache clang clang-14 clang-format-14 clang-tidy-14 libclang-rt-14-dev"

say() { printf '%s\n' "start.sh: $*" >&2; }
fail() {
  say "$*"
  exit 1
}
usage() {
  sed -n '5,8s/^#   //p' "$0" >&2
  exit 2
}

# Prints those of the packages named that are not installed.
missing_of() {
  for package in "$@"; do
    case $(dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null || true) in
      ii*) ;;
      *) printf '%s ' "$package" ;;
    esac
  done
}

# Installs those of the packages named that are missing.
need() {
  command -v dpkg-query >/dev/null ||
    fail "this is not a Debian: there is no dpkg. Install what these packages of Debian 12 hold, then run cmake yourself:" $*
  missing=$(missing_of "$@")
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" -eq 0 ]; then
    as_root=""
  elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
    as_root="sudo"
  else
    fail "missing, and this user can install nothing. As root, run: apt-get install --no-install-recommends $missing"
  fi
  say "installing: $missing"
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update >&2 ||
    say "apt-get update failed; trying with the lists there are"
  # shellcheck disable=SC2086
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends $missing >&2 ||
    fail "apt-get could not install: $missing"
}

# As many compilers as there are CPUs, and as fit into memory at 1 GiB each (gRPC's headers).
compilers() {
  cpus=$(nproc 2>/dev/null || echo 1)
  fit=$(awk '/^MemAvailable:/ { print int($2 / 1048576) }' /proc/meminfo 2>/dev/null || echo "$cpus")
  if [ "${fit:-0}" -lt 1 ]; then fit=1; fi
  if [ "$fit" -lt "$cpus" ]; then echo "$fit"; else echo "$cpus"; fi
}

# build TESTS: configures and builds the release preset with or without tests.
build() {
  say "building into $programs"
  # A log is easier to read without ninja's one changing line.
  if ! [ -t 2 ]; then export NINJA_STATUS="[%f/%t] "; fi
  cmake --preset release -S "$root" "-DBROOD_TESTS=$1" >&2
  cmake --build "$root/build/release" --parallel "$(compilers)" >&2
}

# Runs ctest and closes with one plain line; the exit code says the same.
run_tests() {
  log=$(mktemp)
  status=0
  # What takes long has the label "long"; `--long` includes it and tells the tests so.
  if [ "$long" = yes ]; then
    export BROOD_LONG=1
    set -- --timeout 3600
  else
    set -- --label-exclude '^long$'
  fi
  { ctest --test-dir "$root/build/release" --output-on-failure --no-tests=error \
      --parallel "$(nproc)" "$@" 2>&1 || echo "start.sh: ctest said no"; } | tee "$log"
  # "97% tests passed, 1 tests failed out of 40"; skipped ones are listed as "***Skipped".
  failed=$(sed -n 's/^[0-9]*% tests passed, \([0-9]*\) tests failed out of [0-9]*$/\1/p' "$log")
  total=$(sed -n 's/^[0-9]*% tests passed, [0-9]* tests failed out of \([0-9]*\)$/\1/p' "$log")
  skipped=$(grep -c '\*\*\*Skipped' "$log" || true)
  if grep -q '^start.sh: ctest said no$' "$log"; then status=1; fi
  rm -f "$log"
  if [ -z "$total" ]; then
    failed=1
    total=1
    status=1
  fi
  closing="$((total - failed - skipped)) passed, $failed failed"
  if [ "$skipped" -gt 0 ]; then closing="$closing, $skipped skipped"; fi
  printf '%s\n' "$closing"
  return "$status"
}

root=$(cd "$(dirname "$0")/.." && pwd)
programs=$root/build/release/bin
long=no
[ $# -ge 1 ] || usage
purpose=$1
shift
case "$purpose" in
  demo)
    # shellcheck disable=SC2086
    need $build_packages
    build OFF
    exec "$programs/brood" demo "$@"
    ;;
  test)
    while [ $# -gt 0 ]; do
      case $1 in
        --long) long=yes ;;
        *) usage ;;
      esac
      shift
    done
    # shellcheck disable=SC2086
    need $build_packages $test_packages
    build ON
    run_tests
    ;;
  build)
    [ $# -eq 0 ] || usage
    # shellcheck disable=SC2086
    need $build_packages
    build OFF
    printf '%s\n' "$programs"
    ;;
  tools)
    # An npm of another origin than Debian's conflicts with the package of that name; any npm will do.
    npm=$(command -v npm >/dev/null || echo npm)
    # shellcheck disable=SC2086
    need $build_packages $test_packages $tools_packages $npm
    ;;
  *) usage ;;
esac

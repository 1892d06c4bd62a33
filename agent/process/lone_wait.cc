// SPDX-License-Identifier: Apache-2.0
#include "agent/process/lone_wait.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <string>

#include "agent/process/process_table.h"
#include "common/base/unique_fd.h"

namespace brood {
namespace {

std::string ReadProc(pid_t pid, const char* name) {
  const std::string path = "/proc/" + std::to_string(pid) + "/" + name;
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char text[512];
  const ssize_t got = fd ? ::read(fd.get(), text, sizeof(text)) : -1;
  return got > 0 ? std::string(text, static_cast<size_t>(got)) : std::string();
}

// The next word of the text as a number; base 10, or 16 with "0x".
std::optional<uint64_t> NextNumber(std::string_view* text) {
  while (!text->empty() && text->front() == ' ') text->remove_prefix(1);
  int base = 10;
  if (text->substr(0, 2) == "0x") {
    base = 16;
    text->remove_prefix(2);
  }
  uint64_t number = 0;
  const auto [end, error] =
      std::from_chars(text->data(), text->data() + text->size(), number, base);
  if (error != std::errc()) return std::nullopt;
  text->remove_prefix(static_cast<size_t>(end - text->data()));
  return number;
}

}  // namespace

std::optional<uint64_t> ParseLoneWait(std::string_view syscall) {
  uint64_t words[5] = {};  // number, address, operation, value, time-out
  for (uint64_t& word : words) {
    const std::optional<uint64_t> number = NextNumber(&syscall);
    if (!number) return std::nullopt;  // "running", or a process that may not be looked at
    word = *number;
  }
  if (words[0] != SYS_futex || words[4] != 0) return std::nullopt;
  const uint64_t operation = words[2];
  if ((operation & FUTEX_PRIVATE_FLAG) == 0) return std::nullopt;
  const uint64_t command = operation & static_cast<uint64_t>(FUTEX_CMD_MASK);
  if (command != FUTEX_WAIT && command != FUTEX_WAIT_BITSET && command != FUTEX_LOCK_PI)
    return std::nullopt;
  return words[1];
}

std::optional<LoneWait> FindLoneWait(pid_t pid) {
  const std::optional<ProcessEntry> process = ReadProcess(pid);
  if (!process || process->threads != 1) return std::nullopt;
  const std::optional<uint64_t> address = ParseLoneWait(ReadProc(pid, "syscall"));
  if (!address) return std::nullopt;
  const std::string schedule = ReadProc(pid, "schedstat");
  std::string_view text = schedule;
  const std::optional<uint64_t> run_ns = NextNumber(&text);
  if (!run_ns) return std::nullopt;
  return LoneWait{*address, *run_ns};
}

}  // namespace brood

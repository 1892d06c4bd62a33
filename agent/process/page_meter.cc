// SPDX-License-Identifier: Apache-2.0
#include "agent/process/page_meter.h"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <string>

#include "common/base/unique_fd.h"

namespace brood {
namespace {

// "Name:      123 kB", in bytes.
std::optional<uint64_t> Field(std::string_view text, std::string_view name) {
  const std::string head = "\n" + std::string(name) + ":";
  size_t at = text.find(head);
  if (at == std::string_view::npos) return std::nullopt;
  at = text.find_first_not_of(' ', at + head.size());
  if (at == std::string_view::npos) return std::nullopt;
  uint64_t kibibytes = 0;
  const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), kibibytes);
  if (error != std::errc()) return std::nullopt;
  return kibibytes * 1024;
}

}  // namespace

std::optional<PageMeter> ParseSmapsRollup(std::string_view text) {
  const auto private_dirty = Field(text, "Private_Dirty");
  const auto shared_dirty = Field(text, "Shared_Dirty");
  const auto pss = Field(text, "Pss");
  const auto rss = Field(text, "Rss");
  if (!private_dirty || !shared_dirty || !pss || !rss) return std::nullopt;
  return PageMeter{*private_dirty, *shared_dirty, *pss, *rss};
}

std::optional<PageMeter> ReadPageMeter(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/smaps_rollup";
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return std::nullopt;
  char text[4096];
  const ssize_t got = ::read(fd.get(), text, sizeof(text));
  if (got <= 0) return std::nullopt;
  return ParseSmapsRollup(std::string_view(text, static_cast<size_t>(got)));
}

}  // namespace brood

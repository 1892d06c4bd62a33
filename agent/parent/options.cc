// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/options.h"

#include <charconv>
#include <string_view>

#include "agent/parent/limits.h"

namespace brood {
namespace {

// Room in the slot file for as many as a host can run; 64 KiB of address space each.
constexpr uint64_t kCallSlotsMax = 1 << 20;

Status ParseNumber(std::string_view option, std::string_view text, uint64_t most,
                   uint64_t* number) {
  const char* const end = text.data() + text.size();
  const auto [stop, failed] = std::from_chars(text.data(), end, *number);
  if (failed == std::errc() && stop == end && *number > 0 && *number <= most) return Ok();
  return FieldError(std::string(option), "'" + std::string(text) + "' is not a number from 1 to " +
                                             std::to_string(most));
}

Status SetOption(std::string_view option, const char* value, ParentOptions* options) {
  if (option == "--name") {
    options->name = value;
  } else if (option == "--directory") {
    options->directory = value;
  } else if (option == "--socket") {
    options->socket = value;
  } else if (option == "--library") {
    if (options->libraries.size() == kLibrariesMax) {
      return FieldError("--library", "at most " + std::to_string(kLibrariesMax) + " can be given");
    }
    options->libraries.emplace_back(value);
  } else if (option == "--go-fd") {
    if (std::string_view(value) != "0") return FieldError("--go-fd", "it is 0 or is not given");
    options->awaits_go = true;
  } else if (option == "--incarnation") {
    return ParseNumber(option, value, UINT64_MAX, &options->incarnation);
  } else if (option == "--call-slots") {
    uint64_t slots = 0;
    if (Status failed = ParseNumber(option, value, kCallSlotsMax, &slots)) return failed;
    options->call_slots = static_cast<uint32_t>(slots);
  } else {
    return FieldError(std::string(option), "brood-parent has no such option");
  }
  return Ok();
}

}  // namespace

Result<ParentOptions> ParseParentOptions(int argc, const char* const* argv) {
  ParentOptions options;
  for (int at = 1; at < argc; at += 2) {
    if (at + 1 == argc) return FieldError(argv[at], "its value is missing");
    if (Status failed = SetOption(argv[at], argv[at + 1], &options)) return *std::move(failed);
  }
  if (options.name.empty()) return FieldError("--name", "it is missing");
  if (options.incarnation == 0) return FieldError("--incarnation", "it is missing");
  if (options.directory.empty()) return FieldError("--directory", "it is missing");
  if (options.socket.empty()) return FieldError("--socket", "it is missing");
  if (options.call_slots == 0) return FieldError("--call-slots", "it is missing");
  return options;
}

}  // namespace brood

// SPDX-License-Identifier: Apache-2.0
#include "agent/supervisor/options.h"

#include <charconv>
#include <string_view>

#include "common/base/paths.h"

namespace brood {
namespace {

Error OptionError(const std::string& sentence) {
  return Error{ErrorCode::kInvalidArgument, "BAD_OPTION",
               sentence + "; brood-supervisor is started by brood-agent, not by hand", ""};
}

template <typename Number>
bool ParseNumber(std::string_view text, Number* number) {
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, *number);
  return error == std::errc() && at == end;
}

}  // namespace

Result<SupervisorOptions> ParseSupervisorOptions(int count, char** arguments) {
  SupervisorOptions options;
  for (int i = 1; i < count; i += 2) {
    const std::string name = arguments[i];
    if (i + 1 >= count) return OptionError("option '" + name + "' has no value");
    const std::string value = arguments[i + 1];
    bool good = !value.empty();
    if (name == "--directory") {
      options.directory = value;
    } else if (name == "--socket") {
      options.socket_path = value;
    } else if (name == "--incarnation") {
      good = ParseNumber(value, &options.incarnation);
    } else if (name == "--ready-fd") {
      good = ParseNumber(value, &options.ready_fd) && options.ready_fd >= 0;
    } else if (name == "--parent-program") {
      options.parent_program = value;
    } else {
      return OptionError("unknown option '" + name + "'");
    }
    if (!good) return OptionError("option '" + name + "' cannot be '" + value + "'");
  }
  if (options.directory.empty()) return OptionError("option '--directory' is missing");
  if (options.socket_path.empty()) return OptionError("option '--socket' is missing");
  if (options.incarnation == 0) return OptionError("option '--incarnation' is missing or 0");
  if (options.parent_program.empty()) options.parent_program = ProgramDirectory() + "/brood-parent";
  return options;
}

}  // namespace brood

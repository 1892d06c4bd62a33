// SPDX-License-Identifier: Apache-2.0
#include "common/job/byte_size.h"

#include <charconv>

#include "common/job/text.h"

namespace brood {

Result<uint64_t> ParseByteSize(std::string_view text, const std::string& field) {
  static constexpr std::string_view kUnits = "KMGT";
  double number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  std::string unit(text.substr(static_cast<size_t>(end - text.data())));
  for (char& letter : unit) {
    if (letter >= 'a' && letter <= 'z') letter = static_cast<char>(letter - 'a' + 'A');
  }
  double factor = 1;
  const size_t power = unit.empty() ? std::string_view::npos : kUnits.find(unit[0]);
  if (power != std::string_view::npos) {
    for (size_t i = 0; i <= power; ++i) factor *= 1024;
    unit.erase(0, 1);
    if (unit == "IB") unit.clear();
  }
  const bool is_unit = unit.empty() || unit == "B";
  // The last comparison is false for "nan", too.
  if (error != std::errc() || !is_unit || !(number >= 0 && number * factor < 0x1p63)) {
    return FieldError(field, Quoted(text) + " is no size; write 65536, 64K, 1.5M or 2G");
  }
  return static_cast<uint64_t>(number * factor);
}

}  // namespace brood

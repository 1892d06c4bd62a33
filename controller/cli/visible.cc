// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/visible.h"

#include <array>

namespace brood::cli {
namespace {

std::string Hex(unsigned char byte) {
  static constexpr char kDigits[] = "0123456789abcdef";
  return std::string("\\x") + kDigits[byte >> 4] + kDigits[byte & 15];
}

// How many bytes a UTF-8 character has that begins so; 1 for what begins none.
size_t Utf8Size(std::string_view text, size_t at) {
  const auto byte = static_cast<unsigned char>(text[at]);
  const size_t size = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc2 ? 2 : 1;
  if (byte > 0xf4 || at + size > text.size()) return 1;
  for (size_t i = 1; i < size; ++i) {
    if ((static_cast<unsigned char>(text[at + i]) & 0xc0) != 0x80) return 1;
  }
  return size;
}

}  // namespace

std::string Visible(std::string_view text, bool keep_line_feeds) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    const size_t size = Utf8Size(text, at);
    if (byte == '\n') {
      out += keep_line_feeds ? "\n" : "\\n";
    } else if (byte == '\r') {
      out += "\\r";
    } else if (byte == '\t') {
      out += '\t';
    } else if (byte < 0x20 || byte == 0x7f || (size == 1 && byte >= 0x80 && byte < 0xa0)) {
      out += Hex(byte);
    } else if (byte == 0xc2 && size == 2 && static_cast<unsigned char>(text[at + 1]) < 0xa0) {
      // U+0080 to U+009F: terminals take some of these for ESC [ and the like.
      out += Hex(static_cast<unsigned char>(text[at + 1]));
    } else {
      out.append(text, at, size);
    }
    at += size;
  }
  return out;
}

}  // namespace brood::cli

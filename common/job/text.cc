// SPDX-License-Identifier: Apache-2.0
#include "common/job/text.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

namespace brood {
namespace {

// A quoted value is a reminder, not the value: one line of a terminal.
constexpr size_t kQuotedBytesMax = 48;

uint8_t ByteAt(std::string_view bytes, size_t i) { return static_cast<uint8_t>(bytes[i]); }

// Length of the UTF-8 character at `i`, 0 if there is none.
size_t CharacterSize(std::string_view bytes, size_t i) {
  const uint8_t lead = ByteAt(bytes, i);
  if (lead < 0x80) return 1;
  size_t size = 0;
  uint8_t low = 0x80;
  uint8_t high = 0xBF;
  if (lead >= 0xC2 && lead <= 0xDF) {
    size = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    size = 3;
    if (lead == 0xE0) low = 0xA0;   // overlong
    if (lead == 0xED) high = 0x9F;  // surrogates
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    size = 4;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;  // past U+10FFFF
  } else {
    return 0;
  }
  if (i + size > bytes.size()) return 0;
  if (ByteAt(bytes, i + 1) < low || ByteAt(bytes, i + 1) > high) return 0;
  for (size_t k = 2; k < size; ++k) {
    if ((ByteAt(bytes, i + k) & 0xC0) != 0x80) return 0;
  }
  return size;
}

void AppendEscaped(std::string& out, uint8_t byte) {
  constexpr char kDigits[] = "0123456789abcdef";
  out += "\\x";
  out += kDigits[byte >> 4];
  out += kDigits[byte & 15];
}

}  // namespace

bool IsUtf8(std::string_view bytes) {
  for (size_t i = 0; i < bytes.size();) {
    const size_t size = CharacterSize(bytes, i);
    if (size == 0) return false;
    i += size;
  }
  return true;
}

std::string ToUtf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  for (size_t i = 0; i < bytes.size();) {
    const size_t size = CharacterSize(bytes, i);
    if (size == 0) {
      out += "\xEF\xBF\xBD";
      ++i;
    } else {
      out += bytes.substr(i, size);
      i += size;
    }
  }
  return out;
}

std::string Quoted(std::string_view bytes) {
  std::string out = "'";
  size_t i = 0;
  while (i < bytes.size() && i < kQuotedBytesMax) {
    const size_t size = CharacterSize(bytes, i);
    const uint8_t byte = ByteAt(bytes, i);
    // U+0080 to U+009F are control characters too.
    const bool control =
        byte < 0x20 || byte == 0x7F || (size == 2 && byte == 0xC2 && ByteAt(bytes, i + 1) < 0xA0);
    if (size == 0 || control) {
      AppendEscaped(out, byte);
      // The second byte of a control character is no character by itself.
      i += 1;
      continue;
    }
    if (byte == '\\' || byte == '\'') out += '\\';
    out += bytes.substr(i, size);
    i += size;
  }
  if (i >= bytes.size()) return out + "'";
  return out + "…' (" + std::to_string(bytes.size()) + " bytes)";
}

std::string Base64(std::string_view bytes) {
  constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t left = std::min<size_t>(bytes.size() - i, 3);
    uint32_t group = static_cast<uint32_t>(ByteAt(bytes, i)) << 16;
    if (left > 1) group |= static_cast<uint32_t>(ByteAt(bytes, i + 1)) << 8;
    if (left > 2) group |= ByteAt(bytes, i + 2);
    out += kAlphabet[group >> 18];
    out += kAlphabet[(group >> 12) & 63];
    out += left > 1 ? kAlphabet[(group >> 6) & 63] : '=';
    out += left > 2 ? kAlphabet[group & 63] : '=';
  }
  return out;
}

std::string SignalName(int signal) {
  const char* name = ::sigabbrev_np(signal);
  if (name != nullptr) return std::string("SIG") + name;
  return "signal " + std::to_string(signal);
}

std::string ErrnoSentence(int error_number) {
  const char* text = ::strerrordesc_np(error_number);
  if (text != nullptr) return text;
  return "error " + std::to_string(error_number);
}

}  // namespace brood

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace brood {

// True if the bytes are UTF-8 as RFC 3629 has it: no surrogates, nothing overlong.
bool IsUtf8(std::string_view bytes);

// The same text as UTF-8: each byte that is no part of a character becomes U+FFFD. A protobuf
// string that is not UTF-8 is written without an error and cannot be read again.
std::string ToUtf8(std::string_view bytes);

// The bytes in single quotes, fit for a terminal: control characters and what is not UTF-8 as \xNN,
// longer ones cut: 'abc', '\x1b[2J', 'aaaa…' (131072 bytes).
std::string Quoted(std::string_view bytes);

// The bytes in base64 (RFC 4648, with padding).
std::string Base64(std::string_view bytes);

// "SIGTERM"; "signal 42" if it has no name.
std::string SignalName(int signal);

// "No such file or directory"; "error 4711" if it has no text.
std::string ErrnoSentence(int error_number);

}  // namespace brood

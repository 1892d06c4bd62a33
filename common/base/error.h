// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace brood {

// The canonical codes, with gRPC's numbers, so that the edge translates by cast.
enum class ErrorCode {
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

// "INVALID_ARGUMENT" and so on.
const char* ErrorCodeName(ErrorCode code);

// Why something could not be done: a value. `message` is a sentence that names
// object, value and cure; `reason` a constant in capitals for programs; `field`
// the path of the request's field at fault, if one is.
struct Error {
  ErrorCode code = ErrorCode::kUnknown;
  std::string reason;
  std::string message;
  std::string field;
};

// "open '/x': No such file or directory (ENOENT)", with the code that fits errno.
Error ErrnoError(int error_number, const std::string& what);

// The field at fault: INVALID_ARGUMENT, reason INVALID_FIELD.
Error FieldError(std::string field, std::string message);

// Nothing, or why not.
using Status = std::optional<Error>;
inline Status Ok() { return std::nullopt; }

// A value, or why there is none. Reading the one that is not there is a bug and aborts.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : held_(std::move(value)) {}      // NOLINT(google-explicit-constructor)
  Result(Error error) : held_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return std::holds_alternative<T>(held_); }
  explicit operator bool() const { return ok(); }

  T& operator*() & { return *std::get_if<T>(&held_); }
  const T& operator*() const& { return *std::get_if<T>(&held_); }
  T&& operator*() && { return std::move(*std::get_if<T>(&held_)); }
  T* operator->() { return std::get_if<T>(&held_); }
  const T* operator->() const { return std::get_if<T>(&held_); }

  const Error& error() const { return *std::get_if<Error>(&held_); }
  Error& error() { return *std::get_if<Error>(&held_); }

 private:
  std::variant<T, Error> held_;
};

}  // namespace brood

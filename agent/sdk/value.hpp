// SPDX-License-Identifier: Apache-2.0
//
// Values: how C++ types stand for the kinds of task.h.
//
//   bool                      BROOD_BOOL
//   every integer type        BROOD_INT; what does not fit is an error, never cut
//   double, float             BROOD_FLOAT; integers are taken too
//   std::string, string_view  BROOD_TEXT (a view lives as long as the call)
//   brood::Bytes              BROOD_BYTES
//   brood::Json               BROOD_JSON
//   brood::Value              any kind; declared as BROOD_JSON
//   std::optional<T>          a parameter that may be left out; a result that may be nothing
#pragma once

#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include "task.h"  // beside this one, in the tree and where it is installed

// Hidden, so that two libraries in one parent never share a variable or a
// function of this header by accident; and in a namespace apart from brood's own
// classes.
#pragma GCC visibility push(hidden)
namespace brood {
inline namespace sdk_v1 {

// What a task throws, or what the SDK throws for it: a sentence for its user.
class TaskError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Any bytes.
struct Bytes {
  std::string data;
  bool operator==(const Bytes&) const = default;
};

// JSON text; brood checks that it is JSON, and nothing else.
struct Json {
  std::string text;
  bool operator==(const Json&) const = default;
};

// A value of any kind; the monostate is "nothing".
using Value = std::variant<std::monostate, bool, int64_t, double, std::string, Bytes, Json>;

namespace detail {

inline const char* TypeName(uint32_t type) {
  switch (type) {
    case BROOD_NULL:
      return "nothing";
    case BROOD_BOOL:
      return "a truth value";
    case BROOD_INT:
      return "an integer";
    case BROOD_FLOAT:
      return "a number";
    case BROOD_TEXT:
      return "text";
    case BROOD_BYTES:
      return "bytes";
    case BROOD_JSON:
      return "JSON";
    default:
      return "of an unknown kind";
  }
}

// `what` names the value in messages: "argument 'n'", "cell 'x'".
[[noreturn]] inline void ThrowWrongType(const brood_value& value, uint32_t wanted,
                                        const std::string& what) {
  throw TaskError(what + " is " + TypeName(value.type) + ", not " + TypeName(wanted));
}

inline void Check(const brood_value& value, uint32_t wanted, const std::string& what) {
  if (value.type != wanted) ThrowWrongType(value, wanted, what);
}

inline brood_value Empty(uint32_t type) {
  brood_value value{};
  value.type = type;
  return value;
}

inline brood_value View(uint32_t type, std::string_view bytes) {
  brood_value value = Empty(type);
  value.data = bytes.data();
  value.size = bytes.size();
  return value;
}

inline std::string_view Data(const brood_value& value) {
  return value.size == 0 ? std::string_view() : std::string_view(value.data, value.size);
}

// One specialization per type: `type`, Decode (throws TaskError), and Encode,
// whose answer points into its argument.
template <typename T>
struct Kind {
  static_assert(!sizeof(T),
                "this type cannot be a task's parameter or result, or a cell: see "
                "brood/value.hpp for those that can");
};

template <>
struct Kind<bool> {
  static constexpr uint32_t type = BROOD_BOOL;
  static bool Decode(const brood_value& value, const std::string& what) {
    Check(value, type, what);
    return value.integer != 0;
  }
  static brood_value Encode(bool from) {
    brood_value value = Empty(type);
    value.integer = from ? 1 : 0;
    return value;
  }
};

template <typename T>
concept Integer = std::integral<T> && !std::same_as<T, bool> && !std::same_as<T, char> &&
                  !std::same_as<T, wchar_t> && !std::same_as<T, char8_t> &&
                  !std::same_as<T, char16_t> && !std::same_as<T, char32_t>;

template <Integer T>
struct Kind<T> {
  static constexpr uint32_t type = BROOD_INT;
  static T Decode(const brood_value& value, const std::string& what) {
    Check(value, type, what);
    if (!std::in_range<T>(value.integer)) {
      throw TaskError(what + " is " + std::to_string(value.integer) + "; it must be from " +
                      std::to_string(std::numeric_limits<T>::min()) + " to " +
                      std::to_string(std::numeric_limits<T>::max()));
    }
    return static_cast<T>(value.integer);
  }
  static brood_value Encode(T from) {
    if (!std::in_range<int64_t>(from)) {
      throw TaskError("the value " + std::to_string(from) + " does not fit in 64 bits with a sign");
    }
    brood_value value = Empty(type);
    value.integer = static_cast<int64_t>(from);
    return value;
  }
};

template <std::floating_point T>
struct Kind<T> {
  static constexpr uint32_t type = BROOD_FLOAT;
  static T Decode(const brood_value& value, const std::string& what) {
    if (value.type == BROOD_INT) return static_cast<T>(value.integer);
    Check(value, type, what);
    const T number = static_cast<T>(value.number);
    if (std::isfinite(value.number) && !std::isfinite(number)) {
      throw TaskError(what + " is too large for its type");
    }
    return number;
  }
  static brood_value Encode(T from) {
    brood_value value = Empty(type);
    value.number = static_cast<double>(from);
    return value;
  }
};

template <>
struct Kind<std::string_view> {
  static constexpr uint32_t type = BROOD_TEXT;
  static std::string_view Decode(const brood_value& value, const std::string& what) {
    Check(value, type, what);
    return Data(value);
  }
  static brood_value Encode(std::string_view from) { return View(type, from); }
};

template <>
struct Kind<std::string> {
  static constexpr uint32_t type = BROOD_TEXT;
  static std::string Decode(const brood_value& value, const std::string& what) {
    return std::string(Kind<std::string_view>::Decode(value, what));
  }
  static brood_value Encode(const std::string& from) { return View(type, from); }
};

template <>
struct Kind<Bytes> {
  static constexpr uint32_t type = BROOD_BYTES;
  static Bytes Decode(const brood_value& value, const std::string& what) {
    Check(value, type, what);
    return Bytes{std::string(Data(value))};
  }
  static brood_value Encode(const Bytes& from) { return View(type, from.data); }
};

template <>
struct Kind<Json> {
  static constexpr uint32_t type = BROOD_JSON;
  static Json Decode(const brood_value& value, const std::string& what) {
    Check(value, type, what);
    return Json{std::string(Data(value))};
  }
  static brood_value Encode(const Json& from) { return View(type, from.text); }
};

template <>
struct Kind<Value> {
  static constexpr uint32_t type = BROOD_JSON;
  static Value Decode(const brood_value& value, const std::string& what) {
    switch (value.type) {
      case BROOD_NULL:
        return std::monostate();
      case BROOD_BOOL:
        return Kind<bool>::Decode(value, what);
      case BROOD_INT:
        return value.integer;
      case BROOD_FLOAT:
        return value.number;
      case BROOD_TEXT:
        return Kind<std::string>::Decode(value, what);
      case BROOD_BYTES:
        return Kind<Bytes>::Decode(value, what);
      default:
        return Kind<Json>::Decode(value, what);
    }
  }
  static brood_value Encode(const Value& from) {
    return std::visit(
        [](const auto& one) {
          using T = std::remove_cvref_t<decltype(one)>;
          if constexpr (std::is_same_v<T, std::monostate>) {
            return Empty(BROOD_NULL);
          } else {
            return Kind<T>::Encode(one);
          }
        },
        from);
  }
};

template <typename T>
struct Kind<std::optional<T>> {
  static constexpr uint32_t type = Kind<T>::type;
  static std::optional<T> Decode(const brood_value& value, const std::string& what) {
    if (value.type == BROOD_NULL && !std::is_same_v<T, Value>) return std::nullopt;
    return Kind<T>::Decode(value, what);
  }
  static brood_value Encode(const std::optional<T>& from) {
    return from ? Kind<T>::Encode(*from) : Empty(BROOD_NULL);
  }
};

template <typename T>
inline constexpr bool kIsOptional = false;
template <typename T>
inline constexpr bool kIsOptional<std::optional<T>> = true;

}  // namespace detail
}  // namespace sdk_v1
}  // namespace brood
#pragma GCC visibility pop

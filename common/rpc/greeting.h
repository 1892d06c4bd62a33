// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace brood {

// Key in the initial metadata of every stream, which the agent sends at once: a client that reads
// it knows that its call was taken, though there may be no message for long. The value is the
// agent's version.
inline constexpr char kGreetingKey[] = "brood-agent";

}  // namespace brood

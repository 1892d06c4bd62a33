// SPDX-License-Identifier: Apache-2.0
//
// The doorbell: one non-blocking pipe of a parent that its forked calls write
// to. Each ring is the uint32_t index of the call's slot, in machine order, in
// one write (below PIPE_BUF: never mixed). It says "look at that call area"; a
// ring into a full pipe is lost, which only delays: the end of the process is
// noted anyway, and the area is to be read then.
#pragma once

#include <cstddef>
#include <cstdint>

namespace brood {

inline constexpr size_t kDoorbellRingBytes = sizeof(uint32_t);

}  // namespace brood

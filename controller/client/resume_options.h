// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "common/base/error.h"
#include "controller/client/resume_core.h"

namespace brood {

// How a stream of this library goes on when its call breaks: by itself, handing on each event
// once and in order, until the policy gives the host up. A call that the agent refuses, e.g.
// because what it asks for lies past its journal's head (OUT_OF_RANGE), is not made again.
struct ResumeOptions {
  ResumePolicy policy = {};
  // For people, in the reading thread, in turns: the link is lost and the first try to get it back
  // has failed; it is there again. A link that comes back at once is not spoken of.
  std::function<void(const Error& why)> lost = nullptr;
  std::function<void()> back = nullptr;
};

}  // namespace brood

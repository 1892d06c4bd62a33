// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/interrupts.h"

namespace brood::cli {

Interrupts::Step Interrupts::OnInterrupt(BootTime now) {
  if (cancelled_) return Step::kLeave;
  if (terminal_ && (!shown_at_ || now.ns - *shown_at_ > kSecondWithinNanos)) {
    shown_at_ = now.ns;
    return Step::kShow;
  }
  cancelled_ = true;
  return Step::kCancel;
}

}  // namespace brood::cli

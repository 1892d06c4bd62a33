// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace brood {

// Lets malloc make as many heaps as threads can run at once; by default it is eight times that, and
// what is freed in one is not used again by the others. To be called before there is a thread.
void LimitHeaps();

}  // namespace brood

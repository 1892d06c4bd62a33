// SPDX-License-Identifier: Apache-2.0
//
// flood SEED BYTES KIND: writes that many FloodBytes to its standard output, as fast as it can, in
// writes of odd sizes. Ends with 0 if all were taken.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/children/flood_bytes.h"

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  brood::testing::FloodBytes flood(std::strtoull(argv[1], nullptr, 10), argv[3]);
  size_t left = std::strtoull(argv[2], nullptr, 10);
  std::vector<char> bytes(1 << 20);
  size_t most = 1;
  while (left > 0) {
    const size_t size = std::min(left, bytes.size());
    flood.Fill(bytes.data(), size);
    for (size_t done = 0; done < size;) {
      // 1, 4, 13, 40 and so on bytes, up to what is there.
      most = std::min(most * 3 + 1, bytes.size());
      const ssize_t written =
          ::write(STDOUT_FILENO, bytes.data() + done, std::min(size - done, most));
      if (written <= 0) return 1;
      done += static_cast<size_t>(written);
    }
    left -= size;
  }
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
//
// Makes certificates that `brood certs` would not: valid from so many seconds from now, and so
// long.
//
//   odd_certificate AUTHORITY KIND NAME FROM SECONDS FILE
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iostream>
#include <string>

#include "common/tls/tls_files.h"
#include "controller/certs/certificate_maker.h"
#include "controller/certs/private_file.h"

int main(int argc, char** argv) {
  if (argc != 7) return EXIT_FAILURE;
  const std::string folder = argv[1];
  const auto certificate = brood::ReadTlsFile(folder + "/ca.pem");
  const auto key = brood::ReadTlsFile(folder + "/ca.key");
  const auto kind = brood::ParsePeerKind(argv[2]);
  if (!certificate || !key || !kind) return EXIT_FAILURE;
  const int64_t from = std::time(nullptr) + std::atoll(argv[4]);
  const auto made = brood::MakeLeaf({*key, *certificate}, {"brood", *kind, argv[3]},
                                    {argv[3], "127.0.0.1"}, {from, from + std::atoll(argv[5])});
  if (!made || brood::ReplaceFile(argv[6], made->certificate + made->key, 0600)) {
    std::cerr << (made ? "not written" : made.error().message) << "\n";
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}

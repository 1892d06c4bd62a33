// SPDX-License-Identifier: Apache-2.0
#include "agent/rpc/role_policy.h"

#include <sys/stat.h>

#include <utility>

#include "spdlog/spdlog.h"

namespace brood {
namespace {

// What is taken from somebody takes effect at their next call after that.
constexpr int64_t kLookNanos = 1'000'000'000;

std::string StampOf(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return "";
  return std::to_string(status.st_ino) + " " + std::to_string(status.st_size) + " " +
         std::to_string(status.st_mtim.tv_sec) + " " + std::to_string(status.st_mtim.tv_nsec);
}

}  // namespace

RolePolicy::RolePolicy(std::string path, std::string realm, std::map<std::string, RoleName> roles)
    : path_(std::move(path)), realm_(std::move(realm)), roles_(std::move(roles)) {}

v1::Role RolePolicy::RoleOf(const Identity& user) {
  const MutexLock lock(&mutex_);
  LookAgain();
  const auto found = roles_.find(user.Uri());
  if (found == roles_.end()) {
    return user.realm == realm_ ? v1::ROLE_OPERATOR : v1::ROLE_UNSPECIFIED;
  }
  switch (found->second) {
    case RoleName::kOperator:
      return v1::ROLE_OPERATOR;
    case RoleName::kViewer:
      return v1::ROLE_VIEWER;
    case RoleName::kNone:
      break;
  }
  return v1::ROLE_UNSPECIFIED;
}

void RolePolicy::LookAgain() {
  const int64_t now = BootTimeNanos();
  if (looked_ns_ != 0 && now - looked_ns_ < kLookNanos) return;
  looked_ns_ = now;
  const std::string stamp = StampOf(path_);
  if (stamp == seen_) return;
  if (stamp.empty()) {
    // Without it everybody would be an operator.
    spdlog::error("the configuration '{}' is gone; the roles stay as they were", path_);
    seen_ = stamp;
    return;
  }
  Result<Configuration> read = LoadConfiguration(path_);
  if (read) {
    roles_ = std::move(read->roles);
  } else {
    spdlog::error("{}; the roles stay as they were", read.error().message);
  }
  seen_ = stamp;
}

}  // namespace brood

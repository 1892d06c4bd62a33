// SPDX-License-Identifier: Apache-2.0
#include "controller/client/peer_check.h"

namespace brood {

Status JudgeAgent(const std::vector<std::string>& uris, const std::string& realm,
                  const std::string& host) {
  const Result<Identity> peer = IdentityAmong(uris);
  if (!peer) return peer.error();
  const Identity asked{realm, PeerKind::kAgent, host};
  if (*peer == asked) return Ok();
  std::string cure;
  if (peer->kind != PeerKind::kAgent) {
    cure = "give its agent a certificate of an agent (`brood certs issue agent " + host + "`)";
  } else if (peer->realm != realm) {
    cure = "use a certificate of that realm";
  } else {
    cure = "look at its address in the hosts file, or name the host as its certificate does";
  }
  return Error{ErrorCode::kUnauthenticated, "WRONG_PEER",
               "'" + peer->Uri() + "' answers instead of '" + asked.Uri() + "'; " + cure, ""};
}

}  // namespace brood

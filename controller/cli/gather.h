// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "controller/cli/context.h"
#include "controller/cli/json_output.h"
#include "controller/client/each_host.h"

namespace brood::cli {

// One answer per host, asked at once; nothing where the host failed, and that was said on `err`.
template <typename Answer>
std::vector<std::optional<Answer>> Gather(const Context& context,
                                          const std::vector<HostAddress>& hosts,
                                          const std::function<Result<Answer>(Connection&)>& ask) {
  std::vector<std::optional<Answer>> answers(hosts.size());
  const std::vector<Status> failed =
      EachHost(hosts, [&](size_t index, Connection& connection) -> Status {
        Result<Answer> answer = ask(connection);
        if (!answer) return answer.error();
        answers[index] = *std::move(answer);
        return Ok();
      });
  for (size_t i = 0; i < hosts.size(); ++i)
    if (failed[i]) context.Complain(hosts[i].name, *failed[i]);
  return answers;
}

// True if every host answered.
template <typename Answer>
bool AllAnswered(const std::vector<std::optional<Answer>>& answers) {
  for (const std::optional<Answer>& answer : answers)
    if (!answer) return false;
  return true;
}

// One host's message.
using HostMessage = std::pair<std::string, const google::protobuf::Message*>;

// -o json: the only host's message as it is; with several hosts {"HOST": MESSAGE, …}, and a
// host that did not answer is missing.
void PrintJsonByHost(std::ostream& out, const std::vector<HostMessage>& messages, bool several);

// The same for the answers of Gather.
template <typename Answer>
void PrintAnswers(std::ostream& out, const std::vector<HostAddress>& hosts,
                  const std::vector<std::optional<Answer>>& answers) {
  std::vector<HostMessage> messages;
  for (size_t i = 0; i < hosts.size(); ++i)
    if (answers[i]) messages.emplace_back(hosts[i].name, &*answers[i]);
  PrintJsonByHost(out, messages, hosts.size() > 1);
}

// "RUNNING" of "PARENT_STATE_RUNNING": an enum's value without its type's prefix.
std::string ShortName(const std::string& value, const std::string& prefix);

}  // namespace brood::cli

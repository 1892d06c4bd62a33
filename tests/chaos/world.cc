// SPDX-License-Identifier: Apache-2.0
#include "tests/chaos/world.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <utility>

namespace brood::chaos {
namespace {

constexpr std::chrono::seconds kPatience{20};

}  // namespace

World::World(uint64_t seed, int starts)
    // Snapshots come as often as kills do.
    : agent_({"--slots", "6", "--thread-slots", "6", "--snapshot-events", "150"}, starts),
      load_(agent_.socket_path(), ledger_.path(), kCalls, seed) {}

void World::ExpectParentsToDie() {
  allowed_.parents_died = true;
  load_.ExpectParentToDie();
}

std::string World::StartParent(const std::string& name) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  v1::StartParentRequest request;
  request.set_name(name);
  request.add_libraries(CHAOS_TASKS);
  v1::StartParentResponse response;
  const grpc::Status status = agent_.parents().StartParent(&context, request, &response);
  return status.ok() ? "" : status.error_message();
}

void World::EndParent(const std::string& name) {
  grpc::ClientContext context;
  // The answer comes with its end, which is not waited for.
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(100));
  v1::EndParentRequest request;
  request.set_name(name);
  request.set_how(v1::PARENT_END_RETURN);
  v1::EndParentResponse response;
  (void)agent_.parents().EndParent(&context, request, &response);
}

v1::Parent World::FindParent(const std::string& name) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  v1::ListParentsResponse response;
  v1::Parent found;
  if (!agent_.parents().ListParents(&context, v1::ListParentsRequest(), &response).ok())
    return found;
  for (const v1::Parent& parent : response.parents()) {
    if (parent.name() == name && parent.incarnation() >= found.incarnation()) found = parent;
  }
  return found;
}

void World::AwaitEndOfCallsParent() {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  // An agent that was started after it does not show it any more.
  const auto gone = [this] {
    const v1::ParentState state = FindParent(kCalls).state();
    return state == v1::PARENT_STATE_UNSPECIFIED || state == v1::PARENT_STATE_ENDED;
  };
  while (!gone())
    ASSERT_LT(std::chrono::steady_clock::now(), until) << "the end of a parent is not seen";
  ASSERT_EQ(StartParent(kCalls), "");
}

// From its first event to its last.
std::vector<v1::Event> World::ReadJournal() {
  grpc::ClientContext context;
  // All that some thousand jobs have written.
  context.set_deadline(std::chrono::system_clock::now() + 3 * kPatience);
  v1::WatchEventsRequest request;
  request.set_include_output(true);
  const auto stream = agent_.jobs().WatchEvents(&context, request);
  std::vector<v1::Event> events;
  v1::WatchEventsResponse response;
  while (stream->Read(&response))
    events.insert(events.end(), response.events().begin(), response.events().end());
  const grpc::Status status = stream->Finish();
  EXPECT_TRUE(status.ok()) << status.error_message();
  return events;
}

void World::FinishAndJudge() {
  for (const std::string& id : load_.Finish())
    ADD_FAILURE() << id << " has not ended: " << agent_.GetJob(id).ShortDebugString();
  std::vector<v1::Event> journal = ReadJournal();
  ASSERT_FALSE(journal.empty());
  load_.EndWatchers(journal.back().cursor());
  Observed observed = load_.Take();
  observed.parents_died = allowed_.parents_died;
  observed.ends_may_be_unknown = allowed_.ends_may_be_unknown;
  observed.starts_may_fail = allowed_.starts_may_fail;
  observed.output_may_be_dropped = allowed_.output_may_be_dropped;
  observed.journal = std::move(journal);
  observed.ledger = ledger_.Read();
  for (const std::string& breach : Judge(observed)) ADD_FAILURE() << breach;
  for (const std::string& error : load_.errors()) ADD_FAILURE() << error;
  summary_ = std::to_string(observed.plans.size()) + " jobs, " +
             std::to_string(observed.journal.size()) + " events";
}

}  // namespace brood::chaos

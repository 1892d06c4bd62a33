// SPDX-License-Identifier: Apache-2.0
//
// The bounds at the agent's door, each with its reason.
#pragma once

#include <cstddef>

namespace brood {

// Memory that gRPC may hold for all calls together: a received message is not
// bounded by its own limit before it has arrived, this is what bounds it.
inline constexpr size_t kRpcMemoryBytes = 64 << 20;
// A request holds at most 64 specs of a few KiB, or one of 512 KiB.
inline constexpr int kMessageBytesMax = 1 << 20;
inline constexpr int kMetadataBytesMax = 16 << 10;
inline constexpr int kJobsPerRequestMax = 64;
// Of them decided on under one hold of the core's lock: some 25 us.
inline constexpr size_t kSubmissionsPerHold = 16;
inline constexpr int kJobIdsPerRequestMax = 1'024;
// Answers of one RunJobs call that may wait for a client that sends and does not read: each
// is 20 KiB at the worst. With as many, the next request is not taken.
inline constexpr size_t kAnswersWaitingMax = 16;
// Streams of one connection; a program that wants more opens another one.
inline constexpr int kStreamsPerConnectionMax = 100;
// Connections at once; each costs some tens of KiB. Checked at accept by the
// descriptors in use, see Listener.
inline constexpr int kSpareFds = 64;
// A response to a reader: one write in flight, so this is its memory.
inline constexpr int kEventsPerResponse = 256;
inline constexpr size_t kEventBytesPerResponse = 256 << 10;
// One chunk of output, in events and in ReadOutput.
inline constexpr size_t kOutputChunkBytes = 64 << 10;
// Records looked at for one response before others get a turn.
inline constexpr int kRecordsPerLook = 65'536;
inline constexpr int kListPageDefault = 100;
inline constexpr int kListPageMax = 1'000;
inline constexpr size_t kListBytesMax = 512 << 10;

// A peer that vanished is noticed within 15 s. Clients may ping every 5 s, and ours do every 10 s
// (gRPC's default of 5 minutes would answer them with GOAWAY).
inline constexpr int kKeepaliveMilliseconds = 10'000;
inline constexpr int kKeepaliveTimeoutMilliseconds = 5'000;
inline constexpr int kPingIntervalMinMilliseconds = 5'000;
// From connecting to a complete HTTP/2 preface: strangers do not hold sockets.
inline constexpr int kHandshakeMilliseconds = 5'000;

}  // namespace brood

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "brood/v1/event.pb.h"
#include "brood/v1/job.pb.h"

namespace brood {

// Takes one more event, in the order of the journal, into what is known of its job: the whole state
// machine of a job. Agent and controller use the same one, so a job read from the stream is the job
// that GetJob shows. `spec` is the caller's. Events of other jobs and of parents change nothing.
//
// Outcomes: an end whose cause is a time-out is TIMED_OUT, one whose cause is a cancel CANCELLED,
// before anything else; a thread that went with its parent is PARENT_ENDED whatever was asked of
// it. A forked call that returned or threw is RETURNED or THREW unless a signal ended its process
// after that.
void FoldEvent(const v1::Event& event, v1::Job* job);

// True for the five payloads that end a job.
bool IsEnd(const v1::Event& event);

}  // namespace brood

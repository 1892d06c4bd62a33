// SPDX-License-Identifier: Apache-2.0
#include "agent/host/options.h"

#include <sched.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <thread>

#include "agent/core/limits.h"
#include "agent/core/proto_time.h"
#include "agent/host/snapshot_thread.h"
#include "agent/spool/spool.h"
#include "common/base/paths.h"
#include "common/base/version.h"
#include "common/job/byte_size.h"
#include "common/job/duration.h"
#include "common/job/job_id.h"
#include "common/job/limits.h"
#include "common/tls/configuration.h"

namespace brood {
namespace {

// More processes than this on one host is a mistake; threads cost less.
constexpr uint32_t kProcessSlotsMax = 16'384;
constexpr uint32_t kThreadSlotsMax = 16'384;
constexpr uint32_t kQueueLimitMax = 1'000'000;
// Some KiB each.
constexpr uint32_t kEndedJobsMax = 1'000'000;

// At some 250 bytes an event, a million events. Less than some segments cannot be kept, and 1 TiB
// is a mistake.
constexpr uint64_t kRetainBytesDefault = 256 << 20;
constexpr uint64_t kRetainBytesMin = 16 << 20;
constexpr uint64_t kRetainBytesMax = uint64_t{1} << 40;
constexpr char kRetainAgeDefault[] = "30d";
// Less would cut off clients that are merely busy.
constexpr std::chrono::milliseconds kReaderPatienceMin{100};
// What a spec means that does not say is what the spool does with it.
static_assert(kStreamBytesDefault == kSpoolStreamBytesMax);

std::string HostName() {
  char name[256] = {};
  if (::gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0') return "localhost";
  return name;
}

// Those it may run on: fewer than there are in a container.
uint32_t UsableCpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return static_cast<uint32_t>(std::max(1, CPU_COUNT(&set)));
}

// HOST:PORT or [HOST]:PORT.
Status SplitAddress(const std::string& text, AgentOptions* options) {
  const size_t colon = text.rfind(':');
  std::string host = colon == std::string::npos ? "" : text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  unsigned long port = 65'536;
  try {
    port = std::stoul(text.substr(colon + 1));
  } catch (const std::exception&) {
    port = 65'536;
  }
  if (host.empty() || port > 65'535) {
    return Error{ErrorCode::kInvalidArgument, "BAD_ADDRESS",
                 "--listen: '" + text + "' is no address; give unix:/PATH or HOST:PORT", ""};
  }
  options->listen_host = host;
  options->listen_port = static_cast<uint16_t>(port);
  return Ok();
}

// What the configuration says, but for what the command line does.
Result<TlsFiles> TlsFilesOf(const std::string& path, const TlsFiles& given) {
  Result<Configuration> configuration = LoadConfiguration(path);
  if (!configuration) return configuration.error();
  TlsFiles files = std::move(configuration->agent);
  if (!given.certificate.empty()) files.certificate = files.key = given.certificate;
  if (!given.key.empty()) files.key = given.key;
  if (!given.ca.empty()) files.ca = given.ca;
  return files;
}

}  // namespace

Result<AgentOptions> ParseAgentOptions(int argc, char** argv) {
  Result<Paths> paths = PathsFromEnvironment();
  if (!paths) return paths.error();
  AgentOptions options;
  const uint32_t cpus = UsableCpus();
  options.process_slots = kProcessSlotsPerCpu * cpus;
  options.thread_slots = kThreadSlotsPerCpu * cpus;
  options.queue_limit = kQueueLimitDefault;
  options.ended_jobs = kEndedJobsKept;
  options.snapshot_events = kSnapshotEvents;
  std::string listen;
  std::string patience = "1m";
  std::string mode = "fork";
  std::string retain_age = kRetainAgeDefault;
  std::string retain_bytes;
  options.retain_bytes = kRetainBytesDefault;
  std::string output_kept;
  TlsFiles tls;
  CLI::App app("brood-agent: runs a host's jobs and serves them over gRPC", "brood-agent");
  app.set_version_flag("--version", kVersion);
  app.add_option("--name", options.name, "Name of the host (default: the system's host name)");
  app.add_option("--socket", options.socket_path,
                 "Unix socket to listen on (default: RUNTIME/agent.sock)");
  app.add_option("--listen", listen, "A further address: unix:PATH, or HOST:PORT, with TLS");
  app.add_flag("--insecure-loopback", options.insecure_loopback,
               "Allow --listen on loopback in plaintext: any local user can then run jobs");
  app.add_option("--cert", tls.certificate,
                 "This agent's certificate, in PEM (default: [agent] of BROOD_CONFIG, else "
                 "certs/agent.pem beside it)")
      ->type_name("FILE");
  app.add_option("--key", tls.key, "... its private key (default: the same file)")
      ->type_name("FILE");
  app.add_option("--ca", tls.ca, "... and the authority of clients (default: certs/ca.pem)")
      ->type_name("FILE");
  app.add_option("--slots", options.process_slots, "Jobs at once as processes")
      ->check(CLI::Range(1u, kProcessSlotsMax));
  app.add_option("--thread-slots", options.thread_slots, "Jobs at once as threads")
      ->check(CLI::Range(1u, kThreadSlotsMax));
  app.add_option("--queue-limit", options.queue_limit, "Jobs that may wait")
      ->check(CLI::Range(0u, kQueueLimitMax));
  app.add_option("--ended-jobs", options.ended_jobs,
                 "Ended jobs that are listed, and whose output is kept (default: 10000)")
      ->check(CLI::Range(1u, kEndedJobsMax));
  app.add_option("--reader-patience", patience,
                 "A client that takes nothing of a stream for so long is cut off")
      ->type_name("DURATION")
      ->capture_default_str();
  app.add_option("--default-mode", mode, "What AUTO takes for a call when nothing else decides")
      ->check(CLI::IsMember({"fork", "thread"}));
  app.add_option("--check-journal", options.check_journal,
                 "Check this journal's folder, change nothing, and end");
  app.add_option("--retain-bytes", retain_bytes,
                 "Events are kept up to so many bytes, such as 1G (default: 256M)")
      ->type_name("SIZE");
  app.add_option("--retain-age", retain_age, "... and for so long; 0: however long (default: 30d)");
  app.add_option(
         "--output-kept", output_kept,
         "Output kept of all jobs together, such as 500M (default: 8G); the oldest goes first")
      ->type_name("SIZE");
  app.add_option("--snapshot-events", options.snapshot_events, "For tests: a snapshot so often")
      ->group("")
      ->check(CLI::Range(uint64_t{1}, kSnapshotEvents));
  app.add_option("--ready-fd", options.ready_fd, "Descriptor to write one byte to once it serves")
      ->group("");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) std::exit(app.exit(error));
    return Error{ErrorCode::kInvalidArgument, "USAGE",
                 std::string(error.what()) + "; see brood-agent --help", ""};
  }
  if (!retain_bytes.empty()) {
    const Result<uint64_t> bytes = ParseByteSize(retain_bytes, "--retain-bytes");
    if (!bytes) return bytes.error();
    if (*bytes < kRetainBytesMin || *bytes > kRetainBytesMax) {
      return FieldError("--retain-bytes", "'" + retain_bytes + "' is out of range; give 16M to 1T");
    }
    options.retain_bytes = *bytes;
  }
  Result<google::protobuf::Duration> age = ParseDuration(retain_age, "--retain-age");
  if (!age) return age.error();
  options.retain_ns = DurationNanos(*age);
  const Result<google::protobuf::Duration> reader_patience =
      ParseDuration(patience, "--reader-patience");
  if (!reader_patience) return reader_patience.error();
  options.reader_patience = std::chrono::seconds(reader_patience->seconds()) +
                            std::chrono::nanoseconds(reader_patience->nanos());
  if (options.reader_patience < kReaderPatienceMin) {
    return FieldError("--reader-patience", "'" + patience + "' is too short; take 100ms or more");
  }
  options.output_bytes_kept = kOutputBytesKept;
  if (!output_kept.empty()) {
    const Result<uint64_t> bytes = ParseByteSize(output_kept, "--output-kept");
    if (!bytes) return bytes.error();
    if (*bytes < kStreamBytesMin) {
      return FieldError("--output-kept", "'" + output_kept + "' is too little; give at least 64K");
    }
    options.output_bytes_kept = *bytes;
  }
  options.default_mode = mode == "thread" ? v1::MODE_THREAD : v1::MODE_FORK;
  if (options.name.empty()) options.name = HostName();
  if (Status bad = ValidateJobId("--name", options.name)) return *bad;
  options.state_directory = MachineStateDirectory(paths->state);
  options.runtime_directory = paths->runtime;
  options.configuration = paths->config;
  if (listen.rfind("unix:", 0) == 0) {
    options.socket_path = listen.substr(5);
  } else if (!listen.empty()) {
    if (Status bad = SplitAddress(listen, &options)) return *bad;
    if (!options.insecure_loopback) {
      Result<TlsFiles> files = TlsFilesOf(paths->config, tls);
      if (!files) return files.error();
      options.tls = std::move(*files);
    }
  }
  if (options.socket_path.empty()) options.socket_path = AgentSocketPath(options.runtime_directory);
  return options;
}

}  // namespace brood

// SPDX-License-Identifier: Apache-2.0
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/job/duration.h"
#include "controller/cli/command.h"
#include "controller/client/host_set_file.h"

namespace brood::cli {

std::string RefuseEmpty(const std::string& word) {
  return word.empty() ? "is empty; give a value or leave the option out" : "";
}

namespace {

// The sets that -w and -x were given.
struct HostSets {
  std::vector<std::string> taken;
  std::vector<std::string> left_out;
};

std::string SetOfWord(const std::string& option, const std::string& word) {
  if (word.front() != '^') return word;
  Result<std::string> set = ReadHostSetFile(word.substr(1));
  if (!set) throw CLI::ValidationError(option, set.error().message);
  return *set;
}

// One set of all. A single one stays as it is: a message names positions in it.
std::string SetOf(const HostSets& sets) {
  if (sets.taken.size() == 1 && sets.left_out.empty()) return sets.taken[0];
  std::string set;
  for (const std::string& taken : sets.taken) set += (set.empty() ? "(" : ",(") + taken + ")";
  for (const std::string& left_out : sets.left_out) set += "!(" + left_out + ")";
  return set;
}

CLI::Option* AddSets(CLI::App& app, const char* name, std::vector<std::string>* into,
                     const std::function<void()>& changed, const char* description) {
  return app
      .add_option_function<std::vector<std::string>>(
          name,
          [into, changed, name](const std::vector<std::string>& words) {
            into->clear();
            // Here, and so once: a file may be a pipe.
            for (const std::string& word : words)
              into->push_back(SetOfWord(std::string(name, 2), word));
            changed();
          },
          description)
      ->type_name("SET")
      ->check(RefuseEmpty)
      ->expected(1)
      ->allow_extra_args(false)
      ->take_all();
}

}  // namespace

void AddHostsOption(CLI::App& app, std::string& set) {
  const auto sets = std::make_shared<HostSets>();
  const auto changed = [sets, &set] { set = SetOf(*sets); };
  CLI::Option* const taken =
      AddSets(app, "-w,--hosts", &sets->taken, changed,
              "hosts, such as node[1-3],web, @lab or ^FILE; the local one without");
  AddSets(app, "-x,--exclude", &sets->left_out, changed, "of those, hosts to leave out")
      ->needs(taken);
}

void AddGiveUpOption(CLI::App& app, ResumePolicy& policy) {
  app.add_option_function<std::string>(
         "--give-up-after",
         [&policy](const std::string& word) {
           const auto duration = ParseDuration(word, "--give-up-after");
           // Its message names the option; CLI11's other constructor would do so again.
           if (!duration) throw CLI::ValidationError(duration.error().message);
           policy.give_up_after_ns = duration->seconds() * 1'000'000'000 + duration->nanos();
         },
         "how long a host that was lost is tried again (30s)")
      ->type_name("DURATION");
}

std::string LostSentence(const Error& why, const ResumePolicy& policy) {
  return "the connection is lost (" + why.message + "); trying again for " +
         DurationText(policy.give_up_after_ns);
}

void AddFormatOption(CLI::App& app, OutputFormat& format, const char* allowed) {
  static const std::map<std::string, OutputFormat> kAll = {
      {"text", OutputFormat::kText},       {"table", OutputFormat::kTable},
      {"wide", OutputFormat::kWide},       {"json", OutputFormat::kJson},
      {"jsonl", OutputFormat::kJsonLines}, {"name", OutputFormat::kName}};
  const std::string list = std::string("|") + allowed + "|";
  app.add_option_function<std::string>(
         "-o,--format",
         [&format, list, allowed](const std::string& name) {
           const auto found = kAll.find(name);
           if (found == kAll.end() || list.find("|" + name + "|") == std::string::npos) {
             throw CLI::ValidationError("-o", "'" + name + "' is not one of " + allowed);
           }
           format = found->second;
         },
         "format of the output")
      ->type_name(allowed);
  if (app.get_option_no_throw("--output") == nullptr) RefuseOutputOption(app);
}

void RefuseOutputOption(CLI::App& app) {
  app.add_option_function<std::string>("--output",
                                       [](const std::string& word) {
                                         throw CLI::ValidationError(
                                             "--output",
                                             "says where a job of 'brood run' writes; for the "
                                             "format write -o " +
                                                 word + " or --format " + word);
                                       })
      ->group("");
}

}  // namespace brood::cli

// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <ctime>
#include <iostream>

#include "common/base/paths.h"
#include "common/tls/configuration.h"
#include "controller/certs/authority.h"
#include "controller/certs/private_file.h"
#include "controller/cli/commands.h"
#include "controller/cli/table.h"
#include "controller/client/host_set.h"
#include "controller/client/inventory.h"

namespace brood::cli {
namespace {

struct Options {
  std::string folder;
  std::string realm = "brood";
  std::string kind;
  std::vector<std::string> names;
  std::vector<std::string> addresses;
  std::vector<std::string> files;
  int days = 0;  // 0: what is usual
  bool all = false;
  bool here = false;
};

int64_t Now() { return static_cast<int64_t>(std::time(nullptr)); }

std::string FolderOf(const std::string& path) { return path.substr(0, path.rfind('/')); }

std::string AuthorityFolder(const Options& options, const Context& context) {
  return options.folder.empty() ? FolderOf(context.paths.config) + "/authority" : options.folder;
}

// The names of sets such as node[01-16]; groups are for hosts that there are.
Result<std::vector<std::string>> ExpandNames(const std::vector<std::string>& sets,
                                             const Inventory& inventory) {
  std::vector<std::string> names;
  for (const std::string& set : sets) {
    const Result<std::vector<std::string>> some =
        ExpandHostSet(set, [&inventory](const std::string& group) -> Result<std::string> {
          const Result<std::vector<HostAddress>> hosts = inventory.Select("@" + group);
          if (!hosts) return hosts.error();
          std::string list;
          for (const HostAddress& host : *hosts) list += (list.empty() ? "" : ",") + host.name;
          return list;
        });
    if (!some) return some.error();
    names.insert(names.end(), some->begin(), some->end());
  }
  return names;
}

// Under which other clients may know an agent: its name, what was given, and what the hosts file
// has.
std::vector<std::string> AddressesOf(const std::string& name, const Options& options,
                                     const Inventory& inventory) {
  std::vector<std::string> addresses = {name};
  addresses.insert(addresses.end(), options.addresses.begin(), options.addresses.end());
  const auto known = inventory.hosts().find(name);
  if (known != inventory.hosts().end() && known->second.target.rfind("unix:", 0) != 0) {
    const std::string& target = known->second.target;
    std::string host = target.substr(0, target.rfind(':'));
    if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
    addresses.push_back(host);
  }
  std::sort(addresses.begin() + 1, addresses.end());
  addresses.erase(std::unique(addresses.begin() + 1, addresses.end()), addresses.end());
  if (std::count(addresses.begin(), addresses.end(), name) > 1) addresses.erase(addresses.begin());
  return addresses;
}

// Puts it where this machine's own brood looks. What is there is replaced only by a certificate of
// the same identity, and only with `replace`.
Status PutHere(const Issued& issued, const Authority& authority, bool replace,
               const Configuration& configuration) {
  const TlsFiles& files =
      issued.identity.kind == PeerKind::kAgent ? configuration.agent : configuration.user;
  if (files.key != files.certificate) {
    return Error{ErrorCode::kFailedPrecondition, "TWO_FILES",
                 "the configuration has key '" + files.key + "' and certificate '" +
                     files.certificate + "' in two files; put '" + issued.file + "' there by hand",
                 ""};
  }
  for (const std::string& file : {files.certificate, files.ca}) {
    if (Status failed = MakePrivateDirectory(FolderOf(file))) return failed;
  }
  const Result<std::string> ca = ReadTlsFile(files.ca);
  if (ca && ca->find(authority.certificate_pem()) == std::string::npos) {
    return Error{ErrorCode::kAlreadyExists, "FILE_EXISTS",
                 "'" + files.ca + "' is of another certificate authority; move it away first", ""};
  }
  if (!ca) {
    if (Status failed = CreateFile(files.ca, authority.certificate_pem(), kPublicMode)) {
      return failed;
    }
  }
  const Result<std::string> present = ReadTlsFile(files.certificate);
  const Result<Certificate> certificate = present ? ParseCertificate(*present) : present.error();
  const Result<Identity> identity =
      certificate ? IdentityAmong(certificate->uris) : certificate.error();
  if (replace && identity && *identity == issued.identity) {
    return ReplaceFile(files.certificate, issued.pem, kPrivateMode);
  }
  return CreateFile(files.certificate, issued.pem, kPrivateMode);
}

// What goes where; `here` are those that are there already.
void PrintPlaces(const std::vector<Issued>& all, const Authority& authority, bool here,
                 const Configuration& configuration, Context& context) {
  Table table({"FILE", "GOES TO", "MODE", "VALID UNTIL"});
  for (const Issued& issued : all) {
    const bool agent = issued.identity.kind == PeerKind::kAgent;
    const TlsFiles& files = agent ? configuration.agent : configuration.user;
    const std::string whose =
        agent ? issued.identity.name + ":" : "machine of " + issued.identity.name + ":";
    const std::string place = "~/.config/brood/certs/";
    table.Add(
        {issued.file,
         here ? "(here) " + files.certificate : whose + place + (agent ? "agent.pem" : "user.pem"),
         "0600", TimeText(issued.certificate.not_after)});
    table.Add({authority.certificate_file(), here ? "(here) " + files.ca : whose + place + "ca.pem",
               "0644", TimeText(authority.certificate().not_after)});
  }
  table.Print(context.out);
}

int Init(const Options& options, Context& context) {
  const std::string folder = AuthorityFolder(options, context);
  const Result<Authority> made = Authority::Init(
      folder, options.realm, options.days == 0 ? kAuthorityDays : options.days, Now());
  if (!made) return context.Fail(made.error(), kExitFailed);
  context.err << "brood: the certificate authority of realm '" << made->realm() << "' is in '"
              << folder << "', valid until " << TimeText(made->certificate().not_after)
              << "\nbrood: keep ca.key there, and nowhere else; next: `brood certs issue user NAME "
                 "--here`, `brood certs issue agent HOST`\n";
  return kExitOk;
}

// Issues or rotates for each of the names; what was made before one failed stays, and is told.
int Make(const Options& options, bool rotate, Context& context) {
  const Result<Inventory> inventory = Inventory::Load(context.paths);
  if (!inventory) return context.Fail(inventory.error(), kExitFailed);
  const Result<Configuration> configuration = LoadConfiguration(context.paths.config);
  if (!configuration) return context.Fail(configuration.error(), kExitFailed);
  const Result<Authority> authority = Authority::Open(AuthorityFolder(options, context));
  if (!authority) return context.Fail(authority.error(), kExitFailed);
  std::vector<Identity> wanted;
  if (options.all) {
    const Result<std::vector<Issued>> all = authority->List();
    if (!all) return context.Fail(all.error(), kExitFailed);
    for (const Issued& issued : *all) wanted.push_back(issued.identity);
  } else {
    const Result<PeerKind> kind = ParsePeerKind(options.kind);
    if (!kind) return context.Fail(kind.error(), kExitUsage);
    const Result<std::vector<std::string>> names = ExpandNames(options.names, *inventory);
    if (!names) return context.Fail(names.error(), kExitUsage);
    for (const std::string& name : *names) wanted.push_back({authority->realm(), *kind, name});
  }
  if (wanted.empty()) {
    context.err << "brood: name whom it is for: KIND NAME, as in `agent node1`\n";
    return kExitUsage;
  }
  if (wanted.size() > 1 && (options.here || !options.addresses.empty())) {
    context.err << "brood: --here and --address are for one name at a time\n";
    return kExitUsage;
  }
  std::vector<Issued> made;
  int code = kExitOk;
  for (const Identity& identity : wanted) {
    const bool agent = identity.kind == PeerKind::kAgent;
    const int usual = agent ? kAgentDays : kUserDays;
    const Result<Issued> issued =
        rotate ? authority->Rotate(identity.kind, identity.name, Now())
               : authority->Issue(
                     identity.kind, identity.name,
                     agent ? AddressesOf(identity.name, options, *inventory) : options.addresses,
                     options.days == 0 ? usual : options.days, Now());
    if (!issued) {
      code = context.Fail(issued.error(), kExitFailed);
      break;
    }
    made.push_back(*issued);
    const Status not_put =
        options.here ? PutHere(*issued, *authority, rotate, *configuration) : Ok();
    if (not_put) code = context.Fail(*not_put, kExitFailed);
  }
  if (!made.empty()) {
    PrintPlaces(made, *authority, options.here && code == kExitOk, *configuration, context);
    if (rotate)
      context.err << "brood: an agent takes a new file within seconds, without a restart\n";
  }
  return code;
}

std::string Join(const std::vector<std::string>& some, const std::vector<std::string>& more) {
  std::string text;
  for (const auto* const list : {&some, &more}) {
    for (const std::string& word : *list) text += (text.empty() ? "" : " ") + word;
  }
  return text;
}

// The files named; else those of the authority, and those that this machine's brood uses.
int Show(const Options& options, Context& context) {
  std::vector<std::string> files = options.files;
  if (files.empty()) {
    const Result<Configuration> configuration = LoadConfiguration(context.paths.config);
    if (!configuration) return context.Fail(configuration.error(), kExitFailed);
    for (const std::string& file : {configuration->user.ca, configuration->user.certificate,
                                    configuration->agent.ca, configuration->agent.certificate}) {
      const bool there = ReadTlsFile(file).ok();
      if (there && std::count(files.begin(), files.end(), file) == 0) files.push_back(file);
    }
    const Result<Authority> authority = Authority::Open(AuthorityFolder(options, context));
    if (authority) {
      const Result<std::vector<Issued>> all = authority->List();
      if (!all) return context.Fail(all.error(), kExitFailed);
      files.push_back(authority->certificate_file());
      for (const Issued& issued : *all) files.push_back(issued.file);
    }
  }
  int code = kExitOk;
  Table table({"IDENTITY", "VALID UNTIL", "STATE", "ADDRESSES", "SHA-256", "FILE"});
  for (const std::string& file : files) {
    const Result<std::string> pem = ReadTlsFile(file);
    Result<Certificate> certificate = pem ? ParseCertificate(*pem) : pem.error();
    if (!certificate) {
      certificate.error().message = "'" + file + "': " + certificate.error().message;
      code = context.Fail(certificate.error(), kExitFailed);
      continue;
    }
    const Result<Identity> identity = IdentityAmong(certificate->uris);
    const int64_t now = Now();
    const bool valid = WrongTime(*certificate, now).empty();
    if (!valid) code = kExitFailed;
    table.Add({identity ? identity->Uri() : certificate->common_name,
               TimeText(certificate->not_after),
               valid                           ? "valid"
               : now < certificate->not_before ? "NOT YET VALID"
                                               : "EXPIRED",
               Join(certificate->dns_names, certificate->ip_addresses),
               certificate->fingerprint.substr(0, 16), file});
  }
  if (!table.empty()) table.Print(context.out);
  if (files.empty()) context.err << "brood: there are no certificates here; `brood certs init`\n";
  return code;
}

Action Declare(CLI::App& app, Context& context) {
  auto options = std::make_shared<Options>();
  app.require_subcommand(1);
  CLI::App* const init = app.add_subcommand("init", "make a certificate authority");
  CLI::App* const issue =
      app.add_subcommand("issue", "issue certificates: agent HOST..., or user NAME...");
  CLI::App* const rotate = app.add_subcommand(
      "rotate", "put new keys and certificates in the place of those that were issued");
  CLI::App* const show = app.add_subcommand("show", "show certificates, and until when they hold");
  for (CLI::App* const each : {init, issue, rotate, show}) {
    each->add_option("--authority", options->folder,
                     "Folder of the certificate authority (default: authority, beside the "
                     "configuration)")
        ->type_name("FOLDER");
  }
  init->add_option("--realm", options->realm, "What the identities begin with")
      ->type_name("NAME")
      ->capture_default_str();
  for (CLI::App* const each : {init, issue}) {
    each->add_option("--days", options->days,
                     "How long it is valid (default: authority 3650, agents 365, users 90)")
        ->type_name("N");
  }
  for (CLI::App* const each : {issue, rotate}) {
    each->add_option("kind", options->kind, "agent or user")->type_name("KIND");
    each->add_option("name", options->names, "Whom it is for; sets are understood: node[01-16]")
        ->type_name("NAME");
    each->add_flag("--here", options->here,
                   "Also put it where this machine's brood looks for it, with ca.pem");
  }
  issue
      ->add_option("--address", options->addresses,
                   "A DNS name or address of an agent, for other clients than brood's")
      ->type_name("ADDRESS")
      ->expected(1);
  rotate->add_flag("--all", options->all, "All that were issued");
  show->add_option("file", options->files, "Files of certificates")->type_name("FILE");
  return [options, init, issue, rotate, &context] {
    if (init->parsed()) return Init(*options, context);
    if (issue->parsed()) return Make(*options, false, context);
    if (rotate->parsed()) return Make(*options, true, context);
    return Show(*options, context);
  };
}

}  // namespace

Command CertsCommand() {
  return {"certs", "make and show the certificates by which hosts and users know each other",
          Declare};
}

}  // namespace brood::cli

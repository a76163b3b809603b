#include "proxy/variants.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/log.h"
#include "base/strings.h"
#include "os/files.h"
#include "proxy/tool.h"

namespace k8lite::proxy {
namespace {

constexpr const char* kAdvice =
    "install the package iptables (Debian, Ubuntu: apt install iptables; Fedora, RHEL: dnf install iptables-nft; Alpine: apk add iptables) and start k8lite again";

std::string find_in(const std::vector<std::string>& folders, const std::string& name) {
  for (const auto& folder : folders)
    if (std::string path = folder + "/" + name; ::access(path.c_str(), X_OK) == 0) return path;
  return {};
}

IptablesTools tools_named(const std::vector<std::string>& folders, const std::string& kind) {
  IptablesTools t{find_in(folders, "iptables" + kind + "-restore"), find_in(folders, "iptables" + kind + "-save")};
  if (t.restore.empty() || t.save.empty()) return {};
  // Versions before 1.8 know only legacy and say nothing of it.
  auto version = run_tool(t.restore, {"--version"});
  t.legacy = version.ok() && version->find("nf_tables") == std::string::npos;
  return t;
}

}  // namespace

std::vector<std::string> tool_folders() {
  std::vector<std::string> out;
  const char* path = std::getenv("PATH");
  for (auto& folder : split_strings(std::string(path ? path : "") + ":/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/bin", ':'))
    if (folder.starts_with('/') && std::find(out.begin(), out.end(), folder) == out.end()) out.push_back(folder);
  return out;
}

Result<IptablesTools> find_iptables(const std::vector<std::string>& folders) {
  std::string complaints;
  for (const char* kind : {"", "-nft", "-legacy"}) {
    IptablesTools t = tools_named(folders, kind);
    if (t.restore.empty()) continue;
    auto works = run_tool(t.restore, {"--noflush", "--test"}, "*nat\nCOMMIT\n*filter\nCOMMIT\n");
    if (works.ok()) {
      if (!complaints.empty()) log_warn("iptables of this machine does not work with its kernel, another one is used", {{"used", t.restore}, {"error", complaints}});
      return t;
    }
    complaints += (complaints.empty() ? "" : "; ") + works.status().message();
  }
  if (complaints.empty()) return not_found(std::string("iptables-restore and iptables-save are not found in PATH, /usr/sbin or /sbin: services and host ports need iptables on this node; ") + kAdvice);
  return unavailable("no iptables of this machine works with its kernel (is the module nf_tables or ip_tables there?): " + complaints);
}

std::vector<IptablesTools> other_iptables(const IptablesTools& used, const std::vector<std::string>& folders) {
  // Merely asking legacy iptables would load its kernel modules; a table that was never used has no rules.
  if (!used.legacy && os::read_file("/proc/net/ip_tables_names").value_or("").empty()) return {};
  for (const char* kind : {"-nft", "-legacy", ""}) {
    IptablesTools t = tools_named(folders, kind);
    if (!t.restore.empty() && t.legacy != used.legacy) return {t};
  }
  return {};
}

}  // namespace k8lite::proxy

#include "proxy/iptables.h"

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "proxy/tool.h"

namespace k8lite::proxy {
namespace {

bool is_ours(std::string_view chain) { return chain.starts_with("KUBE-") || chain.starts_with("K8LITE-"); }

// Target of a rule in iptables-save's words: the word behind -j or -g outside of quotes; "" for none.
std::string_view target_of(std::string_view rule) {
  bool quoted = false, next = false;
  for (std::string_view word : split(rule, ' ')) {
    if (next && !quoted) return word;
    for (size_t i = 0; i < word.size(); ++i)
      if (word[i] == '"' && (i == 0 || word[i - 1] != '\\')) quoted = !quoted;
    next = !quoted && (word == "-j" || word == "-g");
  }
  return {};
}

uint64_t hash_of(std::string_view rules) {
  uint64_t h = fnv1a64(rules);
  return h ? h : 1;
}

// Lines that turn `known` into `wanted`, with the changes of jumps before chains are deleted; "" when there is nothing to do.
std::string difference(const Chains& wanted, const std::map<std::string, uint64_t>& known, const std::string& jumps) {
  std::string declare, rules, drop;
  for (auto& [name, lines] : wanted) {
    auto old = known.find(name);
    if (old != known.end() && old->second == hash_of(lines)) continue;
    declare += ":" + name + " - [0:0]\n";  // creates it or empties it
    rules += lines;
  }
  for (auto& [name, hash] : known) {
    if (wanted.contains(name)) continue;
    declare += ":" + name + " - [0:0]\n";
    drop += "-X " + name + "\n";
  }
  return declare + rules + jumps + drop;
}

std::map<std::string, uint64_t> remembered(const Chains& chains) {
  std::map<std::string, uint64_t> out;
  for (auto& [name, lines] : chains) out[name] = hash_of(lines);
  return out;
}

std::string table_text(std::string_view table, const std::string& lines) {
  return lines.empty() ? "" : "*" + std::string(table) + "\n" + lines + "COMMIT\n";
}

// iptables-restore names the line where it gave up; adds that line's text.
std::string with_line(const std::string& message, const std::string& text) {
  for (std::string_view key : {"line: ", "line "}) {
    size_t at = message.find(key);
    if (at == std::string::npos) continue;
    size_t digits = message.find_first_not_of("0123456789", at += key.size());
    auto number = parse_int(std::string_view(message).substr(at, digits == std::string::npos ? digits : digits - at));
    auto lines = split(text, '\n');
    if (number && *number > 0 && static_cast<size_t>(*number) <= lines.size()) return message + " (" + std::string(lines[static_cast<size_t>(*number) - 1]) + ")";
  }
  return message;
}

}  // namespace

std::map<std::string, SavedTable> parse_saved(const std::string& text) {
  std::map<std::string, SavedTable> out;
  SavedTable* table = nullptr;
  for (std::string_view line : split(text, '\n')) {
    if (line.starts_with('*')) table = &out[std::string(trim(line.substr(1)))];
    if (!table) continue;
    if (line.starts_with(':')) {
      std::string_view name = line.substr(1, line.find(' ') - 1);
      if (is_ours(name)) table->chains.emplace_back(name);
    } else if (line.starts_with("-A ")) {
      std::string_view rule = line.substr(3);
      if (!is_ours(rule.substr(0, rule.find(' '))) && is_ours(target_of(rule))) table->jumps.emplace_back(rule);
    }
  }
  return out;
}

const Layout& service_layout() {
  static const Layout layout = {service_jumps(), {"KUBE-SVC-", "KUBE-SVL-", "KUBE-SEP-", "KUBE-EXT-", "KUBE-FW-"}};
  return layout;
}

// Chains that come and go with services; only these are swept when they are not wanted any more.
bool Applier::is_dynamic(std::string_view chain) const {
  return std::any_of(layout_->dynamic.begin(), layout_->dynamic.end(), [chain](const std::string& prefix) { return chain.starts_with(prefix); });
}

// Jumps that a fresh start replaces: ours, and any that would keep a stale chain from being deleted.
bool Applier::is_replaced(std::string_view target) const {
  return is_dynamic(target) || std::any_of(layout_->jumps.begin(), layout_->jumps.end(), [target](const Jump& j) { return j.target == target; });
}

std::string Applier::insert_jumps(std::string_view table) const {
  std::string out;
  auto& jumps = layout_->jumps;
  for (auto j = jumps.rbegin(); j != jumps.rend(); ++j)  // each goes to the head, so the last first
    if (j->table == table) out += (layout_->append ? "-A " + j->chain + " " : "-I " + j->chain + " 1 ") + j->rule + "\n";
  return out;
}

Result<Applier> Applier::open(const Layout& layout) {
  TRY(IptablesTools tools, find_iptables());
  return Applier(std::move(tools), layout);
}

Result<std::map<std::string, SavedTable>> Applier::saved() const {
  TRY(std::string text, run_tool(tools_.save, {}));
  return parse_saved(text);
}

Result<> Applier::restore(const std::string& text) const {
  auto done = run_tool(tools_.restore, {"--noflush", "-w", "5"}, text);
  if (done.ok()) return {};
  return Status(done.status().reason(), with_line(done.status().message(), text), done.status().sys_errno());
}

Result<> Applier::apply_extra(const std::string& restore_text) {
  TRY(auto now, saved());
  static const struct { std::string table, chain, target; } kEnds[] = {{"nat", "POSTROUTING", "K8LITE-POSTRTG"}, {"nat", "PREROUTING", "K8LITE-DNS"}, {"nat", "OUTPUT", "K8LITE-DNS"}, {"filter", "FORWARD", "K8LITE-FWD"}, {"filter", "INPUT", "K8LITE-INPUT"}};
  std::string batch = restore_text, table;
  if (!batch.empty() && !batch.ends_with('\n')) batch += '\n';
  std::set<std::pair<std::string, std::string>> declared;
  for (std::string_view line : split(restore_text, '\n')) {
    if (line.starts_with('*')) table = trim(line.substr(1));
    if (line.starts_with(':')) declared.emplace(table, line.substr(1, line.find(' ') - 1));
  }
  for (const char* name : {"nat", "filter"}) {
    std::string lines;
    for (auto& rule : now[name].jumps)
      for (auto& end : kEnds)
        if (end.table == name && declared.contains({name, end.target}) && target_of(rule) == end.target && rule.starts_with(end.chain + " ")) lines += "-D " + rule + "\n";
    for (auto& end : kEnds)
      if (end.table == name && declared.contains({name, end.target})) lines += "-I " + end.chain + " 1 -m comment --comment \"k8lite pod network\" -j " + end.target + "\n";
    batch += table_text(name, lines);
  }
  if (batch.empty()) return {};
  return restore(batch);
}

void Applier::learn(const std::map<std::string, SavedTable>& now) {
  nat_.clear();
  filter_.clear();
  for (auto& [name, table] : now) {
    if (name != "nat" && name != "filter") continue;
    for (auto& chain : table.chains)
      if (is_dynamic(chain)) (name == "nat" ? nat_ : filter_)[chain] = 0;
  }
}

Result<> Applier::apply(const RuleSet& wanted) {
  last_batch_.clear();
  std::map<std::string, std::string> jumps;
  if (!synced_) {
    TRY(auto now, saved());
    learn(now);
    for (auto table : {"nat", "filter"}) {
      for (auto& rule : now[table].jumps)
        if (is_replaced(target_of(rule))) jumps[table] += "-D " + rule + "\n";
      jumps[table] += insert_jumps(table);
    }
  }
  std::string batch = table_text("filter", difference(wanted.filter, filter_, jumps["filter"])) + table_text("nat", difference(wanted.nat, nat_, jumps["nat"]));
  if (batch.empty()) return {};
  auto done = restore(batch);
  if (!done.ok()) {
    synced_ = false;
    return done;
  }
  synced_ = true;
  nat_ = remembered(wanted.nat);
  filter_ = remembered(wanted.filter);
  last_batch_ = std::move(batch);
  return {};
}

Result<> Applier::remove_all() {
  TRY(auto now, saved());
  std::string batch;
  for (auto& [name, table] : now) {
    std::string declare, jumps, drop;
    for (auto& rule : table.jumps) jumps += "-D " + rule + "\n";
    for (auto& chain : table.chains) declare += ":" + chain + " - [0:0]\n", drop += "-X " + chain + "\n";
    batch += table_text(name, declare + jumps + drop);
  }
  synced_ = false;
  if (batch.empty()) return {};
  return restore(batch);
}

}  // namespace k8lite::proxy

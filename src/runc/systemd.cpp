// See systemd.h.
#include "runc/systemd.h"

#include <stdlib.h>
#include <unistd.h>

#include "runc/cgroups.h"
#include "runc/common.h"
#include "runc/dbus.h"
#include "runc/devices.h"

namespace k8lite::runc {
namespace {

constexpr uint64_t kNoLimit = ~uint64_t{0};

// The properties of a unit: an array of (name, variant).
class Properties {
 public:
  Properties(DbusText& to) : to_(to), token_(to.begin_array(8)) {}
  void string(const char* name, std::string_view v) { head(name, "s"), to_.string(v); }
  void flag(const char* name, bool v) { head(name, "b"), to_.u32(v); }
  void u64(const char* name, uint64_t v) { head(name, "t"), to_.u64(v); }
  void strings(const char* name, const std::vector<std::string>& list) {
    head(name, "as");
    size_t token = to_.begin_array(4);
    for (const auto& s : list) to_.string(s);
    to_.end_array(token);
  }
  void process(pid_t pid) {
    head("PIDs", "au");
    size_t token = to_.begin_array(4);
    to_.u32(static_cast<uint32_t>(pid));
    to_.end_array(token);
  }
  // A set of small numbers ("0-2,5") as a mask of bytes.
  void set(const char* name, const std::string& list) {
    std::string mask;
    for (const auto& part : split(list, ',')) {
      char* end = nullptr;
      unsigned long from = strtoul(part.c_str(), &end, 10), to = *end == '-' ? strtoul(end + 1, nullptr, 10) : from;
      for (unsigned long n = from; n <= to && n < 8192; ++n) {
        if (mask.size() <= n / 8) mask.resize(n / 8 + 1);
        mask[n / 8] = static_cast<char>(mask[n / 8] | 1 << n % 8);
      }
    }
    head(name, "ay");
    size_t token = to_.begin_array(1);
    for (char c : mask) to_.byte(static_cast<uint8_t>(c));
    to_.end_array(token);
  }
  void devices(const std::vector<std::pair<std::string, std::string>>& list) {
    head("DeviceAllow", "a(ss)");
    size_t token = to_.begin_array(8);
    for (const auto& [path, access] : list) to_.align(8), to_.string(path), to_.string(access);
    to_.end_array(token);
  }
  void head(const char* name, const char* type) { to_.align(8), to_.string(name), to_.signature(type); }
  void end() { to_.end_array(token_); }
  DbusText& text() { return to_; }

 private:
  DbusText& to_;
  size_t token_;
};

void memory_and_processes(Properties& p, const Json& r, bool v2) {
  const Json& m = r["memory"];
  auto limit = [&p](const char* name, int64_t n) {
    if (n != 0) p.u64(name, n < 0 ? kNoLimit : static_cast<uint64_t>(n));
  };
  int64_t bytes = m["limit"].int_or(0), swap = m["swap"].int_or(0);
  limit(v2 ? "MemoryMax" : "MemoryLimit", bytes);
  if (v2) {
    limit("MemoryLow", m["reservation"].int_or(0));
    if (swap != 0) p.u64("MemorySwapMax", swap < 0 ? kNoLimit : static_cast<uint64_t>(bytes > 0 ? swap - bytes : swap));
  }
  limit("TasksMax", r["pids"]["limit"].int_or(0));
}

// The unit speaks of a quota a second, in steps of 10 ms.
void processors(Properties& p, const Json& cpu, bool v2) {
  if (uint64_t shares = cpu["shares"].uint_or(0); shares > 0)
    p.u64(v2 ? "CPUWeight" : "CPUShares", v2 ? weight_of_shares(shares) : shares);
  int64_t quota = cpu["quota"].int_or(0);
  uint64_t period = cpu["period"].uint_or(0);
  if (period) p.u64("CPUQuotaPeriodUSec", period);
  if (quota != 0 || period) {
    uint64_t a_second = kNoLimit;
    if (quota > 0)
      a_second = (static_cast<uint64_t>(quota) * 1'000'000 / (period ? period : 100'000) + 9'999) / 10'000 * 10'000;
    p.u64("CPUQuotaPerSecUSec", a_second);
  }
  if (!v2) return;
  if (const std::string& list = cpu["cpus"].str(); !list.empty()) p.set("AllowedCPUs", list);
  if (const std::string& list = cpu["mems"].str(); !list.empty()) p.set("AllowedMemoryNodes", list);
}

// "char-pts" for major 136: the unit names a whole major number by its driver.
std::string driver_of(char type, const std::string& major) {
  bool wanted = false;
  for (const auto& line : split(read_whole("/proc/devices"), '\n')) {
    if (line.back() == ':') wanted = starts_with(line, type == 'b' ? "Block" : "Character");
    auto words = split(line, ' ');
    if (wanted && words.size() == 2 && words[0] == major) return words[1];
  }
  return "";
}

// What the runtime's own rules leave allowed, so that the manager, when it writes them anew, says no more than they do.
void devices(Properties& p, const Json& rules) {
  std::vector<std::pair<std::string, std::string>> allowed;
  bool everything = false;
  for (const auto& [file, rule] : plan_device_writes(rules)) {
    bool allow = file == "devices.allow";
    if (rule == "a") {
      everything = allow;
      allowed.clear();
      continue;
    }
    auto words = split(rule, ' ');
    if (!allow || words.size() != 3) continue;  // a single denial cannot be said: the runtime's own rule stays
    std::string kind = rule[0] == 'b' ? "block" : "char", major = words[1].substr(0, words[1].find(':'));
    std::string path = "/dev/" + kind + "/" + words[1];
    if (major == "*")
      path = kind + "-*";
    else if (words[1].back() == '*')
      path = kind + "-" + driver_of(rule[0], major);
    else if (!exists(path))
      continue;  // the manager knows devices by their nodes
    if (path.back() == '-') continue;
    allowed.emplace_back(path, words[2]);
  }
  p.string("DevicePolicy", everything ? "auto" : "strict");
  p.devices(everything ? std::vector<std::pair<std::string, std::string>>() : allowed);
}

// org.systemd.property.NAME: a value in the manager's own notation: true, 5, uint64 5, 'text', ['a', 'b'].
void annotations(Properties& p, const Json& spec) {
  constexpr std::string_view kPrefix = "org.systemd.property.";
  for (const auto& [key, value] : spec["annotations"].members()) {
    if (!starts_with(key, kPrefix)) continue;
    std::string name = key.substr(kPrefix.size()), v = value.str();
    bool seconds =
        name.size() > 3 && name.compare(name.size() - 3, 3, "Sec") == 0 && name.find("USec") == std::string::npos;
    if (name.size() < 3 || name[0] < 'A' || name[0] > 'Z') refuse("annotation " + key + ": not a property's name");
    auto unquoted = [&key](std::string_view s) {
      if (s.size() < 2 || (s[0] != '\'' && s[0] != '"') || s.back() != s[0])
        refuse("annotation " + key + ": bad value");
      return std::string(s.substr(1, s.size() - 2));
    };
    size_t space = v.find(' ');
    std::string type = space == std::string::npos ? "" : v.substr(0, space);
    std::string number = space == std::string::npos ? v : v.substr(space + 1);
    if (seconds) {
      char* end = nullptr;
      double n = strtod(number.c_str(), &end);
      if (number.empty() || *end) refuse("annotation " + key + ": bad value");
      p.u64((name.substr(0, name.size() - 3) + "USec").c_str(), static_cast<uint64_t>(n * 1'000'000));
    } else if (v == "true" || v == "false") {
      p.flag(name.c_str(), v == "true");
    } else if (!v.empty() && (v[0] == '\'' || v[0] == '"')) {
      p.string(name.c_str(), unquoted(v));
    } else if (!v.empty() && v[0] == '[' && v.back() == ']') {
      std::vector<std::string> list;
      for (auto& part : split(std::string_view(v).substr(1, v.size() - 2), ',')) {
        size_t from = part.find_first_not_of(' '), to = part.find_last_not_of(' ');
        if (from != std::string::npos) list.push_back(unquoted(part.substr(from, to - from + 1)));
      }
      p.strings(name.c_str(), list);
    } else {
      char* end = nullptr;
      auto n = static_cast<uint64_t>(strtoll(number.c_str(), &end, 10));
      if (type == "uint64") n = strtoull(number.c_str(), &end, 10);
      if (number.empty() || *end) refuse("annotation " + key + ": bad value");
      if (type == "uint64" || type == "int64")
        p.head(name.c_str(), type == "uint64" ? "t" : "x"), p.text().u64(n);
      else if (type == "uint32" || type == "int32" || type.empty())
        p.head(name.c_str(), type == "uint32" ? "u" : "i"), p.text().u32(static_cast<uint32_t>(n));
      else
        refuse("annotation " + key + ": bad value");
    }
  }
}

std::string try_start(Dbus& bus, const DbusText& body, std::string& job) {
  std::vector<std::string> answer;
  std::string wrong = bus.call("StartTransientUnit", "ssa(sv)a(sa(sv))", body, answer);
  if (wrong.empty() && !answer.empty()) job = answer[0];
  return wrong;
}

}  // namespace

bool& systemd_driver() {
  static bool used = false;
  return used;
}

std::string Unit::path() const {
  std::string out, prefix;
  if (slice != "-.slice")
    for (const auto& part : split(std::string_view(slice).substr(0, slice.size() - 6), '-')) {
      prefix += (prefix.empty() ? "" : "-") + part;
      out += "/" + prefix + ".slice";
    }
  return out + "/" + name;
}

Unit unit_of(const std::string& cgroups_path, const std::string& id) {
  std::string slice = geteuid() == 0 ? "system.slice" : "user.slice", prefix = "runc", name = id;
  if (!cgroups_path.empty()) {
    size_t one = cgroups_path.find(':'), two = one == std::string::npos ? one : cgroups_path.find(':', one + 1);
    if (two == std::string::npos || cgroups_path.find(':', two + 1) != std::string::npos)
      refuse("expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got \"" + cgroups_path +
             "\" instead");
    if (one > 0) slice = cgroups_path.substr(0, one);
    prefix = cgroups_path.substr(one + 1, two - one - 1);
    name = cgroups_path.substr(two + 1);
  }
  bool good = slice.size() > 6 && slice.compare(slice.size() - 6, 6, ".slice") == 0 &&
              slice.find('/') == std::string::npos && slice.find("--") == std::string::npos;
  if (!good) refuse("invalid slice name: " + slice);
  if (name.find('/') != std::string::npos) refuse("invalid unit name: " + name);
  bool is_slice = name.size() > 6 && name.compare(name.size() - 6, 6, ".slice") == 0;
  return {slice, is_slice ? name : (prefix.empty() ? "" : prefix + "-") + name + ".scope"};
}

void start_unit(const Unit& unit, const Json& spec, const std::string& id, pid_t pid, bool v2) {
  Dbus bus;
  if (std::string wrong = bus.open_systemd(); !wrong.empty())
    refuse("unable to apply cgroup configuration: systemd cannot be asked: " + wrong);
  DbusText body;
  body.string(unit.name);
  body.string("replace");
  Properties p(body);
  bool is_slice = unit.name.back() == 'e' && unit.name.compare(unit.name.size() - 6, 6, ".slice") == 0;
  p.string("Description", "container " + id);
  if (is_slice) {
    p.strings("Wants", {unit.slice});
  } else {
    p.string("Slice", unit.slice);
    p.process(pid);
    p.flag("Delegate", true);
  }
  for (const char* name : {"MemoryAccounting", "CPUAccounting", "TasksAccounting"}) p.flag(name, true);
  p.flag(v2 ? "IOAccounting" : "BlockIOAccounting", true);
  p.flag("DefaultDependencies", false);
  const Json& r = spec["linux"]["resources"];
  memory_and_processes(p, r, v2);
  processors(p, r["cpu"], v2);
  devices(p, r["devices"]);
  annotations(p, spec);
  p.end();
  body.end_array(body.begin_array(8));
  std::string job, wrong = try_start(bus, body, job);
  if (starts_with(wrong, "org.freedesktop.systemd1.UnitExists")) {  // an earlier one of this name that failed
    std::vector<std::string> none;
    DbusText name;
    name.string(unit.name);
    bus.call("ResetFailedUnit", "s", name, none);
    wrong = try_start(bus, body, job);
  }
  if (!wrong.empty())
    refuse("unable to apply cgroup configuration: unable to start unit \"" + unit.name + "\": " + wrong);
  if (std::string result = bus.wait_for_job(job); result != "done")
    refuse("unable to apply cgroup configuration: unit \"" + unit.name + "\" was not started: " + result);
}

void update_unit(const std::string& name, const Json& resources, bool v2) {
  Dbus bus;
  std::vector<std::string> none;
  DbusText body;
  body.string(name);
  body.u32(1);  // until the next start only
  Properties p(body);
  memory_and_processes(p, resources, v2);
  processors(p, resources["cpu"], v2);
  if (resources["devices"].is_array()) devices(p, resources["devices"]);
  p.end();
  std::string wrong = bus.open_systemd();
  if (wrong.empty()) wrong = bus.call("SetUnitProperties", "sba(sv)", body, none);
  if (!wrong.empty()) refuse("unable to set unit properties of \"" + name + "\": " + wrong);
}

void stop_unit(const std::string& name) {
  Dbus bus;
  std::vector<std::string> answer;
  DbusText only, body;
  only.string(name);
  body.string(name);
  body.string("replace");
  if (std::string wrong = bus.open_systemd(); !wrong.empty()) return warn("unit " + name + ": " + wrong);
  if (bus.call("StopUnit", "ss", body, answer).empty() && !answer.empty()) bus.wait_for_job(answer[0]);
  bus.call("ResetFailedUnit", "s", only, answer);  // so that the name is free again
}

}  // namespace k8lite::runc

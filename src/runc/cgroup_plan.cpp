// Which values of `linux.resources` go into which files of a cgroup, for both versions (OCI runtime-spec 1.2,
// config-linux "Control groups").
#include <stdlib.h>

#include "runc/cgroups.h"
#include "runc/common.h"

namespace k8lite::runc {
namespace {

struct Plan {
  std::vector<CgroupWrite> out;
  void add(const char* controller, std::string file, std::string value, bool optional = false) {
    out.push_back({controller, std::move(file), std::move(value), optional});
  }
  void number(const char* controller, const char* file, const Json& value, bool optional = false) {
    if (value.exists()) add(controller, file, value.dump(), optional);
  }
};

std::string limit_text(int64_t n) { return n < 0 ? "max" : std::to_string(n); }

void memory(Plan& p, const Json& m, bool v2) {
  int64_t limit = m["limit"].int_or(0), swap = m["swap"].int_or(0);
  if (v2) {
    if (swap != 0) {
      if (swap > 0 && limit <= 0 && limit != -1) refuse("unable to set swap limit without memory limit");
      if (swap > 0 && limit > swap) refuse("memory+swap limit should be >= memory limit");
      p.add("", "memory.swap.max", swap < 0 ? "max" : std::to_string(limit > 0 ? swap - limit : swap), swap < 0);
    }
    if (limit != 0) p.add("", "memory.max", limit_text(limit));
    if (m["reservation"].int_or(0) != 0) p.add("", "memory.low", limit_text(m["reservation"].int_or(0)));
    return;
  }
  if (limit == -1 && !m["swap"].exists()) p.add("memory", "memory.memsw.limit_in_bytes", "-1", true);
  if (limit != 0) p.add("memory", "memory.limit_in_bytes", std::to_string(limit));
  if (swap != 0) p.add("memory", "memory.memsw.limit_in_bytes", std::to_string(swap), swap < 0);
  if (m["reservation"].int_or(0) != 0) p.number("memory", "memory.soft_limit_in_bytes", m["reservation"]);
  if (m["kernelTCP"].int_or(0) != 0) p.number("memory", "memory.kmem.tcp.limit_in_bytes", m["kernelTCP"], true);
  p.number("memory", "memory.swappiness", m["swappiness"]);
  if (m["disableOOMKiller"].bool_or(false)) p.add("memory", "memory.oom_control", "1");
}

void cpu(Plan& p, const Json& c, bool v2) {
  std::string period = c["period"].int_or(0) > 0 ? c["period"].dump() : "";
  int64_t quota = c["quota"].int_or(0);
  p.number("cpu", "cpu.idle", c["idle"], false);
  if (v2) {
    if (uint64_t shares = c["shares"].uint_or(0); shares > 0 && c["idle"].int_or(0) == 0)
      p.add("", "cpu.weight", std::to_string(weight_of_shares(shares)));
    if (quota != 0 || !period.empty())
      p.add("", "cpu.max", (quota > 0 ? std::to_string(quota) : "max") + (period.empty() ? "" : " " + period));
    p.number("", "cpu.max.burst", c["burst"], false);
  } else {
    if (c["shares"].uint_or(0) > 0) p.number("cpu", "cpu.shares", c["shares"]);
    p.number("cpu", "cpu.rt_period_us", c["realtimePeriod"]);
    p.number("cpu", "cpu.rt_runtime_us", c["realtimeRuntime"]);
    // A burst that fits only the new quota must come after it.
    if (!period.empty()) p.add("cpu", "cpu.cfs_period_us", period);
    if (quota != 0) p.add("cpu", "cpu.cfs_quota_us", std::to_string(quota));
    p.number("cpu", "cpu.cfs_burst_us", c["burst"], false);
  }
  for (const char* what : {"cpus", "mems"})
    if (const std::string& list = c[what].str(); !list.empty()) p.add("cpuset", std::string("cpuset.") + what, list);
}

std::string device_of(const Json& j) {
  return std::to_string(j["major"].int_or(0)) + ":" + std::to_string(j["minor"].int_or(0));
}

void block(Plan& p, const Json& b, bool v2) {
  uint64_t weight = b["weight"].uint_or(0);
  if (v2) {
    if (weight) {
      p.add("", "io.bfq.weight", std::to_string(weight), true);
      p.add("", "io.weight", "default " + std::to_string(weight_of_blkio(weight)), true);
    }
    for (const Json& d : b["weightDevice"].items())
      p.add("", "io.bfq.weight", device_of(d) + " " + d["weight"].dump(), true);
  } else {
    if (weight) {
      p.add("blkio", "blkio.bfq.weight", std::to_string(weight), true);
      p.add("blkio", "blkio.weight", std::to_string(weight), true);
    }
    if (b["leafWeight"].uint_or(0)) p.number("blkio", "blkio.leaf_weight", b["leafWeight"], true);
    for (const Json& d : b["weightDevice"].items()) {
      if (d["weight"].exists())
        for (const char* file : {"blkio.bfq.weight_device", "blkio.weight_device"})
          p.add("blkio", file, device_of(d) + " " + d["weight"].dump(), true);
      if (d["leafWeight"].exists())
        p.add("blkio", "blkio.leaf_weight_device", device_of(d) + " " + d["leafWeight"].dump(), true);
    }
  }
  static constexpr struct {
    const char *name, *v1, *v2;
  } kThrottles[] = {{"throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps"},
                    {"throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps"},
                    {"throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops"},
                    {"throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops"}};
  for (const auto& t : kThrottles)
    for (const Json& d : b[t.name].items()) {
      if (v2)
        p.add("", "io.max", device_of(d) + " " + t.v2 + "=" + d["rate"].dump());
      else
        p.add("blkio", t.v1, device_of(d) + " " + d["rate"].dump());
    }
}

}  // namespace

uint64_t weight_of_shares(uint64_t shares) {
  if (shares < 2) shares = 2;
  if (shares > 262144) shares = 262144;
  return 1 + (shares - 2) * 9999 / 262142;
}
uint64_t weight_of_blkio(uint64_t weight) { return weight < 10 ? 1 : 1 + (weight - 10) * 9999 / 990; }

std::vector<CgroupWrite> plan_cgroup(const Json& r, bool v2) {
  Plan p;
  memory(p, r["memory"], v2);
  cpu(p, r["cpu"], v2);
  if (int64_t limit = r["pids"]["limit"].int_or(0); limit != 0) p.add("pids", "pids.max", limit_text(limit));
  block(p, r["blockIO"], v2);
  for (const Json& h : r["hugepageLimits"].items())
    p.add("hugetlb", "hugetlb." + h["pageSize"].str() + (v2 ? ".max" : ".limit_in_bytes"), h["limit"].dump());
  if (!v2) {
    const Json& n = r["network"];
    p.number("net_cls", "net_cls.classid", n["classID"]);
    for (const Json& i : n["priorities"].items())
      p.add("net_prio", "net_prio.ifpriomap", i["name"].str() + " " + i["priority"].dump());
  }
  for (const auto& m : r["rdma"].members()) {
    std::string text = m.first;
    if (m.second["hcaHandles"].exists()) text += " hca_handle=" + m.second["hcaHandles"].dump();
    if (m.second["hcaObjects"].exists()) text += " hca_object=" + m.second["hcaObjects"].dump();
    p.add("rdma", "rdma.max", text);
  }
  for (const auto& m : r["unified"].members()) {
    if (m.first.find('/') != std::string::npos)
      refuse("unified resource \"" + m.first + "\" must be a file name (no slashes)");
    if (!v2) refuse("invalid configuration: unified resources are for cgroup version 2 only");
    p.add("", m.first, m.second.str());
  }
  if (v2)
    for (auto& w : p.out) w.controller.clear();
  return p.out;
}

}  // namespace k8lite::runc

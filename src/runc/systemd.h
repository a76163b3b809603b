// The systemd cgroup driver: a container's cgroup is a transient scope (or slice) of the service manager, which is
// asked for it over D-Bus by a client of a few calls (the manager's own socket, else the bus). The properties say what
// the manager must know so that it does not undo what this runtime writes into the cgroup's files.
#pragma once
#include <sys/types.h>

#include <string>

#include "runc/json.h"

namespace k8lite::runc {

bool& systemd_driver();  // --systemd-cgroup

struct Unit {
  std::string slice, name;   // "system.slice", "runc-ID.scope"
  std::string path() const;  // "/system.slice/runc-ID.scope"
};
// Of "slice:prefix:name" as runc reads it; of "" the id's. Fails with a message.
Unit unit_of(const std::string& cgroups_path, const std::string& id);

// Starts the unit with this process in it, and waits for that. Fails with a message.
void start_unit(const Unit& unit, const Json& spec, const std::string& id, pid_t pid, bool v2);
void update_unit(const std::string& name, const Json& resources, bool v2);
void stop_unit(const std::string& name);  // a unit that is not there is fine

}  // namespace k8lite::runc

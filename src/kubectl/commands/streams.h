// Helpers that several commands share: choosing the pod behind a workload, attaching, merging objects.
#pragma once
#include <string>
#include <vector>

#include "kubectl/resources.h"

namespace k8lite::kubectl {

// JSON merge, in place.
void merge_into(json::Node& into, const json::Node& more);

// "a=b,c=d" of a workload's selector (metav1.LabelSelector or a plain map); "" when it selects nothing.
std::string selector_text(const json::Node& object);

// The pods a target means: itself, or those its selector finds, oldest ready one first.
Result<std::vector<Target>> pods_of(Session& session, const Target& target);

// The first pod of TYPE/NAME, a pod's name or (with -f) a file; waits up to --pod-running-timeout for one to appear.
enum class Telling : bool { Quiet, Loud };  // whether stderr hears which of several pods was taken
Result<Target> one_pod(Session& session, const std::string& word, Telling telling = Telling::Loud);

// Waits until the pod runs or has ended, then attaches (or prints its log where it has ended).
Result<> attach_to_pod(Session& session, const Target& pod, const std::string& container);

// The server's refusal of an upgrade as its own words.
Status upgrade_error(const Status& status);

// The container a command means: -c, the default-container annotation or the first; says which on stderr when there are several.
Result<std::string> default_container(Session& session, const json::Node& pod, bool quiet);

// Copies a pod's log to stdout.
Result<> copy_log(Session& session, const Target& pod, const std::string& container, const std::string& prefix, bool follow);

}  // namespace k8lite::kubectl

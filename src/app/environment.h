// What the server and the agent do alike at the start and the end of their process.
#pragma once
#include <map>
#include <string>

#include "base/clock.h"
#include "config/settings.h"
#include "os/files.h"

namespace k8lite::app {

std::map<std::string, std::string> environment();
// Log settings, and signals blocked in every thread so that only wait_for_stop() takes them.
void prepare_process(const config::Config& config);
void wait_for_stop();  // SIGTERM or SIGINT
// Waits this long; true as soon as the process is told to stop.
bool stopped_within(Duration pause);

// Holds the data directory for one process until the descriptor is closed, however that process ends.
Result<os::Fd> lock_data_dir(const std::string& data_dir);

}  // namespace k8lite::app

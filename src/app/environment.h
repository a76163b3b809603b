// What the server and the agent do alike at the start and the end of their process.
#pragma once
#include <map>
#include <string>

#include "config/settings.h"

namespace k8lite::app {

std::map<std::string, std::string> environment();
// Log settings, and signals blocked in every thread so that only wait_for_stop() takes them.
void prepare_process(const config::Config& config);
void wait_for_stop();  // SIGTERM or SIGINT

}  // namespace k8lite::app

// The commands that look at a container or act on one that is there. Each gives the exit code.
#pragma once
#include "runc/options.h"

namespace k8lite::runc {

int verb_spec(const Options& o);
int verb_state(const Options& o);
int verb_kill(const Options& o);
int verb_delete(const Options& o);
int verb_list(const Options& o);
int verb_ps(const Options& o);
int verb_pause(const Options& o);
int verb_resume(const Options& o);
int verb_update(const Options& o);
int verb_events(const Options& o);
int verb_features(const Options& o);

}  // namespace k8lite::runc

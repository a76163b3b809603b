// Which writes of a batch may happen: expectations, guards and all-or-nothing groups. Pure, shared by every backend that keeps its
// own revisions.
#pragma once
#include <functional>
#include <span>

#include "store/store.h"

namespace k8lite::store {

// Sets outcome and assigned of each entry in order; later entries see what earlier ones of the batch did. `current` gives the
// stored revision of a key (0: not there). Returns the last revision assigned (`last` when none was).
Revision decide(std::span<Backend::Entry> entries, Revision last, const std::function<Revision(std::string_view)>& current);

}  // namespace k8lite::store

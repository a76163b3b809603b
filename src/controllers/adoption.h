// Before an orphan is adopted: is the one that wants it still there? The cache may show an owner that is deleted already, and what a dead
// owner adopts the garbage collector takes, though it was orphaned to live on.
#pragma once
#include "controllers/context.h"

namespace k8lite::controllers {

// Asks the API: the same object (by uid), not being deleted.
Result<bool> may_adopt(machinery::Client& client, const json::Doc& owner);

}  // namespace k8lite::controllers

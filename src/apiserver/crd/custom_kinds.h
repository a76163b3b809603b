// Custom resources as rows of the table of kinds: reads the CustomResourceDefinitions that are stored and publishes the
// kinds of those whose names are accepted. What conditions say is a controller's work (src/controllers/crd.h); a row is
// served before the condition Established can be seen.
#pragma once
#include <map>
#include <mutex>

#include "apiserver/resource_types.h"
#include "store/store.h"

namespace k8lite::apiserver::crd {

class CustomKinds : public std::enable_shared_from_this<CustomKinds> {
 public:
  // Publishes what is stored, so that the first request already finds it, and follows every later change.
  static Result<std::shared_ptr<CustomKinds>> create(store::Store& store, ResourceTypes& types);
  void stop();  // when it returns nothing is published any more; before the table or the store goes

  // Publishes what is stored now; any thread. Writers call it before they answer: whoever has the answer finds the row.
  void refresh();

 private:
  CustomKinds(store::Store& store, ResourceTypes& types, std::unique_ptr<store::Watch> watch)
      : store_(store), types_(types), watch_(std::move(watch)) {}
  void listen();
  void follow();

  // What was made of one definition.
  struct Entry {
    int64_t revision = 0;
    int64_t changed_at = 0;  // when its versions last changed, as far as this server knows
    json::Doc definition;
    std::vector<ResourceTypePtr> types;
    std::map<std::string, std::shared_ptr<Retirement>> retirements;  // by version
  };
  static Entry make_entry(const store::Object& definition, const Entry* before);

  store::Store& store_;
  ResourceTypes& types_;
  std::mutex mutex_;
  std::map<std::string, Entry> entries_;  // by key
  std::recursive_mutex watching_;         // a fresh watch may call at once
  std::unique_ptr<store::Watch> watch_;
  bool stopped_ = false;
};

}  // namespace k8lite::apiserver::crd

// What turns a reconcile function into a running controller: worker threads over a WorkQueue. A controller is level-triggered; its
// reconcile may be called at any time, any number of times. An error means back-off by the runner.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "machinery/informer.h"
#include "machinery/work_queue.h"

namespace k8lite::machinery {

struct Action {
  Duration again{0};  // 0: wait for a change
  static Action wait_for_change() { return {}; }
  static Action after(Duration d) { return {d}; }
};

class Controller {
 public:
  virtual ~Controller() = default;
  virtual std::string_view name() const = 0;
  virtual Result<Action> reconcile(const std::string& key) = 0;
  virtual WorkQueue& queue() = 0;
};

// Runs controllers on `workers` threads each (1 is right nearly always: the work is one group commit away from its result).
class Runner {
 public:
  explicit Runner(std::vector<Controller*> controllers, unsigned workers = 1);
  ~Runner();
  void start();
  void stop();
  // Works off every key that is due on the caller's thread; for tests. Returns the number of reconciles.
  static size_t drain(const std::vector<Controller*>& controllers, size_t at_most = 10'000);

 private:
  static void step(Controller& controller, const std::string& key);
  std::vector<Controller*> controllers_;
  unsigned workers_;
  std::vector<std::thread> threads_;
};

// Writes Events (core/v1), joining repeats of the same event into a count, and limiting each object to a burst of 25 and then one
// every five minutes, as client-go does. Never blocks the caller and never fails it; bounded queue, oldest dropped first.
class EventRecorder {
 public:
  EventRecorder(Client& client, const Clock& clock, Random& random, std::string component, std::string host = {});
  ~EventRecorder();
  // `object` needs apiVersion, kind and metadata; `type` is Normal or Warning. `field_path` as in spec.containers{web}.
  void record(json::Value object, std::string_view type, std::string_view reason, std::string message, std::string_view field_path = {});
  void flush();  // waits until everything recorded so far has been sent or given up
  void stop();   // waits for the one being sent, so while its client still answers; later ones are dropped

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace k8lite::machinery

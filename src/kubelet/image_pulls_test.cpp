// The kubelet's words about images: states, events, back-off, on a clock of our own.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <condition_variable>
#include <filesystem>

#include "kubelet/image_pulls.h"

using namespace k8lite;
using namespace k8lite::kubelet;
using State = ImageAnswer::State;
using Events = std::vector<std::string>;

namespace {

// Pulls answer what the test says; `done` counts.
struct Node {
  std::string path;
  ManualClock clock;
  std::unique_ptr<image::ImageStore> store;
  Status failure;
  Events events;
  std::vector<image::RegistryAuth> auths, seen;
  std::mutex mutex;
  std::condition_variable cv;
  int done = 0, pulled = 0;
  std::unique_ptr<ImagePulls> pulls;

  Node() {
    char name[] = "/tmp/k8lite-pulls-XXXXXX";
    path = mkdtemp(name);
    store = image::ImageStore::open(path).value();
    pulls = std::make_unique<ImagePulls>(
        clock, *store, [this](const image::Reference&, const std::vector<image::RegistryAuth>& auth) -> Result<image::Pulled> {
          std::lock_guard lock(mutex);
          ++pulled;
          seen = auth;
          clock.advance(milliseconds(1200));
          if (!failure.ok()) return failure;
          image::Pulled p;
          p.image.id = "sha256:x";
          p.image.size = 777;
          return p;
        },
        [this](const std::string&) {
          std::lock_guard lock(mutex);
          ++done;
          cv.notify_all();
        });
  }
  ~Node() {
    pulls = nullptr;
    std::filesystem::remove_all(path);
  }
  ImageAnswer ask(const std::string& image, const std::string& policy = "IfNotPresent") {
    return pulls->ensure({"uid", image, policy, [this](const image::Reference&) { return auths; },
                          [this](std::string_view type, std::string_view reason, const std::string& message) { events.push_back(std::string(type) + " " + std::string(reason) + ": " + message); }});
  }
  // Asks, waits for the pull behind it, asks again.
  ImageAnswer pull(const std::string& image, const std::string& policy = "IfNotPresent") {
    int before = done;
    auto first = ask(image, policy);
    if (first.state != State::Pulling) return first;
    std::unique_lock lock(mutex);
    cv.wait(lock, [&] { return done > before; });
    lock.unlock();
    return ask(image, policy);
  }
  Events said() { return std::exchange(events, {}); }
};

}  // namespace

TEST_CASE("image pulls: a pull is told with its duration and size") {
  Node n;
  auto a = n.pull("r.io/x:1");
  CHECK(a.state == State::Ready);
  CHECK(a.image.id == "sha256:x");
  CHECK(n.said() == Events{"Normal Pulling: Pulling image \"r.io/x:1\"", "Normal Pulled: Successfully pulled image \"r.io/x:1\" in 1.2s (1.2s including waiting). Image size: 777 bytes."});
}

TEST_CASE("image pulls: what is there is not pulled, unless policy says Always") {
  Node n;
  CHECK(n.ask("k8lite/echoserver:1.0").state == State::Ready);
  CHECK(n.said() == Events{"Normal Pulled: Container image \"k8lite/echoserver:1.0\" already present on machine"});
  CHECK(n.ask("k8lite/echoserver:1.0", "Always").state == State::Ready);  // built in: no registry to ask
  auto record = n.store->record_of("k8lite/echoserver:1.0").value();
  record.pinned = false;
  record.name = "r.io/x:1";
  REQUIRE(n.store->add_image(record).ok());
  CHECK(n.ask("r.io/x:1").state == State::Ready);
  CHECK(n.pulled == 0);
}

TEST_CASE("image pulls: an image pulled with credentials is for those who have them") {
  Node n;
  image::RegistryAuth mine{"me", "secret", "", ""};
  auto record = n.store->record_of("k8lite/echoserver:1.0").value();
  REQUIRE(n.store->remove("k8lite/echoserver:1.0").ok());
  record.pinned = false;
  record.name = "r.io/x:1";
  record.credentials = {mine.hash()};
  REQUIRE(n.store->open(n.path).ok());
  REQUIRE(n.store->add_image(record).ok());
  REQUIRE(n.store->remove("k8lite/echoserver:1.0", false).ok());
  n.auths = {mine};
  CHECK(n.ask("r.io/x:1").state == State::Ready);
  n.auths = {{"other", "secret", "", ""}};
  CHECK(n.ask("r.io/x:1", "Never").message == "Container image \"r.io/x:1\" is present with pull policy of Never but does not have the proper credentials to access the image");
  CHECK(n.pull("r.io/x:1").state == State::Ready);
  CHECK(n.pulled == 1);
  CHECK(n.seen.at(0).username == "other");
}

TEST_CASE("image pulls: names and policies that cannot work say why") {
  Node n;
  auto a = n.ask("Wrong Name");
  CHECK(a.reason == "InvalidImageName");
  CHECK(a.message.starts_with("Failed to apply default image tag \"Wrong Name\": couldn't parse image name \"Wrong Name\": invalid reference format"));
  CHECK(n.said()[0].starts_with("Warning InspectFailed: Failed to apply default image tag"));
  a = n.ask("r.io/x:1", "Never");
  CHECK(a.reason == "ErrImageNeverPull");
  CHECK(a.message == "Container image \"r.io/x:1\" is not present with pull policy of Never");
  CHECK(n.said()[0] == "Warning ErrImageNeverPull: Container image \"r.io/x:1\" is not present with pull policy of Never");
}

TEST_CASE("image pulls: failures back off from 10 s to 5 min") {
  Node n;
  n.failure = not_found("failed to pull and unpack image \"r.io/x:1\": r.io/x:1: not found");
  auto a = n.pull("r.io/x:1");
  CHECK(a.reason == "ErrImagePull");
  CHECK(a.message == n.failure.message());
  CHECK(n.said() == Events{"Normal Pulling: Pulling image \"r.io/x:1\"", "Warning Failed: Failed to pull image \"r.io/x:1\": " + n.failure.message(), "Warning Failed: Error: ErrImagePull"});
  n.clock.advance(a.again);
  a = n.ask("r.io/x:1");
  CHECK(a.reason == "ImagePullBackOff");
  CHECK(a.message == "Back-off pulling image \"r.io/x:1\": ErrImagePull: " + n.failure.message());
  CHECK(a.again == seconds(8));
  CHECK(n.said() == Events{"Normal BackOff: Back-off pulling image \"r.io/x:1\"", "Warning Failed: Error: ImagePullBackOff"});
  CHECK(n.ask("r.io/x:1").reason == "ImagePullBackOff");
  CHECK(n.said().empty());
  std::vector<int64_t> pauses;
  for (int i = 0; i < 7; ++i) {
    n.clock.advance(a.again);
    REQUIRE(n.pull("r.io/x:1").reason == "ErrImagePull");
    a = n.ask("r.io/x:1");
    pauses.push_back(a.again / seconds(1));
  }
  CHECK(pauses == std::vector<int64_t>{20, 40, 80, 160, 300, 300, 300});
  n.failure = {};
  n.clock.advance(a.again);
  CHECK(n.pull("r.io/x:1").state == State::Ready);
  n.failure = unavailable("x");
  n.pull("r.io/x:1");
  CHECK(n.ask("r.io/x:1").again == seconds(10));
}

TEST_CASE("image pulls: durations are written as Go writes them") {
  CHECK(pull_duration(milliseconds(0)) == "0ms");
  CHECK(pull_duration(milliseconds(345)) == "345ms");
  CHECK(pull_duration(milliseconds(1200)) == "1.2s");
  CHECK(pull_duration(milliseconds(62005)) == "1m2.005s");
  CHECK(pull_duration(seconds(3600)) == "1h0m0s");
}

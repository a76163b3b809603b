#include "app/images_cli.h"

#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <thread>

#include "base/clock.h"
#include "base/strings.h"
#include "kubelet/container_record.h"

namespace k8lite::app {

Result<std::unique_ptr<image::ImageStore>> open_image_store(const std::string& data_dir) {
  image::StoreOptions options;
  options.layers_in_use = [] { return kubelet::layers_in_use(kubelet::kRunDir); };
  options.confined = true;
  return image::ImageStore::open(data_dir + "/agent/store", std::move(options));
}

namespace {

std::vector<image::RegistryAuth> auth_of(const std::string& credentials) {
  if (credentials.empty()) return {};
  size_t colon = credentials.find(':');
  return {{credentials.substr(0, colon), colon == credentials.npos ? "" : credentials.substr(colon + 1), "", ""}};
}

std::string row_text(const image::PullProgress::Row& r, size_t width) {
  constexpr size_t kBar = 38;
  bool whole = r.state != "downloading" && r.state != "uploading" && r.state != "waiting";
  size_t filled = whole ? kBar : r.total > 0 ? static_cast<size_t>(static_cast<uint64_t>(r.done) * kBar / static_cast<uint64_t>(r.total)) : 0;
  std::string state = r.state + std::string(r.state.size() < 14 ? 14 - r.state.size() : 1, ' ');
  std::string out = r.name + ":" + std::string(width - r.name.size() + 1, ' ') + state + "|" + std::string(filled, '+') + std::string(kBar - std::min(kBar, filled), '-') + "|";
  if (!whole && r.total > 0) out += " " + binary_size(r.done) + "/" + binary_size(r.total);
  return out;
}

// Draws the rows of a transfer until it ends.
class Display {
 public:
  Display(const image::PullProgress& progress, bool show) : progress_(progress), show_(show), live_(show && isatty(STDOUT_FILENO)) {
    if (live_) thread_ = std::thread([this] {
      std::unique_lock lock(mutex_);
      while (!wake_.wait_for(lock, milliseconds(100), [this] { return over_; })) draw();
    });
  }
  ~Display() {
    {
      std::lock_guard lock(mutex_);
      over_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
    if (show_) draw();
    std::fflush(stdout);
  }

 private:
  void draw() {
    auto rows = progress_.rows();
    size_t width = 0;
    for (const auto& r : rows) width = std::max(width, r.name.size());
    std::string out;
    if (lines_ > 0) out = "\033[" + std::to_string(lines_) + "A\033[J";
    for (const auto& r : rows) out += row_text(r, width) + "\n";
    double s = static_cast<double>((system_clock().mono() - begin_).count()) / 1e6;
    int64_t bytes = progress_.fetched();
    char text[64];
    std::snprintf(text, sizeof text, "elapsed: %.1f s", s);
    out += text + std::string("\ttotal: ") + binary_size(bytes) + " (" + binary_size(s > 0 ? static_cast<int64_t>(static_cast<double>(bytes) / s) : 0) + "/s)\n";
    if (live_) lines_ = rows.size() + 1;
    std::fputs(out.c_str(), stdout);
    std::fflush(stdout);
  }

  const image::PullProgress& progress_;
  const bool show_, live_;
  const Duration begin_ = system_clock().mono();
  size_t lines_ = 0;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace

Result<image::Image> pull_image(image::ImageStore& store, const std::string& name, const TransferOptions& o) {
  TRY(auto reference, image::parse_reference(name));
  image::PullProgress progress;
  async::Loop loop;
  loop.start();
  Result<image::Pulled> pulled = unavailable("not asked");
  {
    image::PullerOptions options;
    options.guard = false;  // who may run this may give the image to every pod
    options.plain_http = o.plain_http;
    options.skip_verify = o.skip_verify;
    options.progress = &progress;
    image::Puller puller(loop, store, o.registries_file, image::process_environment(), options);
    Display display(progress, o.show);
    pulled = puller.pull(reference, auth_of(o.credentials));
  }
  loop.stop();
  if (!pulled.ok()) return std::move(pulled).status();
  return std::move(pulled->image);
}

Result<std::string> push_image(const image::ImageStore& store, const std::string& local, const std::string& target, const TransferOptions& o) {
  TRY(auto reference, image::parse_reference(target));
  TRY(auto registries, image::RegistriesFile(o.registries_file).current());
  image::PullProgress progress;
  async::Loop loop;
  loop.start();
  Result<std::string> pushed = unavailable("not asked");
  {
    image::PushOptions options;
    options.plain_http = o.plain_http;
    options.skip_verify = o.skip_verify;
    options.progress = &progress;
    Display display(progress, o.show);
    pushed = image::push_image(loop, store, registries, image::process_environment(), local, reference, auth_of(o.credentials), options);
  }
  loop.stop();
  return pushed;
}

std::string binary_size(int64_t bytes) {
  char text[32];
  double v = static_cast<double>(bytes);
  const char* unit = "B";
  for (const char* u : {"KiB", "MiB", "GiB"})
    if (v >= 1024) v /= 1024, unit = u;
  std::snprintf(text, sizeof text, "%.1f %s", v, unit);
  return text;
}

std::string decimal_size(int64_t bytes) {
  char text[32];
  double v = static_cast<double>(bytes);
  const char* unit = "B";
  for (const char* u : {"kB", "MB", "GB", "TB"})
    if (v >= 1000) v /= 1000, unit = u;
  std::snprintf(text, sizeof text, "%.3g%s", v, unit);
  return text;
}

}  // namespace k8lite::app

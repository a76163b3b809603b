// As much of D-Bus as a caller of systemd's manager needs (D-Bus specification 0.38, little endian): values are
// appended to a text with their alignment, a call waits for its answer, signals met on the way are kept.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace k8lite::runc {

class DbusText {
 public:
  void align(size_t to) { text_.resize((text_.size() + to - 1) / to * to); }
  void byte(uint8_t v) { text_.push_back(static_cast<char>(v)); }
  void u32(uint32_t v) { align(4), text_.append(reinterpret_cast<const char*>(&v), 4); }
  void u64(uint64_t v) { align(8), text_.append(reinterpret_cast<const char*>(&v), 8); }
  void string(std::string_view v) { u32(static_cast<uint32_t>(v.size())), text_.append(v).push_back('\0'); }
  void signature(std::string_view v) { byte(static_cast<uint8_t>(v.size())), text_.append(v).push_back('\0'); }
  // An array's length stands before it: begin gives what end needs.
  size_t begin_array(size_t item_alignment) {
    u32(0);
    size_t at = text_.size();
    align(item_alignment);
    return at | (text_.size() - at) << 48;
  }
  void end_array(size_t token) {
    size_t at = token & 0xffffffffffff;
    auto n = static_cast<uint32_t>(text_.size() - at - (token >> 48));
    text_.replace(at - 4, 4, reinterpret_cast<const char*>(&n), 4);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

class Dbus {
 public:
  Dbus() = default;
  Dbus(const Dbus&) = delete;
  ~Dbus();
  std::string open_systemd();  // "" or why not
  // "" or the error's "name: text"; `strings` gets the answer's strings and object paths.
  std::string call(const char* member, const char* signature, const DbusText& body, std::vector<std::string>& strings);
  std::string wait_for_job(const std::string& job);  // its result: "done", "failed", …

 private:
  std::string open_at(const std::string& path, bool bus);
  std::string send(const char* path, const char* interface, const char* destination, const char* member,
                   const char* signature, const std::string& body, std::vector<std::string>& strings);
  bool receive(uint8_t& type, uint32_t& answers, std::string& name, std::vector<std::string>& strings);

  int fd_ = -1;
  bool bus_ = false;
  uint32_t serial_ = 0;
  std::vector<std::pair<std::string, std::string>> jobs_;  // that ended: path, result
};

}  // namespace k8lite::runc

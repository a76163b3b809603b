// How many requests are served at once, as kube-apiserver's --max-requests-inflight and
// --max-mutating-requests-inflight: who comes when all places are taken is asked to come back. What runs long (watches,
// logs, exec) takes no place, and neither health checks nor cluster administrators are ever turned away. Loop thread
// only.
#pragma once
#include <utility>

#include "apiserver/authn/authn.h"
#include "apiserver/request_info.h"
#include "base/status.h"

namespace k8lite::apiserver {

constexpr int kMaxReadsInFlight = 400, kMaxWritesInFlight = 200;

class InFlight {
 public:
  explicit InFlight(int reads = kMaxReadsInFlight, int writes = kMaxWritesInFlight)
      : reads_{0, reads}, writes_{0, writes} {}
  InFlight(const InFlight&) = delete;

  // A place, given back at the end of its life; refused() where there was none.
  class Place {
   public:
    Place(int* count, bool refused) : count_(count), refused_(refused) {}
    Place(Place&& o) noexcept : count_(std::exchange(o.count_, nullptr)), refused_(o.refused_) {}
    Place& operator=(Place&&) = delete;
    ~Place() {
      if (count_) --*count_;
    }
    bool refused() const { return refused_; }

   private:
    int* count_;  // null: none is taken
    bool refused_;
  };
  Place take(const RequestInfo& request, const authz::User& user);
  static Status too_many();  // 429 with Retry-After

 private:
  struct Kind {
    int now, most;
  };
  Kind reads_, writes_;
};

}  // namespace k8lite::apiserver

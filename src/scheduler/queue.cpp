#include "scheduler/queue.h"

#include <algorithm>

namespace k8lite::scheduler {
namespace {

constexpr Duration kUnschedulableRetry = seconds(300);  // something may have helped that nobody thought of
constexpr Duration kBetweenTries = milliseconds(250);   // even when nobody else waits

}  // namespace

void Queue::leave(Waiting& w) {
  switch (w.place) {
    case Waiting::Place::Active:
      active_.erase({-w.pod->priority, w.order});
      break;
    case Waiting::Place::BackOff:
      back_off_.erase({w.not_before, w.order});
      early_.erase({w.tried, w.order});
      break;
    case Waiting::Place::Unschedulable:
      unschedulable_.erase({w.since, w.order});
      break;
    case Waiting::Place::Taken:
      break;
  }
}

void Queue::move(Waiting& w, Waiting::Place place, Duration now) {
  leave(w);
  w.place = place;
  w.order = ++orders_;
  switch (place) {
    case Waiting::Place::Active:
      active_[{-w.pod->priority, w.order}] = &w;
      break;
    case Waiting::Place::BackOff:
      back_off_[{w.not_before, w.order}] = &w;
      if (!w.failed) early_[{w.tried, w.order}] = &w;
      break;
    case Waiting::Place::Unschedulable:
      w.since = now;
      unschedulable_[{now, w.order}] = &w;
      break;
    case Waiting::Place::Taken:
      break;
  }
}

void Queue::put(const PodPtr& pod, const Profile* profile, Duration now) {
  Waiting& w = all_[pod->key];
  leave(w);
  w.place = Waiting::Place::Taken;
  if (w.pod && w.pod->uid != pod->uid) w = Waiting();
  w.pod = pod;
  w.profile = profile;
  move(w, Waiting::Place::Active, now);
}

void Queue::refresh(const PodPtr& pod) {
  Waiting* w = find(pod->key);
  if (!w) return;
  if (w->place != Waiting::Place::Active || w->pod->priority == pod->priority) {
    w->pod = pod;
    return;
  }
  leave(*w);
  w->place = Waiting::Place::Taken;
  w->pod = pod;
  move(*w, Waiting::Place::Active, Duration{0});
}

void Queue::erase(const std::string& key) {
  auto it = all_.find(key);
  if (it == all_.end()) return;
  leave(it->second);
  all_.erase(it);
}

Waiting* Queue::find(const std::string& key) {
  auto it = all_.find(key);
  return it == all_.end() ? nullptr : &it->second;
}

Waiting* Queue::take(Duration now) {
  while (!back_off_.empty() && back_off_.begin()->first.first <= now)
    move(*back_off_.begin()->second, Waiting::Place::Active, now);
  while (!unschedulable_.empty() && unschedulable_.begin()->first.first + kUnschedulableRetry <= now)
    move(*unschedulable_.begin()->second, Waiting::Place::Active, now);
  Waiting* next = nullptr;
  if (!active_.empty())
    next = active_.begin()->second;
  else if (!early_.empty() && early_.begin()->first.first + kBetweenTries <= now)
    next = early_.begin()->second;
  if (next) move(*next, Waiting::Place::Taken, now);
  return next;
}

void Queue::refused(Waiting& w, uint32_t by, Duration now) {
  w.refused_by = by ? by : ~0u;
  w.failed = false;
  w.backoff = w.backoff == Duration{0} ? first_ : std::min(w.backoff * 2, longest_);
  w.tried = now;
  w.not_before = now + w.backoff;
  move(w, Waiting::Place::Unschedulable, now);
}

void Queue::failed(Waiting& w, Duration now) {
  w.failed = true;
  w.backoff = w.backoff == Duration{0} ? first_ : std::min(w.backoff * 2, longest_);
  w.tried = now;
  w.not_before = now + w.backoff;
  move(w, Waiting::Place::BackOff, now);
}

Duration Queue::next_due(Duration now) const {
  if (!active_.empty()) return now;
  Duration next{-1};
  auto sooner = [&next](Duration d) { next = next < Duration{0} ? d : std::min(next, d); };
  if (!back_off_.empty()) sooner(back_off_.begin()->first.first);
  if (!early_.empty()) sooner(early_.begin()->first.first + kBetweenTries);
  if (!unschedulable_.empty()) sooner(unschedulable_.begin()->first.first + kUnschedulableRetry);
  return next;
}

}  // namespace k8lite::scheduler

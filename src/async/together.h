// Many posts in one wake-up: while a PostTogether lives on a thread, what that thread posts to loops is held back and goes there together
// at its end.
#pragma once
#include "async/async.h"

namespace k8lite::async {

class PostTogether {
 public:
  PostTogether();
  ~PostTogether();
  PostTogether(const PostTogether&) = delete;

  static PostTogether* current();  // of this thread; null mostly
  void hold(Loop& loop, std::function<void()> fn);

 private:
  std::vector<std::pair<Loop*, std::vector<std::function<void()>>>> held_;
  PostTogether* const outer_;
};

}  // namespace k8lite::async

// Boost calls these where it would throw: without exceptions there is nobody to catch, so the process ends and says why. What we call of
// Boost reports through error codes; what is left are mistakes of ours and exhausted resources (no more threads).
#include <boost/throw_exception.hpp>

#include "base/log.h"

#ifdef BOOST_NO_EXCEPTIONS
namespace boost {

void throw_exception(std::exception const& e) {
  k8lite::log_error("fatal", {{"error", e.what()}});
  std::abort();
}
void throw_exception(std::exception const& e, boost::source_location const&) { throw_exception(e); }

}  // namespace boost
#endif

// Beast's compiled part, once.
#include <boost/beast/src.hpp>

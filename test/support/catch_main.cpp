// The one translation unit that carries Catch2's own main(); every unit test executable links it.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>

// Addresses of pods: kept over a restart, refused when there are none, never given twice.
#include "cni/ipam.h"

#include <catch2/catch.hpp>

#include "cni/test_namespaces.h"

using namespace k8lite;
using namespace k8lite::cni;

namespace {

struct Folder {
  std::string dir;
  Folder() {
    char name[] = "/tmp/k8lite-ipam-XXXXXX";
    dir = mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(dir); }
  Ipam open(const std::string& cidr = "10.42.0.0/29") { return Ipam(*Cidr::parse(cidr), dir + "/ips"); }
};

}  // namespace

TEST_CASE("ipam: a full range is refused in words, and what is freed is given again") {
  Folder f;
  Ipam ipam = f.open();
  for (int i = 2; i <= 6; ++i) CHECK(ipam.allocate("p" + std::to_string(i)).value().text() == "10.42.0." + std::to_string(i));
  auto full = ipam.allocate("one too many");
  REQUIRE(!full.ok());
  CHECK(full.status().is(Reason::ServiceUnavailable));
  CHECK(contains(full.status().message(), "10.42.0.0/29"));
  CHECK(contains(full.status().message(), "all 5 are in use"));
  CHECK(ipam.allocate("p3").value().text() == "10.42.0.3");
  ipam.release("p4");
  CHECK(ipam.allocate("late").value().text() == "10.42.0.4");
}

TEST_CASE("ipam: an address rests before it is given again, over a restart too") {
  Folder f;
  {
    Ipam ipam = f.open();
    ipam.allocate("a").value();
    ipam.release("a");
  }
  Ipam ipam = f.open();
  CHECK(ipam.allocate("b").value().text() == "10.42.0.3");
  CHECK(f.open().address_of("b")->text() == "10.42.0.3");
}

TEST_CASE("ipam: other networks' and doubled entries of the file do not count, nor does a damaged file") {
  Folder f;
  REQUIRE(os::write_file(f.dir + "/ips", R"({"allocated":{"a":"10.42.0.2","b":"10.42.0.2","c":"10.42.7.3","d":"10.42.0.1","e":"10.42.0.7","f":"x"},"last":99})").ok());
  Ipam ipam = f.open();
  CHECK(ipam.pods() == std::vector<std::string>{"a"});
  CHECK(ipam.allocate("n").ok());
  REQUIRE(os::write_file(f.dir + "/ips", "{\"alloc").ok());
  CHECK(f.open().pods().empty());
}

TEST_CASE("ipam: a pod's own address is claimed, another pod's is not") {
  Folder f;
  Ipam ipam = f.open();
  CHECK(ipam.claim("a", *Ipv4::parse("10.42.0.5")));
  CHECK(!ipam.claim("b", *Ipv4::parse("10.42.0.5")));
  CHECK(!ipam.claim("b", *Ipv4::parse("10.42.1.5")));
  CHECK(!ipam.claim("b", ipam.gateway()));
  CHECK(f.open().address_of("a")->text() == "10.42.0.5");
}

TEST_CASE("ipam: what cannot be written has not been given") {
  Ipam ipam(*Cidr::parse("10.42.0.0/30"), "/no/such/folder/ips");
  CHECK(!ipam.allocate("a").ok());
  CHECK(!ipam.address_of("a"));
}

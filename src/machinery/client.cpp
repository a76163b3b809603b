#include "machinery/client.h"

#include "base/strings.h"

namespace k8lite::machinery {

std::string Path::url() const {
  std::string out = group.empty() ? "/api/" + version : "/apis/" + group + "/" + version;
  if (!ns.empty()) out.append("/namespaces/").append(url_encode(ns));
  out.append("/").append(resource);
  if (!name.empty()) out.append("/").append(url_encode(name));
  if (!subresource.empty()) out.append("/").append(subresource);
  return out;
}

}  // namespace k8lite::machinery

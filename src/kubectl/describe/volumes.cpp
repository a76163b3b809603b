// The volumes of pods, and the sources of persistent volumes, which have the same form.
#include "base/strings.h"
#include "kubectl/describe/describe.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

// The further lines of a source: "    Name:<tab>value", at the depth kubectl writes them.
void put(Page& page, std::string_view label, const std::string& value) { page.line(2, std::string(label) + ":\t" + value); }
std::string flag(const Node& value) { return value.bool_or(false) ? "true" : "false"; }

void put_projected(Page& page, const Node& projected) {
  put(page, "Type", "Projected (a volume that contains injected data from multiple sources)");
  for (const Node& source : projected["sources"].items()) {
    if (const Node* s = source.find("secret")) {
      put(page, "SecretName", s->get("name").str());
      put(page, "Optional", flag(s->get("optional")));
    } else if (source.find("downwardAPI")) {
      put(page, "DownwardAPI", "true");
    } else if (const Node* c = source.find("configMap")) {
      put(page, "ConfigMapName", c->get("name").str());
      put(page, "Optional", flag(c->get("optional")));
    } else if (const Node* t = source.find("serviceAccountToken")) {
      put(page, "TokenExpirationSeconds", std::to_string(t->get("expirationSeconds").int_or(3600)));
    }
  }
}

void put_csi(Page& page, const Node& csi, bool persistent) {
  put(page, "Type", "CSI (a Container Storage Interface (CSI) volume source)");
  put(page, "Driver", csi["driver"].str());
  put(page, "FSType", csi["fsType"].str());
  if (persistent) put(page, "VolumeHandle", csi["volumeHandle"].str());
  put(page, "ReadOnly", flag(csi["readOnly"]));
  std::string lead = "VolumeAttributes:\t    ";
  if (csi["volumeAttributes"].empty()) page.line(2, "VolumeAttributes:\t<none>");
  for (const std::string& k : sorted_names(csi["volumeAttributes"])) {
    page.line(2, lead + k + "=" + csi["volumeAttributes"][k].str());
    lead = "\t    ";
  }
}

void put_downward(Page& page, const Node& downward) {
  put(page, "Type", "DownwardAPI (a volume populated by information about the pod)");
  page.line(2, "Items:");
  for (const Node& i : downward["items"].items()) {
    if (i.find("fieldRef")) page.line(3, i["fieldRef"]["fieldPath"].str() + " -> " + i["path"].str());
    if (i.find("resourceFieldRef")) page.line(3, i["resourceFieldRef"]["resource"].str() + " -> " + i["path"].str());
  }
}

}  // namespace

void put_volume_source(Page& page, const Node& v) {
  if (const Node* h = v.find("hostPath")) {
    put(page, "Type", "HostPath (bare host directory volume)");
    put(page, "Path", h->get("path").str());
    put(page, "HostPathType", h->get("type").is_string() ? h->get("type").str() : "");
  } else if (const Node* e = v.find("emptyDir")) {
    put(page, "Type", "EmptyDir (a temporary directory that shares a pod's lifetime)");
    put(page, "Medium", e->get("medium").str());
    put(page, "SizeLimit", e->find("sizeLimit") ? value_text(e->get("sizeLimit")) : "<unset>");
  } else if (const Node* s = v.find("secret")) {
    put(page, "Type", "Secret (a volume populated by a Secret)");
    put(page, "SecretName", s->get("secretName").str());
    put(page, "Optional", flag(s->get("optional")));
  } else if (const Node* c = v.find("configMap")) {
    put(page, "Type", "ConfigMap (a volume populated by a ConfigMap)");
    put(page, "Name", c->get("name").str());
    put(page, "Optional", flag(c->get("optional")));
  } else if (const Node* d = v.find("downwardAPI")) {
    put_downward(page, *d);
  } else if (const Node* p = v.find("persistentVolumeClaim")) {
    put(page, "Type", "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)");
    put(page, "ClaimName", p->get("claimName").str());
    put(page, "ReadOnly", flag(p->get("readOnly")));
  } else if (const Node* j = v.find("projected")) {
    put_projected(page, *j);
  } else if (const Node* n = v.find("nfs")) {
    put(page, "Type", "NFS (an NFS mount that lasts the lifetime of a pod)");
    put(page, "Server", n->get("server").str());
    put(page, "Path", n->get("path").str());
    put(page, "ReadOnly", flag(n->get("readOnly")));
  } else if (const Node* x = v.find("csi")) {
    put_csi(page, *x, x->find("volumeHandle") != nullptr);
  } else if (const Node* l = v.find("local")) {
    put(page, "Type", "LocalVolume (a persistent volume backed by local storage on a node)");
    put(page, "Path", l->get("path").str());
  } else if (const Node* i = v.find("image")) {
    put(page, "Type", "Image (a container image or OCI artifact)");
    put(page, "Reference", i->get("reference").str());
    put(page, "PullPolicy", i->get("pullPolicy").str());
  } else {
    page.line(1, "<unknown>");
  }
}

void put_volumes(Page& page, const Node& volumes, std::string_view indent) {
  if (volumes.empty()) {
    page.line(0, std::string(indent) + "Volumes:\t<none>");
    return;
  }
  page.line(0, std::string(indent) + "Volumes:");
  for (const Node& v : volumes.items()) {
    page.line(1, (indent.empty() ? "" : " ") + v["name"].str() + ":");
    put_volume_source(page, v);
  }
}

}  // namespace k8lite::kubectl

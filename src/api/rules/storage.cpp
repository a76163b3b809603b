// Persistent volumes, claims, storage classes and CSI objects; and the volume sources whose fields depend on each
// other.
#include <map>
#include <set>

#include "api/rules/check.h"
#include "base/quantity.h"
#include "base/strings.h"

namespace k8lite::api::rules {
namespace {

void check_access_modes(Check& c, const Node& spec) {
  bool alone = false, other = false;
  for (const Node& mode : spec.get("accessModes").items()) (mode.str() == "ReadWriteOncePod" ? alone : other) = true;
  if (alone && other) c.forbidden("accessModes", "may not use ReadWriteOncePod with other access modes");
}

void check_positive(Check& c, std::string_view child, const Node& amount) {
  auto q = Quantity::parse(amount.str());
  if (q && (q->is_negative() || q->is_zero())) c.invalid(child, amount, "must be greater than zero");
}

void check_volume_spec(Check& c, const Node& spec, const Node&) {
  check_access_modes(c, spec);
  const Node& capacity = spec.get("capacity");
  bool is_inline = c.path.find("inlineVolumeSpec") != c.path.npos;
  if (is_inline) {
    for (const char* f : {"claimRef", "capacity", "nodeAffinity", "storageClassName"})
      if (given(spec.get(f))) c.forbidden(f, "may not be specified in the context of inline volumes");
    if (!spec.get("csi").exists()) c.required("csi", "has to be specified in the context of inline volumes");
    return;
  }
  if (capacity.empty()) c.required("capacity");
  if (!capacity.get("storage").exists() || capacity.size() > 1)
    c.unsupported("capacity", capacity.exists() ? capacity : Node::object(), "storage");
  for (const auto& [name, amount] : capacity.members()) check_positive(c, key_of("capacity", name), amount);
  if (spec.get("local").exists() && !spec.get("nodeAffinity").exists())
    c.required("nodeAffinity", "Local volume requires node affinity");
  std::string host_path = spec.path("hostPath.path").str();
  if (!host_path.empty() && host_path.find_first_not_of('/') == host_path.npos &&
      spec.get("persistentVolumeReclaimPolicy").str() == "Recycle")
    c.forbidden("persistentVolumeReclaimPolicy", "may not be 'recycle' for a hostPath mount of '/'");
  if (const Node& cls = spec.get("volumeAttributesClassName"); cls.exists()) {
    if (cls.str().empty()) c.required("volumeAttributesClassName", "an empty string is disallowed");
    if (!spec.get("csi").exists()) c.required("csi", "has to be specified when using volumeAttributesClassName");
  }
}

Node source_of(Node spec) {
  for (const char* f : {"accessModes", "capacity", "claimRef", "mountOptions", "nodeAffinity",
                        "persistentVolumeReclaimPolicy", "storageClassName", "volumeAttributesClassName", "volumeMode"})
    spec.erase(f);
  return spec;
}

void check_volume(Check& c, const Node& pv, const Node& before) {
  if (!c.old) return;
  Node now = source_of(pv.get("spec")), was = source_of(before.get("spec"));
  if (now.get("csi").exists() && was.get("csi").exists() && !was.path("csi.controllerExpandSecretRef").exists())
    now["csi"].erase("controllerExpandSecretRef");
  if (!(now == was))
    c.forbidden("spec.persistentvolumesource", "spec.persistentvolumesource is immutable after creation");
  c.unchanged("volumeMode", pv.path("spec.volumeMode"), before.path("spec.volumeMode"));
  const Node &affinity = pv.path("spec.nodeAffinity"), &had = before.path("spec.nodeAffinity");
  if (had.exists() && !(affinity == had))
    c.invalid("nodeAffinity", affinity, "field is immutable, except for updating from beta label to GA");
  if (before.path("spec.volumeAttributesClassName").exists() && !pv.path("spec.volumeAttributesClassName").exists())
    c.forbidden("spec.volumeAttributesClassName", "update from non-nil value to nil is forbidden");
}

void check_source_ref(Check& c, const Node& spec, const char* field) {
  const Node& ref = spec.get(field);
  if (!ref.exists()) return;
  std::string here(field);
  const Node& group = ref.get("apiGroup");
  if (group.str().empty() && ref.get("kind").str() != "PersistentVolumeClaim")
    c.invalid(here, Node(ref.get("kind").str()),
              "must be 'PersistentVolumeClaim' when referencing the default apiGroup");
  if (given(group)) c.format(here + ".apiGroup", group, Format::Subdomain);
  if (given(ref.get("namespace"))) c.format(here + ".namespace", ref.get("namespace"), Format::Label);
}

void check_claim_spec(Check& c, const Node& spec, const Node&) {
  check_access_modes(c, spec);
  const Node& size = spec.path("resources.requests.storage");
  if (!size.exists())
    c.required("resources[storage]");
  else
    check_positive(c, "resources[storage]", size);
  check_source_ref(c, spec, "dataSource");
  check_source_ref(c, spec, "dataSourceRef");
  const Node &source = spec.get("dataSource"), &ref = spec.get("dataSourceRef");
  if (!source.exists() || !ref.exists()) return;
  const Node shown(c.at("dataSource"));
  if (given(ref.get("namespace")))
    c.invalid("", shown, "may not be specified when dataSourceRef.namespace is specified");
  else if (!(source == ref))
    c.invalid("", shown, "must match dataSourceRef");
}

void check_claim(Check& c, const Node& claim, const Node& before) {
  if (!c.old) return;
  Node now = claim.get("spec"), was = before.get("spec");
  bool bound = before.path("status.phase").str() == "Bound";
  if (was.get("volumeName").str().empty()) now.erase("volumeName"), was.erase("volumeName");
  if (!was.get("storageClassName").exists()) now.erase("storageClassName");
  const Node size = now.path("resources.requests.storage"), had = was.path("resources.requests.storage");
  if (bound) {
    if (now.path("resources.requests").exists() && had.exists()) now["resources"]["requests"].set("storage", had);
    if (now.get("volumeAttributesClassName").exists())
      now.erase("volumeAttributesClassName"), was.erase("volumeAttributesClassName");
  }
  if (!(now == was))
    c.forbidden(
        "spec",
        "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims");
  auto wanted = Quantity::parse(size.str()), old_size = Quantity::parse(had.str());
  auto actual = Quantity::parse(before.path("status.capacity.storage").str());
  if (wanted && old_size && *wanted < *old_size && (!actual || *wanted <= *actual))
    c.forbidden("spec.resources.requests.storage", "field can not be less than status.capacity");
  c.unchanged("volumeMode", claim.path("spec.volumeMode"), before.path("spec.volumeMode"));
  const Node &cls = claim.path("spec.volumeAttributesClassName"),
             &old_cls = before.path("spec.volumeAttributesClassName");
  if (old_cls.exists() && !cls.exists())
    c.forbidden("spec.volumeAttributesClassName", "update from non-nil value to nil is forbidden");
  if (given(old_cls) && cls.exists() && cls.str().empty())
    c.forbidden("spec.volumeAttributesClassName", "update from non-nil value to an empty string is forbidden");
}

void check_claim_template(Check& c, const Node& t, const Node&) {
  c.annotations("metadata.annotations", t.path("metadata.annotations"));
  c.labels("metadata.labels", t.path("metadata.labels"));
  for (const auto& [name, value] : t.get("metadata").members())
    if (name != "annotations" && name != "labels" && !value.empty()) c.forbidden("metadata." + name, "cannot be set");
}

void check_storage_class(Check& c, const Node& s, const Node& before) {
  for (const auto& why : mistakes(Format::Qualified, lower(s.get("provisioner").str())))
    if (given(s.get("provisioner"))) c.invalid("provisioner", s.get("provisioner"), why);
  if (s.get("parameters").size() > 512) c.too_long("parameters", 512);
  for (const auto& [key, value] : s.get("parameters").members())
    if (key.empty()) c.invalid("parameters", Node(key), "field can not be empty.");
  std::set<std::string> seen;
  for (size_t i = 0; i < s.get("allowedTopologies").items().size(); ++i)
    if (!seen.insert(s.get("allowedTopologies").items()[i].dump()).second)
      c.duplicate(item("allowedTopologies", i) + ".matchLabelExpressions", Node(""));
  if (!c.old) return;
  for (const char* f : {"parameters", "provisioner", "reclaimPolicy"})
    if (!(s.get(f) == before.get(f)) && !(s.get(f).empty() && before.get(f).empty()))
      c.forbidden(f, "updates to " + std::string(f) + " are forbidden.");
  c.unchanged("volumeBindingMode", s.get("volumeBindingMode"), before.get("volumeBindingMode"));
}

void check_attachment(Check& c, const Node& spec, const Node& before) {
  const Node &name = spec.path("source.persistentVolumeName"), &own = spec.path("source.inlineVolumeSpec");
  if (name.exists() && own.exists())
    c.forbidden("source", "must specify exactly one of inlineVolumeSpec and persistentVolumeName");
  else if (!name.exists() && !own.exists())
    c.required("source", "must specify exactly one of inlineVolumeSpec and persistentVolumeName");
  else if (name.exists() && name.str().empty())
    c.required("source.persistentVolumeName", "must specify non empty persistentVolumeName");
  if (c.old && !(spec == before)) c.invalid("", spec, "field is immutable");
}

void check_driver(Check& c, const Node& o, const Node& before) {
  const Node& spec = o.get("spec");
  Step step(c, "spec");
  for (const char* f : {"attachRequired", "podInfoOnMount", "storageCapacity"})
    if (!spec.get(f).exists()) c.required(f);
  std::set<std::string> audiences;
  for (size_t i = 0; i < spec.get("tokenRequests").items().size(); ++i) {
    const Node& t = spec.get("tokenRequests").items()[i];
    if (!audiences.insert(t.get("audience").str()).second)
      c.duplicate(item("tokenRequests", i) + ".audience", Node(t.get("audience").str()));
    const Node& seconds = t.get("expirationSeconds");
    if (!seconds.exists()) continue;
    if (seconds.int_or(0) < 600)
      c.invalid(item("tokenRequests", i) + ".expirationSeconds", seconds,
                "may not specify a duration less than 10 minutes");
    if (seconds.int_or(0) > (int64_t{1} << 32))
      c.invalid(item("tokenRequests", i) + ".expirationSeconds", seconds,
                "may not specify a duration larger than 2^32 seconds");
  }
  if (!c.old) return;
  for (const char* f : {"attachRequired", "fsGroupPolicy", "volumeLifecycleModes"})
    c.unchanged(f, spec.get(f), before.path("spec").get(f));
}

void check_csi_node(Check& c, const Node& o, const Node& before) {
  if (!c.old) return;
  std::map<std::string, const Node*> were;
  for (const Node& was : before.path("spec.drivers").items()) were[was.get("name").str()] = &was;
  const auto& drivers = o.path("spec.drivers").items();
  for (size_t i = 0; i < drivers.size(); ++i) {
    auto was = were.find(drivers[i].get("name").str());
    if (was != were.end() && !(drivers[i].get("nodeID") == was->second->get("nodeID") &&
                               drivers[i].get("topologyKeys") == was->second->get("topologyKeys")))
      c.invalid(item("spec.drivers", i), drivers[i], "field is immutable");
  }
}

void check_attributes_class(Check& c, const Node& o, const Node&) {
  if (o.get("parameters").empty()) c.required("parameters", "must contain at least one key/value pair");
}

// ---- volume sources ----

void check_iscsi_name(Check& c, std::string_view child, const Node& name) {
  const std::string& t = name.str();
  if (t.empty()) return;
  if (!t.starts_with("iqn") && !t.starts_with("eui") && !t.starts_with("naa"))
    return c.invalid(child, name, "must be valid format starting with iqn, eui, or naa");
  bool good = t.starts_with("iqn") ? t.size() > 13 && t[3] == '.' && t.find(':') != t.npos
                                   : t.size() == (t.starts_with("eui") ? 20u : 36u);
  if (!good) c.invalid(child, name, "must be valid format");
}

void check_iscsi(Check& c, const Node& v, const Node&) {
  check_iscsi_name(c, "iqn", v.get("iqn"));
  if ((v.get("chapAuthDiscovery").bool_or(false) || v.get("chapAuthSession").bool_or(false)) &&
      !v.get("secretRef").exists())
    c.required("secretRef");
  check_iscsi_name(c, "initiatorname", v.get("initiatorName"));
}

void check_fc(Check& c, const Node& v, const Node&) {
  const Node &names = v.get("targetWWNs"), &ids = v.get("wwids");
  if (names.size() + ids.size() == 0) c.required("targetWWNs", "must specify either targetWWNs or wwids, but not both");
  if (names.size() && ids.size())
    c.invalid("targetWWNs", names, "targetWWNs and wwids can not be specified simultaneously");
  if (names.size() == 0) return;
  if (!v.get("lun").exists())
    c.required("lun", "lun is required if targetWWNs is specified");
  else
    c.within("lun", v.get("lun"), 0, 255);
}

void check_flex(Check& c, const Node& v, const Node&) {
  for (const auto& [key, value] : v.get("options").members()) {
    std::string domain = "." + lower(key.substr(0, key.find('/')));
    if (domain.ends_with(".kubernetes.io") || domain.ends_with(".k8s.io"))
      c.invalid(key_of("options", key), Node(key), "kubernetes.io and k8s.io namespaces are reserved");
  }
}

void check_flocker(Check& c, const Node& v, const Node&) {
  bool name = given(v.get("datasetName")), uuid = given(v.get("datasetUUID"));
  if (!name && !uuid) c.required("", "one of datasetName and datasetUUID is required");
  if (name && uuid) c.invalid("", Node("resource"), "datasetName and datasetUUID can not be specified simultaneously");
  if (v.get("datasetName").str().find('/') != std::string::npos)
    c.invalid("datasetName", v.get("datasetName"), "must not contain '/'");
}

void check_azure_disk(Check& c, const Node& v, const Node&) {
  const Node &uri = v.get("diskURI"), &kind = v.get("kind");
  if (!kind.exists()) return;
  if (kind.str() == "Managed" && !uri.str().starts_with("/subscriptions/"))
    c.unsupported("diskURI", uri,
                  "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}");
  if (kind.str() != "Managed" && !uri.str().starts_with("https://"))
    c.unsupported("diskURI", uri, "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd");
}

void check_empty_dir(Check& c, const Node& v, const Node&) {
  if (auto q = Quantity::parse(v.get("sizeLimit").str()); q && q->is_negative())
    c.forbidden("sizeLimit", "SizeLimit field must be a valid resource quantity");
}

void check_image_volume(Check& c, const Node& v, const Node&) {
  if (c.kind.plural == "pods" && v.get("reference").str().empty()) c.required("reference");
}

void check_ephemeral(Check& c, const Node& v, const Node&) {
  if (!v.get("volumeClaimTemplate").exists()) c.required("volumeClaimTemplate");
}

void check_csi_source(Check& c, const Node& v, const Node&) {
  for (const char* f :
       {"controllerPublishSecretRef", "controllerExpandSecretRef", "nodePublishSecretRef", "nodeExpandSecretRef"}) {
    const Node& ref = v.get(f);
    if (!ref.exists()) continue;
    std::string here(f);
    if (ref.get("name").str().empty())
      c.required(here + ".name");
    else
      c.format(here + ".name", ref.get("name"), Format::Subdomain);
    if (ref.get("namespace").str().empty())
      c.required(here + ".namespace");
    else
      c.format(here + ".namespace", ref.get("namespace"), Format::Label);
  }
}

constexpr TypeHook kHooks[] = {
    {"core/v1.PersistentVolumeSpec", check_volume_spec},
    {"core/v1.PersistentVolume", check_volume},
    {"core/v1.PersistentVolumeClaimSpec", check_claim_spec},
    {"core/v1.PersistentVolumeClaim", check_claim},
    {"core/v1.PersistentVolumeClaimTemplate", check_claim_template},
    {"storage/v1.StorageClass", check_storage_class},
    {"storage/v1.VolumeAttachmentSpec", check_attachment},
    {"storage/v1.CSIDriver", check_driver},
    {"storage/v1.CSINode", check_csi_node},
    {"storage/v1.VolumeAttributesClass", check_attributes_class},
    {"core/v1.ISCSIVolumeSource", check_iscsi},
    {"core/v1.ISCSIPersistentVolumeSource", check_iscsi},
    {"core/v1.FCVolumeSource", check_fc},
    {"core/v1.FlexVolumeSource", check_flex},
    {"core/v1.FlexPersistentVolumeSource", check_flex},
    {"core/v1.FlockerVolumeSource", check_flocker},
    {"core/v1.AzureDiskVolumeSource", check_azure_disk},
    {"core/v1.EmptyDirVolumeSource", check_empty_dir},
    {"core/v1.ImageVolumeSource", check_image_volume},
    {"core/v1.EphemeralVolumeSource", check_ephemeral},
    {"core/v1.CSIPersistentVolumeSource", check_csi_source},
};

}  // namespace

Hooks storage_hooks() { return kHooks; }

}  // namespace k8lite::api::rules

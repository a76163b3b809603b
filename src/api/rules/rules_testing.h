// For the tests of rules: a good object of each kind, and what is said of it when something else is merged in.
#pragma once
#include <catch2/catch.hpp>

#include "api/rules/rules.h"
#include "base/yaml.h"

namespace k8lite::api::rules_testing {

using json::Node;

inline Node yaml(std::string_view text) {
  auto docs = parse_yaml(text, "test");
  INFO(text);
  REQUIRE(docs.ok());
  REQUIRE(docs->size() == 1);
  return std::move(docs->front().value);
}

inline KindPtr kind_named(const std::string& name) {
  for (const KindPtr& k : builtin_kinds())
    if (k->kind == name && !(k->kind == "Event" && !k->group.empty()) &&
        !(k->group == "autoscaling" && k->version == "v1"))
      return k;
  FAIL("no kind " << name);
  return nullptr;
}

inline Node completed(const KindRow& kind, Node object) {
  object.erase("apiVersion");
  object.erase("kind");
  if (kind.namespaced && !object.path("metadata.namespace").exists()) object["metadata"].set("namespace", "default");
  object["metadata"].set("uid", "4d1b7d9e-0000-4000-8000-000000000001");
  auto decoded = schema::decode(object, *kind.type);
  INFO((decoded.ok() ? "" : decoded.status().message()));
  REQUIRE(decoded.ok());
  apply_defaults(kind, object);
  return object;
}

inline std::vector<std::string> lines(const std::vector<Cause>& causes) {
  std::vector<std::string> out;
  for (const Cause& c : causes) out.push_back(c.field + ": " + c.message);
  return out;
}

// JSON merge patch, but a list is replaced as a whole.
inline void overlay(Node& base, const Node& patch) {
  for (const auto& [key, value] : patch.members()) {
    if (value.is_null())
      base.erase(key);
    else if (value.is_object() && base.get(key).is_object())
      overlay(*base.find(key), value);
    else
      base.set(key, value);
  }
}

inline const char* const kBases[][2] = {
    {"Pod", "{metadata: {name: p}, spec: {containers: [{name: a, image: 'x:1'}]}}"},
    {"Deployment",
     "{metadata: {name: d}, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: "
     "{containers: [{name: a, image: 'x:1'}]}}}}"},
    {"ReplicaSet",
     "{metadata: {name: d}, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: "
     "{containers: [{name: a, image: 'x:1'}]}}}}"},
    {"DaemonSet",
     "{metadata: {name: d}, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: "
     "{containers: [{name: a, image: 'x:1'}]}}}}"},
    {"StatefulSet",
     "{metadata: {name: d}, spec: {serviceName: s, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: "
     "b}}, spec: {containers: [{name: a, image: 'x:1'}]}}}}"},
    {"ReplicationController",
     "{metadata: {name: d}, spec: {selector: {a: b}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: "
     "a, image: 'x:1'}]}}}}"},
    {"Job",
     "{metadata: {name: j}, spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: 'x:1'}]}}}}"},
    {"CronJob",
     "{metadata: {name: c}, spec: {schedule: '* * * * *', jobTemplate: {spec: {template: {spec: {restartPolicy: Never, "
     "containers: [{name: a, image: 'x:1'}]}}}}}}"},
    {"PodTemplate", "{metadata: {name: t}, template: {spec: {containers: [{name: a, image: 'x:1'}]}}}"},
    {"ControllerRevision", "{metadata: {name: r}, data: {a: 1}, revision: 1}"},
    {"Service", "{metadata: {name: s}, spec: {ports: [{port: 80}]}}"},
    {"ConfigMap", "{metadata: {name: c}, data: {a: b}}"},
    {"Secret", "{metadata: {name: s}, stringData: {a: b}}"},
    {"Namespace", "{metadata: {name: nn}}"},
    {"Node", "{metadata: {name: nn}}"},
    {"Endpoints", "{metadata: {name: e}, subsets: [{addresses: [{ip: 10.0.0.1}], ports: [{port: 80}]}]}"},
    {"EndpointSlice",
     "{metadata: {name: e}, addressType: IPv4, endpoints: [{addresses: [10.0.0.1]}], ports: [{name: a, port: 80}]}"},
    {"LimitRange", "{metadata: {name: l}, spec: {limits: [{type: Container, max: {cpu: '2'}}]}}"},
    {"ResourceQuota", "{metadata: {name: q}, spec: {hard: {pods: '3'}}}"},
    {"ServiceAccount", "{metadata: {name: s}}"},
    {"PersistentVolume",
     "{metadata: {name: v}, spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], hostPath: {path: /x}}}"},
    {"PersistentVolumeClaim",
     "{metadata: {name: v}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}"},
    {"StorageClass", "{metadata: {name: s}, provisioner: a.io/b}"},
    {"VolumeAttachment",
     "{metadata: {name: a}, spec: {attacher: a.io, nodeName: nn, source: {persistentVolumeName: v}}}"},
    {"CSIDriver", "{metadata: {name: a.io}, spec: {}}"},
    {"CSINode", "{metadata: {name: nn}, spec: {drivers: [{name: a.io, nodeID: nn, topologyKeys: [a.io/zone]}]}}"},
    {"CSIStorageCapacity", "{metadata: {name: c}, storageClassName: s, capacity: 1Gi}"},
    {"VolumeAttributesClass", "{metadata: {name: c}, driverName: a.io, parameters: {a: b}}"},
    {"Ingress",
     "{metadata: {name: i}, spec: {rules: [{host: a.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: "
     "{name: s, port: {number: 80}}}}]}}]}}"},
    {"IngressClass", "{metadata: {name: i}, spec: {controller: a.io/b}}"},
    {"NetworkPolicy",
     "{metadata: {name: nn}, spec: {podSelector: {}, ingress: [{from: [{podSelector: {}}], ports: [{port: 80}]}]}}"},
    {"IPAddress", "{metadata: {name: 10.0.0.1}, spec: {parentRef: {resource: services, name: a, namespace: b}}}"},
    {"ServiceCIDR", "{metadata: {name: c}, spec: {cidrs: [10.0.0.0/24]}}"},
    {"HorizontalPodAutoscaler",
     "{metadata: {name: h}, spec: {maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: d}}}"},
    {"PodDisruptionBudget", "{metadata: {name: p}, spec: {minAvailable: 1, selector: {matchLabels: {a: b}}}}"},
    {"PriorityClass", "{metadata: {name: p}, value: 10}"},
    {"RuntimeClass", "{metadata: {name: r}, handler: runc}"},
    {"Lease", "{metadata: {name: l}, spec: {holderIdentity: a, leaseDurationSeconds: 10}}"},
    {"Event",
     "{metadata: {name: e}, involvedObject: {kind: Pod, name: p, namespace: default}, reason: Why, message: m, type: "
     "Normal}"},
    {"Role", "{metadata: {name: 'r:x'}, rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]}"},
    {"ClusterRole", "{metadata: {name: r}, rules: [{nonResourceURLs: [/healthz], verbs: [get]}]}"},
    {"RoleBinding", "{metadata: {name: r}, roleRef: {kind: Role, name: r}, subjects: [{kind: User, name: u}]}"},
    {"ClusterRoleBinding",
     "{metadata: {name: r}, roleRef: {kind: ClusterRole, name: r}, subjects: [{kind: ServiceAccount, name: s, "
     "namespace: nn}]}"},
    {"CertificateSigningRequest",
     "{metadata: {name: c}, spec: {request: "
     "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUE9PQotLS0tLUVORCBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0K, "
     "signerName: kubernetes.io/kubelet-serving, usages: [digital signature]}}"},
    {"ValidatingWebhookConfiguration",
     "{metadata: {name: w}, webhooks: [{name: a.b.c, sideEffects: None, admissionReviewVersions: [v1], clientConfig: "
     "{service: {name: s, namespace: nn}}, rules: [{operations: [CREATE], apiGroups: [''], apiVersions: [v1], "
     "resources: [pods]}]}]}"},
    {"ValidatingAdmissionPolicy",
     "{metadata: {name: p}, spec: {matchConstraints: {resourceRules: [{operations: [CREATE], apiGroups: [apps], "
     "apiVersions: [v1], resources: [deployments]}]}, validations: [{expression: 'true'}]}}"},
    {"ValidatingAdmissionPolicyBinding", "{metadata: {name: b}, spec: {policyName: p, validationActions: [Deny]}}"},
    {"FlowSchema",
     "{metadata: {name: f}, spec: {priorityLevelConfiguration: {name: p}, rules: [{subjects: [{kind: User, user: "
     "{name: u}}], resourceRules: [{verbs: [get], apiGroups: [''], resources: [pods], namespaces: ['*']}]}]}}"},
    {"PriorityLevelConfiguration",
     "{metadata: {name: p}, spec: {type: Limited, limited: {limitResponse: {type: Queue, queuing: {}}}}}"},
    {"APIService",
     "{metadata: {name: v1.a.io}, spec: {group: a.io, version: v1, groupPriorityMinimum: 100, versionPriority: 10, "
     "service: {name: s, namespace: nn}}}"},
    {"ResourceClaim",
     "{metadata: {name: r}, spec: {devices: {requests: [{name: a, exactly: {deviceClassName: gpu}}]}}}"},
    {"DeviceClass", "{metadata: {name: d}, spec: {selectors: [{cel: {expression: 'true'}}]}}"},
    {"ResourceSlice",
     "{metadata: {name: r}, spec: {driver: a.io, nodeName: nn, pool: {name: nn, generation: 1, resourceSliceCount: 1}, "
     "devices: [{name: a}]}}"},
};

inline Node base_of(const std::string& kind) {
  for (const auto& row : kBases)
    if (kind == row[0]) return yaml(row[1]);
  FAIL("no base of " << kind);
  return {};
}

using Lines = std::vector<std::string>;

// What is said of a good object of this kind with `patch` merged into it.
inline Lines wrong(const std::string& kind, std::string_view patch) {
  auto row = kind_named(kind);
  Node object = base_of(kind);
  overlay(object, yaml(patch));
  return lines(validate(*row, completed(*row, object), nullptr));
}

// The same of an update of the good object, itself changed by `before`.
inline Lines wrong_update(const std::string& kind, std::string_view before, std::string_view patch,
                          std::string_view subresource = {}) {
  auto row = kind_named(kind);
  Node old = base_of(kind);
  overlay(old, yaml(before));
  Node status = old.get("status");
  old = completed(*row, old);
  if (status.exists()) old.set("status", status);
  Node object = old;
  overlay(object, yaml(patch));
  object = completed(*row, object);
  return lines(validate_part(*row, object, &old, subresource));
}

inline constexpr const char* kLabel =
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for "
    "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
inline constexpr const char* kSubdomain =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for "
    "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

struct Bad {
  const char *kind, *patch;
  Lines said;
};
inline void check_all(std::initializer_list<Bad> rows) {
  for (const Bad& row : rows) {
    CAPTURE(row.kind, row.patch);
    CHECK(wrong(row.kind, row.patch) == row.said);
  }
}

}  // namespace k8lite::api::rules_testing

// Validation and defaults of every kind, as tables: a good object, what is merged into it, and what is said of that.
#include "api/rules/rules_testing.h"
#include "base/embedded.h"

using namespace k8lite;
using namespace k8lite::api;
using namespace k8lite::api::rules_testing;

namespace k8lite::embedded_rules {
std::span<const k8lite::EmbeddedFile> files();
}

TEST_CASE("rules: every line names a type and fields that exist") {
  int checked = 0;
  for (const EmbeddedFile& file : embedded_rules::files()) {
    const schema::Type* type = nullptr;
    std::string_view rest = file.content;
    while (!rest.empty()) {
      std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
      if (line.empty() || line[0] == '#') continue;
      CAPTURE(file.path, line);
      if (line[0] != ' ') {
        type = schema::find_type(line.substr(5));
        REQUIRE(type);
        CHECK(!type->fields.empty());
      } else if (line[1] == '|') {
        std::string_view names = line.substr(3, line.find(' ', 3) - 3);
        for (size_t at = 0; at != names.npos; at = names.find(',', at + 1))
          CHECK(type->find(names.substr(at ? at + 1 : 0, names.find(',', at + 1) - (at ? at + 1 : 0))));
      } else if (line[1] != '.') {
        CHECK(type->find(line.substr(1, line.find(' ', 1) - 1)));
      }
      ++checked;
    }
  }
  CHECK(checked > 500);
}

TEST_CASE("rules: good objects of every kind are good") {
  for (const auto& row : kBases) {
    CAPTURE(row[0]);
    CHECK(wrong(row[0], "{}") == Lines{});
    CHECK(wrong_update(row[0], "{}", "{metadata: {labels: {x: yy}}}") == Lines{});
  }
}

TEST_CASE("rules: metadata is held to Kubernetes' syntax") {
  check_all({
      {"ConfigMap", "{metadata: {name: A_b}}", {std::string("metadata.name: Invalid value: \"A_b\": ") + kSubdomain}},
      {"Namespace", "{metadata: {name: a.b}}", {"metadata.name: Invalid value: \"a.b\": must not contain dots"}},
      {"StatefulSet", "{metadata: {name: a.b}}", {"metadata.name: Invalid value: \"a.b\": must not contain dots"}},
      {"Role", "{metadata: {name: a/b}}", {"metadata.name: Invalid value: \"a/b\": may not contain '/'"}},
      {"ConfigMap", "{metadata: {name: ''}}", {"metadata.name: Required value: name or generateName is required"}},
      {"ConfigMap",
       "{metadata: {labels: {'a b': c}}}",
       {"metadata.labels: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', "
        "and must start and end with an alphanumeric character (e.g. 'MyName',  or "
        "'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"}},
      {"ConfigMap",
       "{metadata: {labels: {a: 'b c'}}}",
       {"metadata.labels: Invalid value: \"b c\": a valid label must be an empty string or consist of alphanumeric "
        "characters, '-', '_' or '.', and must start and end with an alphanumeric character "
        "(e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
        "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"}},
      {"ConfigMap",
       "{metadata: {annotations: {/x: ''}}}",
       {"metadata.annotations: Invalid value: \"/x\": prefix part must be non-empty"}},
      {"ConfigMap",
       "{metadata: {finalizers: [orphan, foregroundDeletion]}}",
       {"metadata.finalizers: Invalid value: [\"orphan\",\"foregroundDeletion\"]: finalizer orphan and "
        "foregroundDeletion cannot be both set"}},
      {"ConfigMap",
       "{metadata: {finalizers: [mine]}}",
       {"metadata.finalizers[0]: Invalid value: \"mine\": name is neither a standard finalizer name nor is it fully "
        "qualified"}},
      {"ConfigMap",
       "{metadata: {ownerReferences: [{apiVersion: v1, kind: Pod, name: p}]}}",
       {"metadata.ownerReferences.uid: Invalid value: \"\": must not be empty"}},
      {"ConfigMap",
       "{metadata: {ownerReferences: [{apiVersion: v1, kind: Pod, name: p, uid: u, controller: true}, {apiVersion: v1, "
       "kind: Pod, name: q, uid: v, controller: true}]}}",
       {"metadata.ownerReferences: Invalid value: "
        "[{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"name\":\"p\",\"uid\":\"u\",\"controller\":true},{\"apiVersion\":"
        "\"v1\",\"kind\":\"Pod\",\"name\":\"q\",\"uid\":\"v\","
        "\"controller\":true}]: Only one reference can have Controller set to true. Found \"true\" in references for "
        "Pod/p and Pod/q"}},
  });
  Node big = base_of("ConfigMap");
  big["metadata"]["annotations"].set("a", std::string(256 * 1024, 'x'));
  auto row = kind_named("ConfigMap");
  CHECK(lines(validate(*row, completed(*row, big), nullptr)) ==
        Lines{"metadata.annotations: Too long: may not be more than 262144 bytes"});
}

TEST_CASE("rules: services and endpoints") {
  check_all({
      {"Service", "{spec: {ports: null}}", {"spec.ports: Required value"}},
      {"Service",
       "{spec: {ports: [{port: 80}, {port: 80, name: b}]}}",
       {"spec.ports[0].name: Required value", "spec.ports[1]: Duplicate value: {\"protocol\":\"TCP\",\"port\":80}"}},
      {"Service",
       "{spec: {ports: [{port: 0, targetPort: A}]}}",
       {"spec.ports[0].targetPort: Invalid value: \"A\": must contain only alpha-numeric characters (a-z, 0-9), and "
        "hyphens (-)",
        "spec.ports[0].targetPort: Invalid value: \"A\": must contain at least one letter (a-z)",
        "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"}},
      {"Service",
       "{spec: {type: Pigeon}}",
       {"spec.type: Unsupported value: \"Pigeon\": supported values: \"ClusterIP\", \"ExternalName\", "
        "\"LoadBalancer\", \"NodePort\""}},
      {"Service", "{spec: {type: ExternalName, ports: null}}", {"spec.externalName: Required value"}},
      {"Service",
       "{spec: {type: NodePort, clusterIP: None}}",
       {"spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services"}},
      {"Service",
       "{spec: {sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 0}}}}",
       {"spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 0: must be greater than 0 and less than "
        "86400"}},
      {"Service",
       "{spec: {sessionAffinity: Sticky}}",
       {"spec.sessionAffinity: Unsupported value: \"Sticky\": supported values: \"ClientIP\", \"None\""}},
      {"Service",
       "{spec: {externalTrafficPolicy: Local}}",
       {"spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for externally-accessible services"}},
      {"Service",
       "{spec: {type: LoadBalancer, externalTrafficPolicy: Far}}",
       {"spec.externalTrafficPolicy: Unsupported value: \"Far\": supported values: \"Cluster\", \"Local\""}},
      {"Service",
       "{spec: {externalIPs: [127.0.0.1]}}",
       {"spec.externalIPs[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)"}},
      {"Service",
       "{spec: {loadBalancerClass: a.io/b}}",
       {"spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'"}},
      {"Service",
       "{spec: {type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.0]}}",
       {"spec.LoadBalancerSourceRanges[0]: Invalid value: \"10.0.0.0\": must be a valid CIDR value, (e.g. 10.9.8.0/24 "
        "or 2001:db8::/64)"}},
      {"Service",
       "{spec: {ipFamilies: [IPv5]}}",
       {"spec.ipFamilies[0]: Unsupported value: \"IPv5\": supported values: \"IPv4\", \"IPv6\""}},
      {"Service",
       "{spec: {trafficDistribution: Far}}",
       {"spec.trafficDistribution: Unsupported value: \"Far\": supported values: \"PreferClose\", \"PreferSameNode\", "
        "\"PreferSameZone\""}},
      {"Endpoints",
       "{subsets: [{ports: [{port: 0}]}]}",
       {"subsets[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
        "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"}},
      {"Endpoints",
       "{subsets: [{addresses: [{ip: 127.0.0.1}]}]}",
       {"subsets[0].addresses[0].ip: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, "
        "::1/128)"}},
      {"EndpointSlice",
       "{addressType: IPX}",
       {"addressType: Unsupported value: \"IPX\": supported values: \"FQDN\", \"IPv4\", \"IPv6\""}},
      {"EndpointSlice",
       "{endpoints: [{addresses: []}]}",
       {"endpoints[0].addresses: Required value: must contain at least 1 address"}},
      {"EndpointSlice",
       "{addressType: IPv6}",
       {"endpoints[0].addresses[0]: Invalid value: \"10.0.0.1\": must be a valid IPv6 address"}},
  });
  CHECK(wrong_update("Service", "{spec: {clusterIP: 10.0.0.5, clusterIPs: [10.0.0.5]}}",
                     "{spec: {clusterIP: 10.0.0.6, clusterIPs: [10.0.0.6]}}") ==
        Lines{"spec.clusterIPs[0]: Invalid value: [\"10.0.0.6\"]: may not change once set"});
  CHECK(wrong_update("EndpointSlice", "{}", "{addressType: FQDN, endpoints: [{addresses: [a.b]}]}") ==
        Lines{"addressType: Invalid value: \"FQDN\": field is immutable"});
}

TEST_CASE("rules: config maps, secrets, quotas and limits") {
  check_all({
      {"ConfigMap",
       "{data: {'a/b': x}}",
       {"data[a/b]: Invalid value: \"a/b\": a valid config key must consist of alphanumeric characters, '-', '_' or "
        "'.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is "
        "'[-._a-zA-Z0-9]+')"}},
      {"ConfigMap",
       "{binaryData: {a: Yg==}}",
       {"data[a]: Invalid value: \"a\": duplicate of key present in binaryData"}},
      {"Secret", "{type: kubernetes.io/tls}", {"data[tls.crt]: Required value", "data[tls.key]: Required value"}},
      {"Secret",
       "{type: kubernetes.io/basic-auth}",
       {"data[username]: Required value", "data[password]: Required value"}},
      {"Secret", "{type: kubernetes.io/ssh-auth}", {"data[ssh-privatekey]: Required value"}},
      {"Secret", "{type: kubernetes.io/dockerconfigjson}", {"data[.dockerconfigjson]: Required value"}},
      {"Secret", "{type: kubernetes.io/dockerconfigjson, stringData: {.dockerconfigjson: '{}'}}", {}},
      {"Secret",
       "{type: kubernetes.io/service-account-token}",
       {"metadata.annotations[kubernetes.io/service-account.name]: Required value"}},
      {"ResourceQuota",
       "{spec: {hard: {pods: 1500m, cows: '1'}}}",
       {"spec.hard[pods]: Invalid value: \"1500m\": must be an integer",
        "spec.hard[cows]: Invalid value: \"cows\": must be a standard resource type or fully qualified",
        "spec.hard[cows]: Invalid value: \"cows\": must be a standard resource for quota"}},
      {"ResourceQuota",
       "{spec: {scopes: [BestEffort, NotBestEffort]}}",
       {"spec.scopes: Invalid value: [\"BestEffort\",\"NotBestEffort\"]: conflicting scopes"}},
      {"ResourceQuota",
       "{spec: {scopes: [BestEffort], hard: {cpu: '1'}}}",
       {"spec.scopes: Invalid value: [\"BestEffort\"]: unsupported scope applied to resource"}},
      {"ResourceQuota",
       "{spec: {scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: In}]}}}",
       {"spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when `operator` is "
        "'In' or 'NotIn' for scope selector"}},
      {"LimitRange",
       "{spec: {limits: [{type: Container, max: {cpu: '1'}, min: {cpu: '2'}, default: {cpu: '1'}, defaultRequest: "
       "{cpu: '1'}}]}}",
       {"spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1",
        "spec.limits[0].defaultRequest[cpu]: Invalid value: \"1\": min value 2 is greater than default request value 1",
        "spec.limits[0].default[cpu]: Invalid value: \"2\": min value 2 is greater than default value 1"}},
      {"LimitRange",
       "{spec: {limits: [{type: Pod, default: {cpu: '1'}}]}}",
       {"spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'"}},
      {"LimitRange",
       "{spec: {limits: [{type: Cow}]}}",
       {"spec.limits[0].type: Invalid value: \"Cow\": must be a standard limit type or fully qualified"}},
      {"PriorityClass",
       "{value: 1000000001}",
       {"value: Forbidden: maximum allowed value of a user defined priority is 1000000000"}},
      {"PriorityClass",
       "{metadata: {name: system-mine}}",
       {"metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: "
        "system-mine is not a known system priority class"}},
      {"Node",
       "{spec: {taints: [{key: a, effect: Never}, {key: b}]}}",
       {"metadata.taints[0].effect: Unsupported value: \"Never\": supported values: \"NoSchedule\", "
        "\"PreferNoSchedule\", \"NoExecute\"",
        "metadata.taints[1].effect: Required value"}},
      {"Lease",
       "{spec: {leaseDurationSeconds: 0}}",
       {"spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"}},
      {"RuntimeClass", "{handler: A_b}", {std::string("handler: Invalid value: \"A_b\": ") + kLabel}},
      {"Event",
       "{involvedObject: {namespace: other}}",
       {"involvedObject.namespace: Invalid value: \"other\": does not match event.namespace"}},
  });
  constexpr const char* kFrozen = ": Forbidden: field is immutable when `immutable` is set";
  CHECK(wrong_update("ConfigMap", "{immutable: true}", "{immutable: false, data: {a: c}}") ==
        Lines{std::string("immutable") + kFrozen, std::string("data") + kFrozen});
  CHECK(wrong_update("Secret", "{}", "{type: other}") == Lines{"type: Invalid value: \"other\": field is immutable"});
  CHECK(wrong_update("PriorityClass", "{}", "{value: 11}") == Lines{"value: Invalid value: 11: field is immutable"});
  CHECK(wrong_update("ResourceQuota", "{}", "{spec: {scopes: [NotBestEffort]}}") ==
        Lines{"spec.scopes: Invalid value: [\"NotBestEffort\"]: field is immutable"});
  CHECK(wrong_update("Node", "{spec: {podCIDRs: [10.0.0.0/24]}}", "{spec: {podCIDRs: [10.0.1.0/24]}}") ==
        Lines{"spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid"});
}

TEST_CASE("rules: storage") {
  check_all({
      {"PersistentVolume", "{spec: {hostPath: null}}", {"spec: Required value: must specify a volume type"}},
      {"PersistentVolume", "{spec: {accessModes: []}}", {"spec.accessModes: Required value"}},
      {"PersistentVolume",
       "{spec: {capacity: {storage: '0'}}}",
       {"spec.capacity[storage]: Invalid value: \"0\": must be greater than zero"}},
      {"PersistentVolume",
       "{spec: {hostPath: null, local: {path: /x}}}",
       {"spec.nodeAffinity: Required value: Local volume requires node affinity"}},
      {"PersistentVolume",
       "{spec: {persistentVolumeReclaimPolicy: Burn}}",
       {"spec.persistentVolumeReclaimPolicy: Unsupported value: \"Burn\": supported values: \"Delete\", \"Recycle\", "
        "\"Retain\""}},
      {"PersistentVolumeClaim",
       "{spec: {accessModes: [Often]}}",
       {"spec.accessModes: Unsupported value: \"Often\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", "
        "\"ReadWriteOnce\", \"ReadWriteOncePod\""}},
      {"PersistentVolumeClaim", "{spec: {resources: null}}", {"spec.resources[storage]: Required value"}},
      {"PersistentVolumeClaim",
       "{spec: {dataSource: {kind: Secret, name: s}}}",
       {"spec.dataSource: Invalid value: \"Secret\": must be 'PersistentVolumeClaim' when referencing the default "
        "apiGroup"}},
      {"StorageClass",
       "{volumeBindingMode: Later}",
       {"volumeBindingMode: Unsupported value: \"Later\": supported values: \"Immediate\", \"WaitForFirstConsumer\""}},
      {"StorageClass", "{provisioner: ''}", {"provisioner: Required value"}},
      {"VolumeAttachment",
       "{spec: {source: {persistentVolumeName: null}}}",
       {"spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName"}},
      {"CSIDriver",
       "{spec: {fsGroupPolicy: Perhaps}}",
       {"spec.fsGroupPolicy: Unsupported value: \"Perhaps\": supported values: \"File\", \"None\", "
        "\"ReadWriteOnceWithFSType\""}},
      {"CSINode",
       "{spec: {drivers: [{name: a.io, nodeID: nn}, {name: a.io, nodeID: nn}]}}",
       {"spec.drivers[1].name: Duplicate value: \"a.io\""}},
  });
  CHECK(wrong_update("PersistentVolume", "{}", "{spec: {hostPath: {path: /y}}}") ==
        Lines{"spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation"});
  CHECK(wrong_update("PersistentVolume", "{}",
                     "{spec: {persistentVolumeReclaimPolicy: Delete, claimRef: {name: c, namespace: nn}}}") == Lines{});
  constexpr const char* kClaim =
      "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for "
      "bound claims";
  CHECK(wrong_update("PersistentVolumeClaim", "{}", "{spec: {resources: {requests: {storage: 2Gi}}}}") ==
        Lines{kClaim});
  CHECK(wrong_update("PersistentVolumeClaim", "{status: {phase: Bound}}",
                     "{spec: {volumeName: v, resources: {requests: {storage: 2Gi}}}}") == Lines{});
  CHECK(wrong_update("PersistentVolumeClaim", "{status: {phase: Bound, capacity: {storage: 1Gi}}}",
                     "{spec: {resources: {requests: {storage: 512Mi}}}}") ==
        Lines{"spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"});
  CHECK(wrong_update("StorageClass", "{}", "{parameters: {a: b}}") ==
        Lines{"parameters: Forbidden: updates to parameters are forbidden."});
}

TEST_CASE("rules: networks") {
  check_all({
      {"Ingress",
       "{spec: {rules: null}}",
       {"spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"}},
      {"Ingress",
       "{spec: {rules: [{host: 1.2.3.4}]}}",
       {"spec.rules[0].host: Invalid value: \"1.2.3.4\": must be a DNS name, not an IP address"}},
      {"Ingress",
       "{spec: {rules: [{http: {paths: [{path: x, pathType: Prefix, backend: {}}]}}]}}",
       {"spec.rules[0].http.paths[0].backend: Invalid value: \"\": resource or service backend is required",
        "spec.rules[0].http.paths[0].path: Invalid value: \"x\": must be an absolute path"}},
      {"Ingress",
       "{spec: {defaultBackend: {service: {name: s, port: {name: a, number: 1}}}}}",
       {"spec.defaultBackend: Invalid value: \"\": cannot set both port name & port number"}},
      {"Ingress",
       "{spec: {rules: [{http: {paths: [{path: /, backend: {service: {name: s, port: {number: 1}}}}]}}]}}",
       {"spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified"}},
      {"IngressClass",
       "{spec: {controller: nope}}",
       {"spec.controller: Invalid value: \"nope\": must be a domain-prefixed path (such as \"acme.io/foo\")"}},
      {"IngressClass",
       "{spec: {parameters: {kind: K, name: nn, scope: Namespace}}}",
       {"spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'"}},
      {"NetworkPolicy",
       "{spec: {ingress: [{from: [{}]}]}}",
       {"spec.ingress[0].from[0]: Required value: must specify a peer"}},
      {"NetworkPolicy",
       "{spec: {ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16]}}]}]}}",
       {"spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: \"11.0.0.0/16\": must be a strict subset of "
        "`cidr`"}},
      {"NetworkPolicy",
       "{spec: {ingress: [{ports: [{port: 80, endPort: 70}]}]}}",
       {"spec.ingress[0].ports[0].endPort: Invalid value: 70: must be greater than or equal to `port`"}},
      {"NetworkPolicy",
       "{spec: {policyTypes: [Sideways]}}",
       {"spec.policyTypes[0]: Unsupported value: \"Sideways\": supported values: \"Egress\", \"Ingress\""}},
      {"IPAddress",
       "{metadata: {name: '2001:DB8::1'}}",
       {"metadata.name: Invalid value: \"2001:DB8::1\": must be in canonical form (\"2001:db8::1\")"}},
      {"ServiceCIDR",
       "{spec: {cidrs: [10.0.0.0/24, 10.0.1.0/24]}}",
       {"spec.cidrs: Invalid value: [\"10.0.0.0/24\",\"10.0.1.0/24\"]: may specify no more than one IP for each IP "
        "family, i.e 192.168.0.0/24 and 2001:db8::/64"}},
  });
  CHECK(wrong_update("IngressClass", "{}", "{spec: {controller: b.io/c}}") ==
        Lines{"spec.controller: Invalid value: \"b.io/c\": field is immutable"});
  CHECK(wrong_update("ServiceCIDR", "{}", "{spec: {cidrs: [10.0.1.0/24]}}") ==
        Lines{"spec.cidrs[0]: Invalid value: \"10.0.1.0/24\": field is immutable"});
}

TEST_CASE("rules: policies") {
  check_all({
      {"Role",
       "{rules: [{apiGroups: [''], resources: [pods]}]}",
       {"rules[0].verbs: Required value: verbs must contain at least one value"}},
      {"Role",
       "{rules: [{nonResourceURLs: [/x], verbs: [get]}]}",
       {"rules[0].nonResourceURLs: Invalid value: [\"/x\"]: namespaced rules cannot apply to non-resource URLs"}},
      {"Role",
       "{rules: [{verbs: [get]}]}",
       {"rules[0].apiGroups: Required value: resource rules must supply at least one api group",
        "rules[0].resources: Required value: resource rules must supply at least one resource"}},
      {"ClusterRoleBinding",
       "{roleRef: {kind: Role, name: r}}",
       {"roleRef.kind: Unsupported value: \"Role\": supported values: \"ClusterRole\""}},
      {"RoleBinding",
       "{roleRef: {kind: Roll, name: r}}",
       {"roleRef.kind: Unsupported value: \"Roll\": supported values: \"Role\", \"ClusterRole\""}},
      {"ClusterRoleBinding",
       "{subjects: [{kind: ServiceAccount, name: s}]}",
       {"subjects[0].namespace: Required value"}},
      {"RoleBinding",
       "{subjects: [{kind: Cow, name: s}]}",
       {"subjects[0].kind: Unsupported value: \"Cow\": supported values: \"ServiceAccount\", \"User\", \"Group\""}},
      {"HorizontalPodAutoscaler",
       "{spec: {maxReplicas: 0}}",
       {"spec.maxReplicas: Invalid value: 0: must be greater than 0",
        "spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`"}},
      {"HorizontalPodAutoscaler",
       "{spec: {metrics: [{type: Resource}]}}",
       {"spec.metrics[0].resource: Required value: must populate information for the given metric source"}},
      {"HorizontalPodAutoscaler",
       "{spec: {metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization}}}]}}",
       {"spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value or a "
        "target utilization"}},
      {"PodDisruptionBudget",
       "{spec: {maxUnavailable: 1}}",
       {"spec: Invalid value: {\"minAvailable\":1,\"selector\":{\"matchLabels\":{\"a\":\"b\"}},\"maxUnavailable\":1}: "
        "minAvailable and maxUnavailable cannot be both set"}},
      {"CertificateSigningRequest",
       "{spec: {usages: [], signerName: x}}",
       {"spec.usages: Required value",
        "spec.signerName: Invalid value: \"x\": must be a fully qualified domain and path of the form "
        "'example.com/signer-name'"}},
      {"CertificateSigningRequest",
       "{spec: {request: eA==, expirationSeconds: 5}}",
       {"spec.request: Invalid value: \"eA==\": PEM block type must be CERTIFICATE REQUEST",
        "spec.expirationSeconds: Invalid value: 5: may not specify a duration less than 600 seconds (10 minutes)"}},
      {"APIService",
       "{metadata: {name: wrong}}",
       {"metadata.name: Invalid value: \"wrong\": must be `spec.version+\".\"+spec.group`: \"v1.a.io\""}},
      {"ValidatingWebhookConfiguration",
       "{webhooks: [{name: a, admissionReviewVersions: [v1], sideEffects: Many, clientConfig: {}, timeoutSeconds: "
       "31}]}",
       {"webhooks[0].name: Invalid value: \"a\": should be a domain with at least three segments separated by dots",
        "webhooks[0].sideEffects: Unsupported value: \"Many\": supported values: \"None\", \"NoneOnDryRun\"",
        "webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds",
        "webhooks[0].clientConfig: Required value: exactly one of url or service is required"}},
      {"ValidatingAdmissionPolicy",
       "{spec: {validations: []}}",
       {"spec.validations: Required value: validations or auditAnnotations must contain at least one item",
        "spec.auditAnnotations: Required value: validations or auditAnnotations must contain at least one item"}},
      {"ValidatingAdmissionPolicyBinding",
       "{spec: {validationActions: [Deny, Warn]}}",
       {"spec.validationActions: Invalid value: [\"Deny\",\"Warn\"]: must not contain both Deny and Warn (repeating "
        "the same validation failure information in the API response and headers serves no purpose)"}},
      {"FlowSchema",
       "{spec: {matchingPrecedence: 1}}",
       {"spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1"}},
      {"FlowSchema",
       "{spec: {rules: [{subjects: [{kind: User}]}]}}",
       {"spec.rules[0].subjects[0].user: Required value: user is required when subject kind is 'User'",
        "spec.rules[0]: Required value: at least one of resourceRules and nonResourceRules has to be non-empty"}},
      {"PriorityLevelConfiguration",
       "{spec: {type: Exempt}}",
       {"spec.type: Invalid value: \"Exempt\": type must be 'Exempt' if and only if name is 'exempt'",
        "spec.limited: Forbidden: must be nil if the type is not Limited"}},
      {"ResourceClaim",
       "{spec: {devices: {requests: [{name: a}], constraints: [{requests: [b], matchAttribute: a.io/x}]}}}",
       {"spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required",
        "spec.devices.constraints[0].requests[0]: Invalid value: \"b\": must be the name of a request in the claim or "
        "the name of a request and a subrequest separated by '/'"}},
      {"ResourceSlice",
       "{spec: {nodeName: null}}",
       {"spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is "
        "required"}},
  });
  CHECK(wrong_update("ClusterRoleBinding", "{}", "{roleRef: {name: other}}") ==
        Lines{"roleRef: Invalid value: "
              "{\"kind\":\"ClusterRole\",\"name\":\"other\",\"apiGroup\":\"rbac.authorization.k8s.io\"}: cannot change "
              "roleRef"});
  CHECK(
      wrong_update("ResourceClaim", "{}", "{spec: {devices: {requests: [{name: b, exactly: {deviceClassName: gpu}}]}}}")
          .size() == 1);
}

TEST_CASE("defaults: each kind is filled as upstream fills it") {
  struct Filled {
    const char *kind, *patch, *path, *wanted;
  };
  for (const Filled& row : std::initializer_list<Filled>{
           {"Pod", "{}", "spec.enableServiceLinks", "true"},
           {"Pod", "{}", "spec.terminationGracePeriodSeconds", "30"},
           {"Pod", "{spec: {serviceAccountName: s}}", "spec.serviceAccount", "\"s\""},
           {"Pod", "{spec: {volumes: [{name: v}]}}", "spec.volumes", "[{\"name\":\"v\",\"emptyDir\":{}}]"},
           {"Pod", "{spec: {hostNetwork: true, containers: [{name: a, image: x, ports: [{containerPort: 80}]}]}}",
            "spec.containers.0.ports", "[{\"containerPort\":80,\"hostPort\":80,\"protocol\":\"TCP\"}]"},
           {"Pod", "{spec: {containers: [{name: a, image: x, resources: {limits: {cpu: '1'}}}]}}",
            "spec.containers.0.resources.requests", "{\"cpu\":\"1\"}"},
           {"Pod", "{spec: {containers: [{name: a, image: 'x:latest'}]}}", "spec.containers.0.imagePullPolicy",
            "\"Always\""},
           {"Pod", "{spec: {containers: [{name: a, image: 'x@sha256:00'}]}}", "spec.containers.0.imagePullPolicy",
            "\"IfNotPresent\""},
           {"Deployment", "{}", "spec.strategy",
            "{\"type\":\"RollingUpdate\",\"rollingUpdate\":{\"maxUnavailable\":\"25%\",\"maxSurge\":\"25%\"}}"},
           {"Deployment", "{}", "spec.template.spec.enableServiceLinks", ""},
           {"Deployment",
            "{spec: {template: {spec: {containers: [{name: a, image: x, resources: {limits: {cpu: '1'}}}]}}}}",
            "spec.template.spec.containers.0.resources", "{\"limits\":{\"cpu\":\"1\"}}"},
           {"StatefulSet", "{}", "spec.persistentVolumeClaimRetentionPolicy",
            "{\"whenDeleted\":\"Retain\",\"whenScaled\":\"Retain\"}"},
           {"Job", "{}", "spec.completions", "1"},
           {"Job", "{spec: {completionMode: Indexed, completions: 2, backoffLimitPerIndex: 1}}", "spec.backoffLimit",
            "2147483647"},
           {"Job", "{}", "spec.podReplacementPolicy", "\"TerminatingOrFailed\""},
           {"CronJob", "{}", "spec.jobTemplate.spec.completions", ""},
           {"CronJob", "{}", "spec.jobTemplate.spec.template.spec.dnsPolicy", "\"ClusterFirst\""},
           {"Service", "{}", "spec.internalTrafficPolicy", "\"Cluster\""},
           {"Service", "{spec: {type: ExternalName, externalName: a.b}}", "spec.internalTrafficPolicy", ""},
           {"Service", "{spec: {type: NodePort}}", "spec.externalTrafficPolicy", "\"Cluster\""},
           {"Service", "{spec: {type: LoadBalancer}}", "spec.allocateLoadBalancerNodePorts", "true"},
           {"Service", "{spec: {sessionAffinity: ClientIP}}", "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
            "10800"},
           {"Secret", "{}", "data", "{\"a\":\"Yg==\"}"},
           {"Secret", "{}", "type", "\"Opaque\""},
           {"LimitRange", "{}", "spec.limits.0.defaultRequest", "{\"cpu\":\"2\"}"},
           {"NetworkPolicy", "{spec: {egress: [{}]}}", "spec.policyTypes", "[\"Ingress\",\"Egress\"]"},
           {"HorizontalPodAutoscaler", "{}", "spec.metrics",
            "[{\"type\":\"Resource\",\"resource\":{\"name\":\"cpu\",\"target\":{\"type\":\"Utilization\","
            "\"averageUtilization\":80}}}]"},
           {"RoleBinding", "{}", "subjects.0.apiGroup", "\"rbac.authorization.k8s.io\""},
           {"StorageClass", "{}", "reclaimPolicy", "\"Delete\""},
           {"CSIDriver", "{}", "spec.volumeLifecycleModes", "[\"Persistent\"]"},
           {"ValidatingWebhookConfiguration", "{}", "webhooks.0.timeoutSeconds", "10"},
           {"ValidatingWebhookConfiguration", "{}", "webhooks.0.clientConfig.service.port", "443"},
           {"ResourceClaim", "{}", "spec.devices.requests.0.exactly.count", "1"},
           {"PersistentVolume", "{}", "status.phase", "\"Pending\""},
           {"Deployment", "{}", "status", "{}"},
           {"ReplicaSet", "{}", "status", "{\"replicas\":0}"},
           {"Service", "{}", "status", "{\"loadBalancer\":{}}"},
       }) {
    CAPTURE(row.kind, row.patch, row.path);
    auto kind = kind_named(row.kind);
    Node object = base_of(row.kind);
    overlay(object, yaml(row.patch));
    object = completed(*kind, object);
    const Node* at = &object;
    std::string_view rest = row.path;
    while (!rest.empty()) {
      std::string_view step = rest.substr(0, rest.find('.'));
      rest.remove_prefix(std::min(rest.size(), step.size() + 1));
      at = step == "0" ? &at->items().at(0) : &at->get(step);
    }
    CHECK((at->exists() ? at->dump() : "") == row.wanted);
    Node again = object;
    apply_defaults(*kind, again);
    CHECK(again == object);
  }
}

TEST_CASE("defaults: a service that changes its type loses what it no longer needs") {
  auto kind = kind_named("Service");
  Node old = completed(*kind, yaml("{metadata: {name: s}, spec: {type: LoadBalancer, ports: [{port: 80}]}}")),
       now = old;
  now["spec"].set("type", "ClusterIP");
  forget_what_no_longer_applies(*kind, now, old);
  CHECK(!now.path("spec.externalTrafficPolicy").exists());
  CHECK(!now.path("spec.allocateLoadBalancerNodePorts").exists());
  CHECK(lines(validate(*kind, now, &old)) == Lines{});
}

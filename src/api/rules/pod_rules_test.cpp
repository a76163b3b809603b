// Validation of pods, their containers and volumes, and of the kinds that make them.
#include "api/rules/rules_testing.h"

using namespace k8lite;
using namespace k8lite::api;
using namespace k8lite::api::rules_testing;

TEST_CASE("rules: containers") {
  auto pod = [](const std::string& container) {
    return wrong("Pod", "{spec: {containers: [{name: a, image: 'x:1', " + container + "}]}}");
  };
  const std::string c = "spec.containers[0].";
  CHECK(wrong("Pod", "{spec: {containers: []}}") == Lines{"spec.containers: Required value"});
  CHECK(wrong("Pod", "{spec: {containers: [{}]}}") == Lines{c + "name: Required value", c + "image: Required value"});
  CHECK(wrong("Pod", "{spec: {containers: [{name: A, image: ' x'}]}}") ==
        Lines{c + "name: Invalid value: \"A\": " + kLabel,
              c + "image: Invalid value: \" x\": must not have leading or trailing whitespace"});
  CHECK(wrong("Pod", "{spec: {containers: [{name: a, image: x}, {name: a, image: yy}]}}") ==
        Lines{"spec.containers[1].name: Duplicate value: \"a\""});
  CHECK(pod("imagePullPolicy: Sometimes") == Lines{c + "imagePullPolicy: Unsupported value: \"Sometimes\": supported "
                                                       "values: \"Always\", \"IfNotPresent\", \"Never\""});
  CHECK(pod("ports: [{containerPort: 70000}, {}]") ==
        Lines{c + "ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
              c + "ports[1].containerPort: Required value"});
  CHECK(pod("ports: [{containerPort: 1, name: UPPER}, {containerPort: 2, protocol: ICMP}]") ==
        Lines{c + "ports[0].name: Invalid value: \"UPPER\": must contain only alpha-numeric characters (a-z, 0-9), and "
                  "hyphens (-)",
              c + "ports[0].name: Invalid value: \"UPPER\": must contain at least one letter (a-z)",
              c + "ports[1].protocol: Unsupported value: \"ICMP\": supported values: \"SCTP\", \"TCP\", \"UDP\""});
  CHECK(pod("ports: [{containerPort: 1, hostPort: 5}, {containerPort: 2, hostPort: 5}]") ==
        Lines{c + "ports[1].hostPort: Duplicate value: \"TCP//5\""});
  CHECK(pod("env: [{value: x}, {name: 'A=B'}, {name: C, value: x, valueFrom: {fieldRef: {fieldPath: metadata.name}}}, "
            "{name: D, valueFrom: {}}]") ==
        Lines{c + "env[0].name: Required value",
              c + "env[1].name: Invalid value: \"A=B\": a valid environment variable name must consist only of "
                  "printable ASCII characters other than '='",
              c + "env[2].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
              c + "env[3].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, "
                  "`configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"});
  CHECK(
      pod("env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.labels}}}, {name: B, valueFrom: {secretKeyRef: "
          "{name: s}}}]") ==
      Lines{
          c + "env[0].valueFrom.fieldRef.fieldPath: Unsupported value: \"metadata.labels\": supported values: "
              "\"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", "
              "\"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", \"status.podIPs\"",
          c + "env[1].valueFrom.secretKeyRef.key: Required value"});
  CHECK(pod("envFrom: [{}]") ==
        Lines{c + "envFrom: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`"});
  CHECK(pod("volumeMounts: [{name: v, mountPath: /x}, {mountPath: /x}]") ==
        Lines{c + "volumeMounts[0].name: Not found: \"v\"", c + "volumeMounts[1].name: Required value",
              c + "volumeMounts[1].name: Not found: \"\"",
              c + "volumeMounts[1].mountPath: Invalid value: \"/x\": must be unique"});
  CHECK(
      pod("resources: {limits: {foo: '1'}}") ==
      Lines{c + "resources.limits[foo]: Invalid value: \"foo\": must be a standard resource type or fully qualified",
            c + "resources.limits[foo]: Invalid value: \"foo\": must be a standard resource for containers",
            c + "resources.requests[foo]: Invalid value: \"foo\": must be a standard resource type or fully qualified",
            c + "resources.requests[foo]: Invalid value: \"foo\": must be a standard resource for containers"});
  CHECK(pod("resources: {requests: {cpu: '-1'}}") ==
        Lines{c + "resources.requests[cpu]: Invalid value: \"-1\": must be greater than or equal to 0"});
  CHECK(pod("resources: {limits: {memory: 1Gi}, requests: {memory: 2Gi}}") ==
        Lines{c + "resources.requests: Invalid value: \"2Gi\": must be less than or equal to memory limit of 1Gi"});
  CHECK(pod("resources: {limits: {a.b/gpu: '2'}, requests: {a.b/gpu: '1'}}") ==
        Lines{c + "resources.requests: Invalid value: \"1\": must be equal to a.b/gpu limit of 2"});
  CHECK(pod("livenessProbe: {}") == Lines{c + "livenessProbe: Required value: must specify a handler type"});
  CHECK(pod("livenessProbe: {exec: {command: [a]}, httpGet: {port: 80}}") ==
        Lines{c + "livenessProbe.httpGet: Forbidden: may not specify more than 1 handler type"});
  CHECK(pod("livenessProbe: {exec: {}, successThreshold: 2, periodSeconds: -1}") ==
        Lines{c + "livenessProbe.exec.command: Required value",
              c + "livenessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
              c + "livenessProbe.successThreshold: Invalid value: 2: must be 1"});
  CHECK(
      pod("readinessProbe: {httpGet: {port: 0, scheme: GOPHER}}") ==
      Lines{c + "readinessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive",
            c + "readinessProbe.httpGet.scheme: Unsupported value: \"GOPHER\": supported values: \"HTTP\", \"HTTPS\""});
  CHECK(pod("securityContext: {runAsUser: -1, privileged: true, allowPrivilegeEscalation: false}").size() == 2);
  CHECK(pod("restartPolicyRules: [{action: Restart}]") ==
        Lines{c + "restartPolicy: Required value: must specify restartPolicy when restart rules are used",
              c + "restartPolicyRules[0].exitCodes: Required value: must be specified"});
  CHECK(wrong("Pod", "{spec: {initContainers: [{name: b, image: x, livenessProbe: {exec: {command: [a]}}}]}}") ==
        Lines{"spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without "
              "restartPolicy=Always"});
  CHECK(wrong("Pod",
              "{spec: {initContainers: [{name: b, image: x, restartPolicy: Always, livenessProbe: {exec: {command: "
              "[a]}}}]}}") == Lines{});
  CHECK(wrong("Pod", "{spec: {ephemeralContainers: [{name: b, image: x}]}}") ==
        Lines{"spec.ephemeralContainers: Forbidden: cannot be set on create"});
  CHECK(wrong("Deployment", "{spec: {template: {spec: {ephemeralContainers: [{name: b, image: x}]}}}}") ==
        Lines{"spec.template.spec.ephemeralContainers: Forbidden: ephemeral containers not allowed in pod template"});
}

TEST_CASE("rules: volumes") {
  auto pod = [](const std::string& volume) { return wrong("Pod", "{spec: {volumes: [{name: v, " + volume + "}]}}"); };
  const std::string v = "spec.volumes[0].";
  CHECK(wrong("Pod", "{spec: {volumes: [{name: V}, {name: w}, {name: w}, {}]}}") ==
        Lines{"spec.volumes[2].name: Duplicate value: \"w\"",
              std::string("spec.volumes[0].name: Invalid value: \"V\": ") + kLabel,
              "spec.volumes[3].name: Required value"});
  CHECK(pod("emptyDir: {}, secret: {secretName: s}") ==
        Lines{v + "secret: Forbidden: may not specify more than 1 volume type"});
  CHECK(pod("hostPath: {path: /a/../b, type: Pipe}") ==
        Lines{v + "hostPath.path: Invalid value: \"/a/../b\": must not contain '..'",
              v + "hostPath.type: Unsupported value: \"Pipe\": supported values: \"\", \"BlockDevice\", "
                  "\"CharDevice\", \"Directory\", \"DirectoryOrCreate\", \"File\", \"FileOrCreate\", \"Socket\""});
  CHECK(
      pod("secret: {defaultMode: 1000, items: [{key: k, path: /abs}]}") ==
      Lines{v + "secret.secretName: Required value",
            v + "secret.defaultMode: Invalid value: 1000: must be a number between 0 and 0777 (octal), both inclusive",
            v + "secret.items[0].path: Invalid value: \"/abs\": must be a relative path"});
  CHECK(pod("configMap: {}") == Lines{v + "configMap.name: Required value"});
  CHECK(pod("persistentVolumeClaim: {}") == Lines{v + "persistentVolumeClaim.claimName: Required value"});
  CHECK(pod("nfs: {server: s, path: rel}") == Lines{v + "nfs.path: Invalid value: \"rel\": must be an absolute path"});
  CHECK(pod("downwardAPI: {items: [{path: a, fieldRef: {fieldPath: status.podIP}}]}") ==
        Lines{v + "downwardAPI.fieldRef.fieldPath: Unsupported value: \"status.podIP\": supported values: "
                  "\"metadata.annotations\", \"metadata.labels\", \"metadata.name\", \"metadata.namespace\", "
                  "\"metadata.uid\""});
  CHECK(pod("projected: {sources: [{secret: {name: s, items: [{key: a, path: p}]}}, {configMap: {name: c, items: "
            "[{key: a, path: p}]}}, {serviceAccountToken: {expirationSeconds: 5}}]}") ==
        Lines{v + "projected: Invalid value: \"c\": conflicting duplicate paths",
              v + "projected.sources[2].serviceAccountToken.expirationSeconds: Invalid value: 5: may not specify a "
                  "duration less than 10 minutes",
              v + "projected.path: Required value",
              v + "projected.sources[2].serviceAccountToken: Forbidden: must not be specified when serviceAccountName "
                  "is not set"});
  CHECK(pod("ephemeral: {volumeClaimTemplate: {metadata: {name: x}, spec: {}}}") ==
        Lines{v + "ephemeral.volumeClaimTemplate.spec.accessModes: Required value: at least 1 access mode is required",
              v + "ephemeral.volumeClaimTemplate.spec.resources[storage]: Required value",
              v + "ephemeral.volumeClaimTemplate.metadata.name: Forbidden: cannot be set"});
  CHECK(pod("image: {}") == Lines{v + "image.reference: Required value"});
  CHECK(pod("csi: {driver: 'A b'}").size() == 1);
}

TEST_CASE("rules: pods as a whole") {
  check_all({
      {"Pod",
       "{spec: {restartPolicy: Perhaps}}",
       {"spec.restartPolicy: Unsupported value: \"Perhaps\": supported values: \"Always\", \"OnFailure\", \"Never\""}},
      {"Pod",
       "{spec: {dnsPolicy: None}}",
       {"spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"}},
      {"Pod",
       "{spec: {dnsConfig: {nameservers: [a, 1.1.1.1, 2.2.2.2, 3.3.3.3]}}}",
       {"spec.dnsConfig.nameservers[0]: Invalid value: \"a\": must be a valid IP address, (e.g. 10.9.8.7 or "
        "2001:db8::ffff)",
        "spec.dnsConfig.nameservers: Invalid value: [\"a\",\"1.1.1.1\",\"2.2.2.2\",\"3.3.3.3\"]: must not have more "
        "than 3 nameservers"}},
      {"Pod",
       "{spec: {activeDeadlineSeconds: 0}}",
       {"spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"}},
      {"Pod", "{spec: {hostname: a.b}}", {"spec.hostname: Invalid value: \"a.b\": must not contain dots"}},
      {"Pod",
       "{spec: {tolerations: [{operator: Equal}, {key: a, operator: Exists, value: b}, {key: a, tolerationSeconds: 5}, "
       "{key: a, effect: Never}]}}",
       {"spec.tolerations[0].operator: Invalid value: \"Equal\": operator must be Exists when `key` is empty, which "
        "means \"match all values and all keys\"",
        "spec.tolerations[1].operator: Invalid value: \"b\": value must be empty when `operator` is 'Exists'",
        "spec.tolerations[2].effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set",
        "spec.tolerations[3].effect: Unsupported value: \"Never\": supported values: \"NoSchedule\", "
        "\"PreferNoSchedule\", \"NoExecute\""}},
      {"Pod",
       "{spec: {affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: []}}}}}",
       {"spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: "
        "must have at least one node selector term"}},
      {"Pod",
       "{spec: {affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: "
       "[{matchExpressions: [{key: a, operator: In}]}]}}}}}",
       {"spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0]."
        "matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"}},
      {"Pod",
       "{spec: {affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 0, "
       "podAffinityTerm: {}}]}}}}",
       {"spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 0: "
        "must be in the range 1-100",
        "spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.topologyKey: "
        "Required value: can not be empty"}},
      {"Pod",
       "{spec: {topologySpreadConstraints: [{maxSkew: 0, topologyKey: z, whenUnsatisfiable: Panic}]}}",
       {"spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
        "spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: \"Panic\": supported values: "
        "\"DoNotSchedule\", \"ScheduleAnyway\""}},
      {"Pod", "{spec: {schedulingGates: [{name: a}, {name: a}]}}", {"spec.schedulingGates[1]: Duplicate value: \"a\""}},
      {"Pod",
       "{spec: {hostAliases: [{ip: x, hostnames: [A]}]}}",
       {"spec.hostAliases[0].ip: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
        std::string("spec.hostAliases[0].hostnames[0]: Invalid value: \"A\": ") + kSubdomain}},
      {"Pod",
       "{spec: {hostNetwork: true, containers: [{name: a, image: x, ports: [{containerPort: 80, hostPort: 81}]}]}}",
       {"spec.containers[0].ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` is "
        "true"}},
      {"Pod",
       "{spec: {securityContext: {sysctls: [{name: 'net.ipv4.x'}]}, hostNetwork: true}}",
       {"spec.securityContext.sysctls[0].name: Invalid value: \"net.ipv4.x\": may not be specified when 'hostNetwork' "
        "is true"}},
      {"Pod",
       "{spec: {securityContext: {seccompProfile: {type: Localhost}}}}",
       {"spec.securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is "
        "Localhost"}},
      {"Pod",
       "{spec: {resourceClaims: [{name: c}], containers: [{name: a, image: x, resources: {claims: [{name: d}]}}]}}",
       {"spec.containers[0].resources.claims[0]: Not found: \"d\": must be one of the names in "
        "pod.spec.resourceClaims: c",
        "spec.resourceClaims[0]: Invalid value: {\"name\":\"c\"}: must specify one of: `resourceClaimName`, "
        "`resourceClaimTemplateName`"}},
      {"Pod",
       "{spec: {os: {name: linux}, securityContext: {windowsOptions: {hostProcess: false}}}}",
       {"spec.securityContext.windowsOptions: Forbidden: windows options cannot be set for a linux pod"}},
      {"PodTemplate",
       "{template: {metadata: {labels: {/x: x}}}}",
       {"template.labels: Invalid value: \"/x\": prefix part must be non-empty"}},
  });
}

TEST_CASE("rules: what may change of a pod") {
  constexpr const char* kFields =
      "spec: Forbidden: pod updates may not change fields other than "
      "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
      "additions to existing "
      "tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
  auto update = [](const char* before, const char* patch) { return wrong_update("Pod", before, patch); };
  CHECK(update("{}",
               "{spec: {containers: [{name: a, image: 'y:2', imagePullPolicy: IfNotPresent}], activeDeadlineSeconds: "
               "5, tolerations: [{key: a, operator: Exists}]}}") == Lines{});
  CHECK(update("{}", "{spec: {nodeName: nn}}") == Lines{kFields});
  CHECK(update("{}", "{spec: {containers: [{name: a, image: x}, {name: b, image: x}]}}") ==
        Lines{"spec.containers: Forbidden: pod updates may not add or remove containers"});
  CHECK(update("{spec: {activeDeadlineSeconds: 5}}", "{spec: {activeDeadlineSeconds: 6}}") ==
        Lines{"spec.activeDeadlineSeconds: Invalid value: 6: must be less than or equal to previous value"});
  CHECK(update("{spec: {activeDeadlineSeconds: 5}}", "{spec: {activeDeadlineSeconds: null}}") ==
        Lines{"spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value"});
  CHECK(update("{spec: {tolerations: [{key: a, operator: Exists}]}}", "{spec: {tolerations: []}}") ==
        Lines{"spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"});
  CHECK(update("{spec: {schedulingGates: [{name: a}]}}", "{spec: {schedulingGates: [{name: b}]}}") ==
        Lines{"spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'b'"});
  CHECK(update("{spec: {schedulingGates: [{name: a}], nodeSelector: {a: b}}}",
               "{spec: {nodeSelector: {a: b, c: d}}}") == Lines{});
  CHECK(update("{spec: {schedulingGates: [{name: a}], nodeSelector: {a: b}}}", "{spec: {nodeSelector: {a: c}}}") ==
        Lines{"spec.nodeSelector: Invalid value: {\"a\":\"c\"}: only additions to spec.nodeSelector are allowed (no "
              "mutations or deletions)"});
  CHECK(update("{}", "{spec: {ephemeralContainers: [{name: d, image: x}]}}") == Lines{kFields});

  auto debug = [](const char* before, const char* patch) {
    return wrong_update("Pod", before, patch, "ephemeralcontainers");
  };
  CHECK(debug("{}", "{spec: {ephemeralContainers: [{name: d, image: x, targetContainerName: a}]}}") == Lines{});
  CHECK(debug("{}",
              "{spec: {ephemeralContainers: [{name: d, image: x, targetContainerName: z, ports: [{containerPort: "
              "1}]}]}}") ==
        Lines{"spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container",
              "spec.ephemeralContainers[0].targetContainerName: Not found: \"z\""});
  CHECK(debug("{spec: {ephemeralContainers: [{name: d, image: x}]}}", "{spec: {ephemeralContainers: []}}") ==
        Lines{"spec.ephemeralContainers: Forbidden: existing ephemeral containers \"d\" may not be removed\n"});

  const char* kSized =
      "{spec: {containers: [{name: a, image: 'x:1', resources: {requests: {cpu: 100m, memory: 1Gi}}}]}}";
  auto resize = [&](const char* patch) { return wrong_update("Pod", kSized, patch, "resize"); };
  CHECK(resize("{spec: {containers: [{name: a, image: 'x:1', resources: {requests: {cpu: 200m, memory: 2Gi}}}]}}") ==
        Lines{});
  CHECK(resize("{spec: {containers: [{name: a, image: 'x:2', resources: {requests: {cpu: 200m, memory: 1Gi}}}]}}") ==
        Lines{"spec: Forbidden: only cpu and memory resources are mutable"});
  CHECK(resize("{spec: {containers: [{name: a, image: 'x:1', resources: {requests: {cpu: 200m}}}]}}") ==
        Lines{"spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed"});
  CHECK(resize("{spec: {containers: [{name: a, image: 'x:1', resources: {limits: {cpu: 200m, memory: 1Gi}, requests: "
               "{cpu: 200m, memory: 1Gi}}}]}}")
            .size() == 2);
}

TEST_CASE("rules: workloads") {
  check_all({
      {"Deployment", "{spec: {selector: null}}", {"spec.selector: Required value"}},
      {"Deployment",
       "{spec: {selector: {matchLabels: null}}}",
       {"spec.selector: Invalid value: {}: empty selector is invalid for deployment"}},
      {"Deployment",
       "{spec: {template: {metadata: {labels: {a: c}}}}}",
       {"spec.template.metadata.labels: Invalid value: {\"a\":\"c\"}: `selector` does not match template `labels`"}},
      {"Deployment",
       "{spec: {replicas: -1, minReadySeconds: 5, progressDeadlineSeconds: 5}}",
       {"spec.replicas: Invalid value: -1: must be greater than or equal to 0",
        "spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds"}},
      {"Deployment",
       "{spec: {strategy: {type: Replace}}}",
       {"spec.strategy.type: Unsupported value: \"Replace\": supported values: \"Recreate\", \"RollingUpdate\""}},
      {"Deployment",
       "{spec: {strategy: {type: Recreate, rollingUpdate: {}}}}",
       {"spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"}},
      {"Deployment",
       "{spec: {strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 0}}}}",
       {"spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"}},
      {"Deployment",
       "{spec: {strategy: {rollingUpdate: {maxSurge: a, maxUnavailable: 101%}}}}",
       {"spec.strategy.rollingUpdate.maxSurge: Invalid value: \"a\": a valid percent string must be a numeric string "
        "followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
        "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"101%\": must not be greater than 100%"}},
      {"Deployment",
       "{spec: {template: {spec: {restartPolicy: Never}}}}",
       {"spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\""}},
      {"Deployment",
       "{spec: {template: {spec: {activeDeadlineSeconds: 5}}}}",
       {"spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicaSet is not Supported"}},
      {"Deployment",
       "{spec: {template: {spec: {containers: [{name: a, image: x, volumeMounts: [{name: v, mountPath: /x}]}]}}}}",
       {"spec.template.spec.containers[0].volumeMounts[0].name: Not found: \"v\""}},
      {"DaemonSet",
       "{spec: {updateStrategy: {rollingUpdate: {maxUnavailable: 1, maxSurge: 1}}}}",
       {"spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is "
        "non-zero"}},
      {"DaemonSet",
       "{spec: {updateStrategy: {type: Recreate}}}",
       {"spec.updateStrategy.type: Unsupported value: \"Recreate\": supported values: \"RollingUpdate\", "
        "\"OnDelete\""}},
      {"StatefulSet",
       "{spec: {podManagementPolicy: Chaos}}",
       {"spec.podManagementPolicy: Invalid value: \"Chaos\": must be 'OrderedReady' or 'Parallel'"}},
      {"StatefulSet",
       "{spec: {updateStrategy: {type: OnDelete, rollingUpdate: {partition: 0}}}}",
       {"spec.updateStrategy.rollingUpdate: Invalid value: {\"partition\":0}: only allowed for updateStrategy "
        "'RollingUpdate'"}},
      {"StatefulSet",
       "{spec: {template: {spec: {containers: [{name: a, image: x, volumeMounts: [{name: data, mountPath: /x}]}]}}, "
       "volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: "
       "{requests: {storage: 1Gi}}}}]}}",
       {}},
      {"ReplicationController",
       "{spec: {selector: {a: c}}}",
       {"spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`"}},
      {"ControllerRevision", "{data: null}", {"data: Required value: data is mandatory"}},
  });
  CHECK(wrong_update("Deployment", "{}",
                     "{spec: {selector: {matchLabels: {c: d}}, template: {metadata: {labels: {a: b, c: d}}}}}") ==
        Lines{"spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"b\",\"c\":\"d\"}}: field is immutable"});
  CHECK(wrong_update("StatefulSet", "{}", "{spec: {serviceName: t, replicas: 4}}") ==
        Lines{"spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
              "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and "
              "'minReadySeconds' are forbidden"});
  CHECK(wrong_update("StatefulSet", "{}",
                     "{spec: {replicas: 4, template: {spec: {containers: [{name: a, image: yy}]}}}}") == Lines{});
  CHECK(wrong_update("ControllerRevision", "{}", "{data: {a: 2}}") ==
        Lines{"data: Invalid value: {\"a\":2}: field is immutable"});
}

TEST_CASE("rules: jobs") {
  check_all({
      {"Job",
       "{spec: {template: {spec: {restartPolicy: Always}}}}",
       {"spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""}},
      {"Job",
       "{spec: {parallelism: -1, backoffLimit: -1}}",
       {"spec.parallelism: Invalid value: -1: must be greater than or equal to 0",
        "spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0"}},
      {"Job", "{spec: {completionMode: Indexed}}", {}},
      {"Job",
       "{spec: {completionMode: Indexed, parallelism: 2}}",
       {"spec.completions: Required value: when completion mode is Indexed"}},
      {"Job",
       "{spec: {completionMode: Both}}",
       {"spec.completionMode: Unsupported value: \"Both\": supported values: \"Indexed\", \"NonIndexed\""}},
      {"Job",
       "{spec: {backoffLimitPerIndex: 1}}",
       {"spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"}},
      {"Job",
       "{spec: {podFailurePolicy: {rules: [{action: FailJob}]}}}",
       {"spec.podFailurePolicy.rules[0]: Invalid value: null: specifying one of OnExitCodes and OnPodConditions is "
        "required"}},
      {"Job",
       "{spec: {podFailurePolicy: {rules: [{action: Ignore, onExitCodes: {operator: In, values: [0, 3, 2], "
       "containerName: z}}]}}}",
       {"spec.podFailurePolicy.rules[0].onExitCodes.containerName: Invalid value: \"z\": must be one of the container "
        "or initContainer names in the pod template",
        "spec.podFailurePolicy.rules[0].onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In operator",
        "spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [0,3,2]: must be ordered"}},
      {"Job",
       "{spec: {podFailurePolicy: {rules: [{action: Ignore, onPodConditions: [{type: DisruptionTarget}]}]}}}",
       {}},
      {"Job",
       "{spec: {completionMode: Indexed, completions: 3, successPolicy: {rules: [{succeededIndexes: '0,5', "
       "succeededCount: 4}]}}}",
       {"spec.successPolicy.rules[0].succeededIndexes: Invalid value: \"0,5\": error parsing succeededIndexes: too "
        "large index: \"5\"",
        "spec.successPolicy.rules[0].succeededCount: Invalid value: 4: must be less than or equal to 3 (the number of "
        "specified completions)"}},
      {"CronJob", "{spec: {schedule: ''}}", {"spec.schedule: Required value"}},
      {"CronJob",
       "{spec: {timeZone: Local}}",
       {"spec.timeZone: Invalid value: \"Local\": timeZone must be an explicit time zone as defined in "
        "https://www.iana.org/time-zones"}},
      {"CronJob",
       "{spec: {concurrencyPolicy: Maybe}}",
       {"spec.concurrencyPolicy: Unsupported value: \"Maybe\": supported values: \"Allow\", \"Forbid\", \"Replace\""}},
      {"CronJob",
       "{metadata: {name: aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeefff}}",
       {"metadata.name: Invalid value: \"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeefff\": must be no more than "
        "52 characters"}},
      {"CronJob",
       "{spec: {jobTemplate: {spec: {manualSelector: true}}}}",
       {"spec.jobTemplate.spec.manualSelector: Unsupported value: true: supported values: \"nil\", \"false\""}},
  });
  CHECK(wrong("CronJob", "{spec: {schedule: '61 * * * *'}}").size() == 1);
  CHECK(wrong_update("Job", "{}", "{spec: {parallelism: 3, ttlSecondsAfterFinished: 4, suspend: true}}") == Lines{});
  CHECK(wrong_update("Job", "{}", "{spec: {completions: 3}}") ==
        Lines{"spec.completions: Invalid value: 3: field is immutable"});
  CHECK(wrong_update("Job", "{}", "{spec: {template: {spec: {nodeSelector: {a: b}}}}}").size() == 1);
  CHECK(wrong_update("Job", "{spec: {suspend: true}}", "{spec: {template: {spec: {nodeSelector: {a: b}}}}}") ==
        Lines{});
}

// Descriptions against what kubectl 1.35 prints for the same objects.
#include "kubectl/describe/describe.h"

#include <catch2/catch.hpp>

namespace k8lite::kubectl {
namespace {

Subject subject(const char* text) {
  auto n = json::Node::parse(text);
  REQUIRE(n.ok());
  Subject s;
  s.object = std::move(n).value();
  s.now = *parse_rfc3339("2026-11-21T09:00:00Z");
  return s;
}

std::string described(const Subject& s, std::string_view group, std::string_view kind) { return describe(describer_of(group, kind), s); }

}  // namespace

TEST_CASE("describe: neighbouring lines share their columns, others do not") {
  CHECK(align_tabs("a\tb\nlong name\tc\nplain\nx\ty\tz\nxx\ty\tz\n") == "a          b\nlong name  c\nplain\nx   y  z\nxx  y  z\n");
  CHECK(align_tabs("k\t\tv\nkk\t\tw\n") == "k     v\nkk    w\n");
  CHECK(align_tabs("ü\tb\nab\tb\n") == "ü   b\nab  b\n");
}

TEST_CASE("describe: a config map shows its texts and the size of its bytes") {
  auto s = subject(R"({"metadata":{"name":"cm","namespace":"d","labels":{"a":"b"},"annotations":{"multi":"l1\nl2","note":"x"}},"data":{"one":"1"},"binaryData":{"bin":"AAEC"}})");
  CHECK(described(s, "", "ConfigMap") ==
        "Name:         cm\nNamespace:    d\nLabels:       a=b\nAnnotations:  multi:\n                l1\n                l2\n              note: x\n"
        "\nData\n====\none:\n----\n1\n\n\nBinaryData\n====\nbin: 3 bytes\n\nEvents:  <none>\n");
}

TEST_CASE("describe: a pod shows its containers, conditions and events in order of time") {
  auto s = subject(R"({"metadata":{"name":"p","namespace":"d","ownerReferences":[{"kind":"ReplicaSet","name":"r","controller":true}]},
    "spec":{"priority":0,"serviceAccountName":"default","nodeName":"n1","containers":[{"name":"c","image":"i","ports":[{"containerPort":80,"name":"http"}],"command":["sh","-c","a\nb"],
      "env":[{"name":"A","value":"1"},{"name":"N","valueFrom":{"fieldRef":{"apiVersion":"v1","fieldPath":"metadata.name"}}}],"volumeMounts":[{"name":"v","mountPath":"/v","readOnly":true}]}],
      "volumes":[{"name":"v","emptyDir":{}}],"tolerations":[{"key":"k","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}]},
    "status":{"phase":"Running","hostIP":"192.0.2.1","podIP":"10.42.0.2","podIPs":[{"ip":"10.42.0.2"}],"qosClass":"BestEffort","conditions":[{"type":"Ready","status":"True"}],
      "containerStatuses":[{"name":"c","containerID":"x://1","imageID":"sha256:1","ready":true,"restartCount":1,"state":{"waiting":{"reason":"CrashLoopBackOff"}},
        "lastState":{"terminated":{"reason":"Error","exitCode":2,"startedAt":"2026-11-21T08:00:00Z","finishedAt":"2026-11-21T08:00:01Z"}}}]}})");
  for (const char* e : {R"({"type":"Warning","reason":"BackOff","message":"late","count":3,"firstTimestamp":"2026-11-21T08:50:00Z","lastTimestamp":"2026-11-21T08:59:00Z","source":{"component":"kubelet"},"involvedObject":{"fieldPath":"spec.containers{c}"}})",
                        R"({"type":"Normal","reason":"Scheduled","message":"early","firstTimestamp":"2026-11-21T08:00:00Z","lastTimestamp":"2026-11-21T08:00:00Z","source":{"component":"default-scheduler"}})"})
    s.events.push_back(*json::Node::parse(e));
  ::setenv("TZ", "UTC", 1);
  CHECK(described(s, "", "Pod") ==
        "Name:             p\nNamespace:        d\nPriority:         0\nService Account:  default\nNode:             n1/192.0.2.1\nLabels:           <none>\nAnnotations:      <none>\n"
        "Status:           Running\nIP:               10.42.0.2\nIPs:\n  IP:           10.42.0.2\nControlled By:  ReplicaSet/r\nContainers:\n  c:\n    Container ID:  x://1\n    Image:         i\n"
        "    Image ID:      sha256:1\n    Port:          80/TCP (http)\n    Host Port:     0/TCP (http)\n    Command:\n      sh\n      -c\n      a\n      b\n    State:          Waiting\n"
        "      Reason:       CrashLoopBackOff\n    Last State:     Terminated\n      Reason:       Error\n      Exit Code:    2\n      Started:      Sat, 21 Nov 2026 08:00:00 +0000\n"
        "      Finished:     Sat, 21 Nov 2026 08:00:01 +0000\n    Ready:          True\n    Restart Count:  1\n    Environment:\n      A:  1\n      N:  p (v1:metadata.name)\n    Mounts:\n"
        "      /v from v (ro)\nConditions:\n  Type    Status\n  Ready   True \nVolumes:\n  v:\n    Type:        EmptyDir (a temporary directory that shares a pod's lifetime)\n    Medium:      \n"
        "    SizeLimit:   <unset>\nQoS Class:       BestEffort\nNode-Selectors:  <none>\nTolerations:     k:NoExecute op=Exists for 300s\nEvents:\n  Type     Reason     Age                From               Message\n"
        "  ----     ------     ----               ----               -------\n  Normal   Scheduled  60m                default-scheduler  early\n"
        "  Warning  BackOff    60s (x3 over 10m)  kubelet            spec.containers{c}: late\n");
}

TEST_CASE("describe: an autoscaler shows every kind of metric and how fast it may go") {
  auto s = subject(R"({"metadata":{"name":"web","namespace":"d","creationTimestamp":"2026-11-21T08:00:00Z"},"spec":{"scaleTargetRef":{"kind":"Deployment","name":"web"},"minReplicas":1,"maxReplicas":3,"metrics":[
    {"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":60}}},{"type":"ContainerResource","containerResource":{"name":"memory","container":"c","target":{"type":"AverageValue","averageValue":"10Mi"}}},
    {"type":"Pods","pods":{"metric":{"name":"rps"},"target":{"type":"AverageValue","averageValue":"5"}}},{"type":"Object","object":{"metric":{"name":"rps"},"describedObject":{"kind":"Service","name":"s"},"target":{"type":"Value","value":"5"}}},
    {"type":"External","external":{"metric":{"name":"q"},"target":{"type":"AverageValue","averageValue":"5"}}}],
    "behavior":{"scaleUp":{"selectPolicy":"Disabled"},"scaleDown":{"stabilizationWindowSeconds":7,"selectPolicy":"Max","policies":[{"type":"Pods","value":4,"periodSeconds":60}]}}},
    "status":{"currentReplicas":1,"desiredReplicas":2,"currentMetrics":[{"type":"Resource","resource":{"name":"cpu","current":{"averageUtilization":20,"averageValue":"10m"}}},{"type":""}],
    "conditions":[{"type":"AbleToScale","status":"True","reason":"ReadyForNewScale","message":"recommended size matches current size"}]}})");
  ::setenv("TZ", "UTC", 1);
  CHECK(described(s, "autoscaling", "HorizontalPodAutoscaler") ==
        "Name:                                                  web\nNamespace:                                             d\nLabels:                                                <none>\n"
        "Annotations:                                           <none>\nCreationTimestamp:                                     Sat, 21 Nov 2026 08:00:00 +0000\nReference:                                             Deployment/web\n"
        "Metrics:                                               ( current / target )\n  resource cpu on pods  (as a percentage of request):  20% (10m) / 60%\n  resource memory of container \"c\" on pods:            <unknown> / 10Mi\n"
        "  \"rps\" on pods:                                       <unknown> / 5\n  \"rps\" on Service/s (target value):                   <unknown> / 5\n  \"q\" (target average value):                          <unknown> / 5\n"
        "Min replicas:                                          1\nMax replicas:                                          3\nBehavior:\n  Scale Up:\n  Scale Down:\n    Stabilization Window: 7 seconds\n    Select Policy: Max\n    Policies:\n"
        "      - Type: Pods  Value: 4  Period: 60 seconds\nDeployment pods:    1 current / 2 desired\nConditions:\n  Type         Status  Reason            Message\n  ----         ------  ------            -------\n"
        "  AbleToScale  True    ReadyForNewScale  recommended size matches current size\nEvents:        <none>\n");
}

TEST_CASE("describe: a service names the first three endpoints of each port and counts the rest") {
  auto s = subject(R"({"metadata":{"name":"web","namespace":"d"},"spec":{"type":"ClusterIP","clusterIP":"10.43.0.9","clusterIPs":["10.43.0.9"],"sessionAffinity":"None","ports":[{"port":80,"targetPort":8080,"protocol":"TCP"}]}})");
  s.related["endpointslices"].push_back(*json::Node::parse(
      R"({"metadata":{"labels":{"kubernetes.io/service-name":"web"}},"ports":[{"name":"","port":8080}],"endpoints":[{"addresses":["10.42.0.1"]},{"addresses":["10.42.0.2"],"conditions":{"ready":false}},{"addresses":["10.42.0.3"]},{"addresses":["10.42.0.4"]},{"addresses":["10.42.0.5"]}]})"));
  s.related["endpointslices"].push_back(*json::Node::parse(R"({"metadata":{"labels":{"kubernetes.io/service-name":"other"}},"ports":[{"name":"","port":1}],"endpoints":[{"addresses":["10.42.0.9"]}]})"));
  CHECK(described(s, "", "Service").find("Endpoints:         10.42.0.1:8080,10.42.0.3:8080,10.42.0.4:8080 + 1 more...\n") != std::string::npos);
}

TEST_CASE("describe: a deployment tells the replica set of its template from the older ones") {
  auto s = subject(R"({"metadata":{"name":"web","namespace":"d","uid":"u"},"spec":{"replicas":2,"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i:2"}]}}},"status":{"replicas":2}})");
  auto set = [](const char* name, const char* image, const char* owner) {
    return *json::Node::parse(std::string(R"({"metadata":{"name":")") + name + R"(","ownerReferences":[{"controller":true,"uid":")" + owner + R"("}]},"spec":{"replicas":1,"template":{"metadata":{"labels":{"a":"b","pod-template-hash":")" + name +
                              R"("}},"spec":{"containers":[{"name":"c","image":")" + image + R"("}]}}},"status":{"replicas":1}})");
  };
  s.related["replicasets.apps"] = {set("old", "i:1", "u"), set("new", "i:2", "u"), set("foreign", "i:2", "v")};
  std::string text = described(s, "apps", "Deployment");
  CHECK(text.find("OldReplicaSets:    old (1/1 replicas created)\nNewReplicaSet:     new (1/1 replicas created)\n") != std::string::npos);
}

TEST_CASE("describe: a kind without a row is written field by field") {
  auto s = subject(R"({"apiVersion":"x/v1","kind":"Widget","metadata":{"name":"w","creationTimestamp":"2026-01-01T00:00:00Z","uid":"1","managedFields":[{}]},"spec":{"podCIDR":"10.0.0.0/8","list":[{"apiURL":"u","n":1},"text"],"key.with/dots":true,"none":null}})");
  CHECK(described(s, "x", "Widget") ==
        "Name:         w\nNamespace:    \nLabels:       <none>\nAnnotations:  <none>\nAPI Version:  x/v1\nKind:         Widget\nMetadata:\n  Creation Timestamp:  2026-01-01T00:00:00Z\n  UID:                 1\n"
        "Spec:\n  key.with/dots:  true\n  List:\n    API URL:  u\n    N:        1\n    text\n  None:      <nil>\n  Pod CIDR:  10.0.0.0/8\nEvents:      <none>\n");
}

}  // namespace k8lite::kubectl

#include "api/convert.h"

#include <catch2/catch.hpp>

using namespace k8lite;
using namespace k8lite::api;
using json::Node;

namespace {
Node node(std::string_view text) { return Node::parse(text).value(); }
Node served(const Conversion* c, Node n) {
  c->from_stored(n);
  return n;
}
Node stored(const Conversion* c, Node n) {
  c->to_stored(n);
  return n;
}
}  // namespace

TEST_CASE("convert: only forms that are not stored have a conversion") {
  CHECK(conversion_of("autoscaling", "v1", "horizontalpodautoscalers"));
  CHECK(!conversion_of("autoscaling", "v2", "horizontalpodautoscalers"));
  CHECK(conversion_of("events.k8s.io", "v1", "events"));
  CHECK(!conversion_of("", "v1", "events"));
}

TEST_CASE("convert: an event has other names in each group") {
  const Conversion* c = conversion_of("events.k8s.io", "v1", "events");
  Node core = node(R"({"metadata":{"name":"e"},"involvedObject":{"kind":"Pod"},"message":"m","reportingComponent":"c","source":{"host":"h"},"firstTimestamp":"2024-01-01T00:00:00Z",
                       "lastTimestamp":"2024-01-01T00:00:00Z","count":2,"reason":"R","type":"Normal"})");
  Node newer = node(R"({"metadata":{"name":"e"},"regarding":{"kind":"Pod"},"note":"m","reportingController":"c","deprecatedSource":{"host":"h"},"deprecatedFirstTimestamp":"2024-01-01T00:00:00Z",
                        "deprecatedLastTimestamp":"2024-01-01T00:00:00Z","deprecatedCount":2,"reason":"R","type":"Normal"})");
  CHECK(served(c, core) == newer);
  CHECK(stored(c, newer) == core);
}

TEST_CASE("convert: an autoscaler of v1 shows CPU in a field and the rest in annotations, and nothing is lost on the way back") {
  const Conversion* c = conversion_of("autoscaling", "v1", "horizontalpodautoscalers");
  Node v2 = node(R"({"metadata":{"name":"h","annotations":{"mine":"x"}},"spec":{"scaleTargetRef":{"kind":"Deployment","name":"d"},"maxReplicas":5,"metrics":[
      {"type":"Pods","pods":{"metric":{"name":"q","selector":{"matchLabels":{"a":"b"}}},"target":{"type":"AverageValue","averageValue":"10"}}},
      {"type":"Object","object":{"describedObject":{"kind":"Ingress","name":"i"},"metric":{"name":"r"},"target":{"type":"AverageValue","averageValue":"3"}}},
      {"type":"External","external":{"metric":{"name":"s"},"target":{"type":"Value","value":"7"}}},
      {"type":"ContainerResource","containerResource":{"name":"cpu","container":"c","target":{"type":"Utilization","averageUtilization":50}}},
      {"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":80}}}],
      "behavior":{"scaleDown":{"stabilizationWindowSeconds":60,"policies":[{"type":"Pods","value":1,"periodSeconds":30}]}}},
    "status":{"currentReplicas":2,"desiredReplicas":3,"currentMetrics":[{"type":"Resource","resource":{"name":"cpu","current":{"averageUtilization":70,"averageValue":"35m"}}}],
      "conditions":[{"type":"AbleToScale","status":"True"}]}})");
  Node v1 = served(c, v2);
  CHECK(v1.path("spec.targetCPUUtilizationPercentage").int_or(0) == 80);
  CHECK(v1.path("status.currentCPUUtilizationPercentage").int_or(0) == 70);
  CHECK(!v1.path("spec.metrics").exists());
  CHECK(!v1.path("spec.behavior").exists());
  CHECK(!v1.path("status.conditions").exists());
  const Node& notes = v1.get("metadata").get("annotations");
  CHECK(notes.get("mine").str() == "x");
  CHECK(node(notes.get("autoscaling.alpha.kubernetes.io/metrics").str()) ==
        node(R"([{"type":"Pods","pods":{"metricName":"q","selector":{"matchLabels":{"a":"b"}},"targetAverageValue":"10"}},
                 {"type":"Object","object":{"target":{"kind":"Ingress","name":"i"},"metricName":"r","targetValue":"0","averageValue":"3"}},
                 {"type":"External","external":{"metricName":"s","targetValue":"7"}},
                 {"type":"ContainerResource","containerResource":{"name":"cpu","container":"c","targetAverageUtilization":50}}])"));
  CHECK(node(notes.get("autoscaling.alpha.kubernetes.io/current-metrics").str()) ==
        node(R"([{"type":"Resource","resource":{"name":"cpu","currentAverageUtilization":70,"currentAverageValue":"35m"}}])"));
  CHECK(node(notes.get("autoscaling.alpha.kubernetes.io/behavior").str()) ==
        node(R"({"ScaleDown":{"StabilizationWindowSeconds":60,"Policies":[{"Type":"Pods","Value":1,"PeriodSeconds":30}]}})"));
  CHECK(stored(c, v1) == v2);
}

TEST_CASE("convert: an autoscaler without metrics or with broken annotations stays an autoscaler") {
  const Conversion* c = conversion_of("autoscaling", "v1", "horizontalpodautoscalers");
  Node plain = node(R"({"apiVersion":"autoscaling/v1","metadata":{"name":"h","annotations":{"autoscaling.alpha.kubernetes.io/metrics":"{["}},"spec":{"maxReplicas":5,"targetCPUUtilizationPercentage":60}})");
  Node v2 = stored(c, plain);
  CHECK(v2.get("apiVersion").str() == "autoscaling/v2");
  CHECK(!v2.path("metadata.annotations").exists());
  CHECK(v2.path("spec.metrics").size() == 1);
  CHECK(v2.path("spec.metrics").items()[0].path("resource.target.averageUtilization").int_or(0) == 60);
  CHECK(served(c, node(R"({"metadata":{"name":"h"}})")) == node(R"({"metadata":{"name":"h"}})"));
}

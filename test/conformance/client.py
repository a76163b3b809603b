"""The official Python client against a server: every verb, every kind of patch, watches, the dynamic client. Prints what fails.

Called with the path of a kubeconfig; exit code 0 when everything held."""
import datetime
import sys
import threading
import time
import traceback

from kubernetes import client, config, dynamic, watch
from kubernetes.client.rest import ApiException

config.load_kube_config(sys.argv[1])
core, apps, batch = client.CoreV1Api(), client.AppsV1Api(), client.BatchV1Api()
failures = []
NS = "python"


def test(f):
    try:
        f()
        print("ok", f.__name__)
    except Exception:
        failures.append(f.__name__)
        print("FAILED", f.__name__)
        traceback.print_exc(file=sys.stdout)


def refused(code, f, *args, **kwargs):
    try:
        f(*args, **kwargs)
    except ApiException as e:
        assert e.status == code, (e.status, e.body)
        return e
    raise AssertionError("not refused")


def config_map(name, **data):
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, labels={"t": "py"}), data=data)


def namespaces():
    core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=NS)))
    assert core.read_namespace(NS).status.phase == "Active"
    assert NS in [n.metadata.name for n in core.list_namespace().items]


def crud():
    made = core.create_namespaced_config_map(NS, config_map("m", a="1"))
    assert made.metadata.uid and made.metadata.resource_version and isinstance(made.metadata.creation_timestamp, datetime.datetime)
    refused(409, core.create_namespaced_config_map, NS, config_map("m"))
    got = core.read_namespaced_config_map("m", NS)
    assert got.data == {"a": "1"}
    got.data["b"] = "2"
    newer = core.replace_namespaced_config_map("m", NS, got)
    assert newer.metadata.resource_version != got.metadata.resource_version
    e = refused(409, core.replace_namespaced_config_map, "m", NS, got)
    assert "the object has been modified; please apply your changes to the latest version and try again" in e.body
    gone = core.delete_namespaced_config_map("m", NS)
    gone = client.ApiClient().sanitize_for_serialization(gone)  # a V1Status or, in newer clients, a dict
    assert gone["status"] == "Success" and gone["details"]["uid"] == made.metadata.uid, gone
    refused(404, core.read_namespaced_config_map, "m", NS)


def names_made():
    names = {core.create_namespaced_config_map(NS, client.V1ConfigMap(metadata=client.V1ObjectMeta(generate_name="gen-"))).metadata.name for _ in range(5)}
    assert len(names) == 5 and all(n.startswith("gen-") and len(n) == 9 for n in names)


def patches():
    core.create_namespaced_config_map(NS, config_map("p", a="1", b="2"))
    got = core.patch_namespaced_config_map("p", NS, {"data": {"a": None, "c": "3"}})
    assert got.data == {"b": "2", "c": "3"}, got.data
    got = core.patch_namespaced_config_map("p", NS, [{"op": "replace", "path": "/data/b", "value": "9"}])
    assert got.data["b"] == "9"
    refused(422, core.patch_namespaced_config_map, "p", NS, [{"op": "test", "path": "/data/b", "value": "0"}])


def lists():
    for i in range(7):
        core.create_namespaced_config_map(NS, client.V1ConfigMap(metadata=client.V1ObjectMeta(name=f"l{i}", labels={"l": "yes", "i": str(i)})))
    page = core.list_namespaced_config_map(NS, limit=3, label_selector="l=yes")
    names = [c.metadata.name for c in page.items]
    while page.metadata._continue:
        page = core.list_namespaced_config_map(NS, limit=3, label_selector="l=yes", _continue=page.metadata._continue)
        names += [c.metadata.name for c in page.items]
    assert names == [f"l{i}" for i in range(7)], names
    got = core.list_namespaced_config_map(NS, label_selector="i in (1,2),l,!gone")
    assert len(got.items) == 2
    got = core.list_namespaced_config_map(NS, field_selector="metadata.name=l3")
    assert [c.metadata.name for c in got.items] == ["l3"]
    assert "field label not supported" in refused(400, core.list_namespaced_config_map, NS, field_selector="data.x=1").body
    assert len(core.list_config_map_for_all_namespaces(label_selector="l=yes").items) == 7
    core.delete_collection_namespaced_config_map(NS, label_selector="l=yes")
    assert not core.list_namespaced_config_map(NS, label_selector="l=yes").items


def deployments():
    labels = {"app": "web"}
    spec = client.V1DeploymentSpec(replicas=0, selector=client.V1LabelSelector(match_labels=labels), template=client.V1PodTemplateSpec(
        metadata=client.V1ObjectMeta(labels=labels), spec=client.V1PodSpec(containers=[client.V1Container(name="c", image="i:1", resources=client.V1ResourceRequirements(limits={"cpu": "100m"}))])))
    made = apps.create_namespaced_deployment(NS, client.V1Deployment(metadata=client.V1ObjectMeta(name="web"), spec=spec))
    assert made.spec.strategy.type == "RollingUpdate" and made.spec.template.spec.restart_policy == "Always"
    got = apps.patch_namespaced_deployment("web", NS, {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "s:1"}]}}}})
    assert [c.name for c in got.spec.template.spec.containers] == ["side", "c"] or [c.name for c in got.spec.template.spec.containers] == ["c", "side"]
    scale = apps.read_namespaced_deployment_scale("web", NS)
    assert scale.spec.replicas == 0 and scale.status.selector == "app=web"
    while True:  # the controller writes its status meanwhile
        scale.spec.replicas = 2
        try:
            assert apps.replace_namespaced_deployment_scale("web", NS, scale).spec.replicas == 2
            break
        except ApiException as e:
            assert e.status == 409, e
            scale = apps.read_namespaced_deployment_scale("web", NS)
    assert apps.patch_namespaced_deployment_scale("web", NS, {"spec": {"replicas": 1}}).spec.replicas == 1
    got = apps.read_namespaced_deployment_status("web", NS)
    got.status.replicas = 0
    apps.patch_namespaced_deployment_status("web", NS, {"status": {"observedGeneration": 1}})
    bad = client.V1Deployment(metadata=client.V1ObjectMeta(name="bad"), spec=client.V1DeploymentSpec(selector=client.V1LabelSelector(match_labels={"x": "y"}), template=spec.template))
    e = refused(422, apps.create_namespaced_deployment, NS, bad)
    assert "selector" in e.body and "causes" in e.body
    apps.delete_namespaced_deployment("web", NS, propagation_policy="Foreground")


def pods():
    pod = client.V1Pod(metadata=client.V1ObjectMeta(name="p"), spec=client.V1PodSpec(containers=[client.V1Container(name="c", image="i")]))
    core.create_namespaced_pod(NS, pod)
    got = core.read_namespaced_pod("p", NS)
    assert got.status.phase == "Pending" and got.spec.containers[0].image_pull_policy == "Always"
    e = refused(422, core.patch_namespaced_pod, "p", NS, {"spec": {"containers": [{"name": "c", "command": ["x"]}]}})
    assert "pod updates may not change fields other than" in e.body, e.body
    core.delete_namespaced_pod("p", NS, grace_period_seconds=0)
    refused(404, core.read_namespaced_pod_log, "p", NS)


def watches():
    begin = core.list_namespaced_config_map(NS).metadata.resource_version
    core.create_namespaced_config_map(NS, config_map("w", a="1"))
    core.patch_namespaced_config_map("w", NS, {"data": {"a": "2"}})
    core.delete_namespaced_config_map("w", NS)
    seen = [(e["type"], e["object"].metadata.name) for e in watch.Watch().stream(core.list_namespaced_config_map, NS, resource_version=begin, timeout_seconds=1)]
    assert seen == [("ADDED", "w"), ("MODIFIED", "w"), ("DELETED", "w")], seen
    w, seen = watch.Watch(), []
    threading.Timer(0.5, lambda: core.create_namespaced_config_map(NS, config_map("later"))).start()
    for e in w.stream(core.list_namespaced_config_map, NS, field_selector="metadata.name=later", timeout_seconds=20):
        seen.append(e["object"].metadata.name)
        w.stop()
    assert seen == ["later"], seen


def secrets_and_services():
    made = core.create_namespaced_secret(NS, client.V1Secret(metadata=client.V1ObjectMeta(name="s"), string_data={"k": "v"}))
    assert made.data == {"k": "dg=="} and made.type == "Opaque"
    svc = core.create_namespaced_service(NS, client.V1Service(metadata=client.V1ObjectMeta(name="s"), spec=client.V1ServiceSpec(selector={"a": "b"}, ports=[client.V1ServicePort(port=80, target_port="http")])))
    assert svc.spec.cluster_ip and svc.spec.ports[0].target_port == "http" and svc.spec.ports[0].protocol == "TCP"
    core.create_namespaced_service_account(NS, client.V1ServiceAccount(metadata=client.V1ObjectMeta(name="sa")))
    token = core.create_namespaced_service_account_token("sa", NS, client.AuthenticationV1TokenRequest(spec=client.V1TokenRequestSpec(audiences=[], expiration_seconds=600)))
    assert token.status.token.count(".") == 2


def reviews():
    auth = client.AuthorizationV1Api()
    r = auth.create_self_subject_access_review(client.V1SelfSubjectAccessReview(spec=client.V1SelfSubjectAccessReviewSpec(resource_attributes=client.V1ResourceAttributes(verb="get", resource="pods"))))
    assert r.status.allowed


def dry_runs():
    made = core.create_namespaced_config_map(NS, config_map("dry"), dry_run="All")
    assert made.metadata.name == "dry"
    refused(404, core.read_namespaced_config_map, "dry", NS)
    refused(400, core.create_namespaced_config_map, NS, config_map("dry"), dry_run="Some")


def discovery():
    assert client.VersionApi().get_code().minor.startswith("36")
    groups = [g.name for g in client.ApisApi().get_api_versions().groups]
    assert "apps" in groups and "batch" in groups
    assert any(r.name == "pods" and "po" in r.short_names for r in core.get_api_resources().resources)


def dynamics():
    d = dynamic.DynamicClient(client.ApiClient())
    maps = d.resources.get(api_version="v1", kind="ConfigMap")
    made = maps.create(body={"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "dyn"}, "data": {"x": "1"}}, namespace=NS)
    assert made.data.x == "1"
    maps.patch(body={"data": {"y": "2"}}, name="dyn", namespace=NS, content_type="application/merge-patch+json")
    got = maps.server_side_apply(body={"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "dyn"}, "data": {"z": "3"}}, namespace=NS, field_manager="dyn")
    assert got.data.to_dict() == {"x": "1", "y": "2", "z": "3"}
    seen = [e["object"].metadata.name for e in maps.watch(namespace=NS, name="dyn", timeout=1)]
    assert seen == ["dyn"], seen
    maps.delete(name="dyn", namespace=NS)
    assert d.resources.get(api_version="apps/v1", kind="Deployment").get(namespace=NS).kind == "DeploymentList"


def end():
    core.delete_namespace(NS)
    for _ in range(600):
        try:
            core.read_namespace(NS)
        except ApiException as e:
            assert e.status == 404
            return
        time.sleep(0.1)
    raise AssertionError("the namespace does not go: %s" % core.read_namespace(NS).status)


for f in [namespaces, crud, names_made, patches, lists, deployments, pods, watches, secrets_and_services, reviews, dry_runs, discovery, dynamics, end]:
    test(f)
sys.exit(1 if failures else 0)

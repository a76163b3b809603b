// client-go against a server: typed clients over JSON and protobuf, dynamic and metadata clients, discovery, informers with watch-list,
// paging, apply configurations, leader election. conformance KUBECONFIG; exit code 0 when everything held.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	applycore "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/pager"
)

const ns = "golang"

var (
	ctx      = context.Background()
	failures int
	config   *rest.Config
)

func check(ok bool, format string, args ...any) {
	if !ok {
		panic(fmt.Sprintf(format, args...))
	}
}
func must[T any](v T, err error) T {
	check(err == nil, "%v", err)
	return v
}
func test(name string, f func()) {
	defer func() {
		if r := recover(); r != nil {
			failures++
			fmt.Println("FAILED", name+":", r)
		} else {
			fmt.Println("ok", name)
		}
	}()
	f()
}
func until(what string, f func() bool) {
	for i := 0; i < 300; i++ {
		if f() {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	panic("waited in vain: " + what)
}

func configMap(name string, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"t": "go"}}, Data: data}
}

func deployment() *appsv1.Deployment {
	labels := map[string]string{"app": "web"}
	replicas := int32(0)
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i:1", Ports: []corev1.ContainerPort{{ContainerPort: 80}}}}}}}}
}

// typed: the same over JSON and over protobuf.
func typed(client kubernetes.Interface, form string) {
	maps := client.CoreV1().ConfigMaps(ns)
	test(form+": crud", func() {
		made := must(maps.Create(ctx, configMap("m-"+form, map[string]string{"a": "1"}), metav1.CreateOptions{}))
		check(made.UID != "" && made.ResourceVersion != "" && !made.CreationTimestamp.IsZero(), "metadata: %v", made.ObjectMeta)
		_, err := maps.Create(ctx, configMap("m-"+form, nil), metav1.CreateOptions{})
		check(apierrors.IsAlreadyExists(err), "create again: %v", err)
		made.Data["b"] = "2"
		newer := must(maps.Update(ctx, made, metav1.UpdateOptions{}))
		check(newer.Data["b"] == "2", "data: %v", newer.Data)
		_, err = maps.Update(ctx, made, metav1.UpdateOptions{})
		check(apierrors.IsConflict(err), "stale update: %v", err)
		uid := types.UID("other")
		err = maps.Delete(ctx, made.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
		check(apierrors.IsConflict(err), "delete with another uid: %v", err)
		must(0, maps.Delete(ctx, made.Name, metav1.DeleteOptions{}))
		_, err = maps.Get(ctx, made.Name, metav1.GetOptions{})
		check(apierrors.IsNotFound(err), "get: %v", err)
	})
	test(form+": patches", func() {
		name := "p-" + form
		must(maps.Create(ctx, configMap(name, map[string]string{"a": "1"}), metav1.CreateOptions{}))
		for kind, patch := range map[types.PatchType]string{types.JSONPatchType: `[{"op":"add","path":"/data/j","value":"1"}]`, types.MergePatchType: `{"data":{"m":"1"}}`, types.StrategicMergePatchType: `{"data":{"s":"1"}}`} {
			must(maps.Patch(ctx, name, kind, []byte(patch), metav1.PatchOptions{}))
		}
		got := must(maps.Apply(ctx, applycore.ConfigMap(name, ns).WithData(map[string]string{"y": "1"}), metav1.ApplyOptions{FieldManager: "go"}))
		check(len(got.Data) == 5, "data: %v", got.Data)
		_, err := maps.Apply(ctx, applycore.ConfigMap(name, ns).WithData(map[string]string{"y": "2"}), metav1.ApplyOptions{FieldManager: "other"})
		check(apierrors.IsConflict(err), "apply: %v", err)
		_, err = maps.Patch(ctx, name, types.JSONPatchType, []byte(`[{"op":"test","path":"/data/a","value":"x"}]`), metav1.PatchOptions{})
		check(apierrors.IsInvalid(err), "failed test: %v", err)
		extracted := must(applycore.ExtractConfigMap(got, "go"))
		check(len(extracted.Data) == 1 && extracted.Data["y"] == "1", "extracted: %v", extracted.Data)
	})
	test(form+": deployment, status and scale", func() {
		deployments := client.AppsV1().Deployments(ns)
		made := must(deployments.Create(ctx, deployment(), metav1.CreateOptions{}))
		check(made.Generation == 1 && made.Spec.Template.Spec.Containers[0].Ports[0].Protocol == "TCP" && made.Spec.Strategy.RollingUpdate.MaxSurge.String() == "25%", "defaults: %v", made.Spec)
		until("its controller", func() bool { return must(deployments.Get(ctx, "web", metav1.GetOptions{})).Status.ObservedGeneration == 1 })
		scale := must(deployments.GetScale(ctx, "web", metav1.GetOptions{}))
		check(scale.Status.Selector == "app=web", "scale: %v", scale)
		for {
			scale.Spec.Replicas = 3
			updated, err := deployments.UpdateScale(ctx, "web", scale, metav1.UpdateOptions{})
			if apierrors.IsConflict(err) {
				scale = must(deployments.GetScale(ctx, "web", metav1.GetOptions{}))
				continue
			}
			check(err == nil && updated.Spec.Replicas == 3, "scale: %v %v", updated, err)
			break
		}
		policy := metav1.DeletePropagationForeground
		must(0, deployments.Delete(ctx, "web", metav1.DeleteOptions{PropagationPolicy: &policy}))
		until("it goes", func() bool { _, err := deployments.Get(ctx, "web", metav1.GetOptions{}); return apierrors.IsNotFound(err) })
	})
	test(form+": errors carry causes", func() {
		bad := deployment()
		bad.Spec.Template.Labels = map[string]string{"app": "other"}
		_, err := client.AppsV1().Deployments(ns).Create(ctx, bad, metav1.CreateOptions{})
		var status *apierrors.StatusError
		check(errors.As(err, &status) && apierrors.IsInvalid(err) && len(status.ErrStatus.Details.Causes) == 1 && status.ErrStatus.Details.Causes[0].Field == "spec.template.metadata.labels", "%v", err)
	})
	test(form+": pages", func() {
		for i := 0; i < 12; i++ {
			one := configMap(fmt.Sprintf("page-%s-%02d", form, i), nil)
			one.Labels["page"] = form
			must(maps.Create(ctx, one, metav1.CreateOptions{}))
		}
		p := pager.New(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return maps.List(ctx, o) })
		p.PageSize = 5
		n := 0
		must(0, p.EachListItem(ctx, metav1.ListOptions{LabelSelector: "page=" + form}, func(runtime.Object) error { n++; return nil }))
		check(n == 12, "%d objects", n)
		list := must(maps.List(ctx, metav1.ListOptions{Limit: 1}))
		check(list.Continue != "" && *list.RemainingItemCount > 0, "remaining: %v", list.ListMeta)
		must(0, maps.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "page=" + form}))
		check(len(must(maps.List(ctx, metav1.ListOptions{LabelSelector: "page=" + form})).Items) == 0, "not all deleted")
	})
	test(form+": watch", func() {
		begin := must(maps.List(ctx, metav1.ListOptions{})).ResourceVersion
		w := must(maps.Watch(ctx, metav1.ListOptions{ResourceVersion: begin, AllowWatchBookmarks: true}))
		must(maps.Create(ctx, configMap("w-"+form, nil), metav1.CreateOptions{}))
		must(0, maps.Delete(ctx, "w-"+form, metav1.DeleteOptions{}))
		for _, want := range []watch.EventType{watch.Added, watch.Deleted} {
			select {
			case e := <-w.ResultChan():
				check(e.Type == want, "%v instead of %v", e, want)
			case <-time.After(20 * time.Second):
				panic("no event")
			}
		}
		w.Stop()
		_, err := maps.Watch(ctx, metav1.ListOptions{ResourceVersion: "1"})
		if err == nil {
			return // the history may reach back as far
		}
		check(apierrors.IsResourceExpired(err) || apierrors.IsGone(err), "%v", err)
	})
	test(form+": pods, eviction, binding", func() {
		pods := client.CoreV1().Pods(ns)
		must(pods.Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}, metav1.CreateOptions{}))
		must(0, pods.Bind(ctx, &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Target: corev1.ObjectReference{Kind: "Node", Name: "nowhere"}}, metav1.CreateOptions{}))
		check(must(pods.Get(ctx, "p", metav1.GetOptions{})).Spec.NodeName == "nowhere", "not bound")
		check(len(must(pods.List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=nowhere,status.phase=Pending"})).Items) == 1, "field selector")
		zero := int64(0)
		must(0, pods.EvictV1(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: "p"}, DeleteOptions: &metav1.DeleteOptions{GracePeriodSeconds: &zero}}))
		until("it is evicted", func() bool { _, err := pods.Get(ctx, "p", metav1.GetOptions{}); return apierrors.IsNotFound(err) })
	})
}

func informer(client kubernetes.Interface, name string) {
	test(name, func() {
		factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(ns))
		maps := factory.Core().V1().ConfigMaps()
		var added, updated, deleted atomic.Int32
		maps.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: func(any) { added.Add(1) }, UpdateFunc: func(any, any) { updated.Add(1) }, DeleteFunc: func(any) { deleted.Add(1) }})
		stop := make(chan struct{})
		defer close(stop)
		factory.Start(stop)
		synced := make(chan struct{})
		go func() { factory.WaitForCacheSync(stop); close(synced) }()
		select {
		case <-synced:
		case <-time.After(30 * time.Second):
			panic("it does not sync")
		}
		begin := added.Load()
		must(client.CoreV1().ConfigMaps(ns).Create(ctx, configMap("inf", nil), metav1.CreateOptions{}))
		until("added", func() bool { return added.Load() == begin+1 })
		must(client.CoreV1().ConfigMaps(ns).Patch(ctx, "inf", types.MergePatchType, []byte(`{"data":{"x":"1"}}`), metav1.PatchOptions{}))
		until("updated", func() bool { return updated.Load() >= 1 })
		must(0, client.CoreV1().ConfigMaps(ns).Delete(ctx, "inf", metav1.DeleteOptions{}))
		until("deleted", func() bool { return deleted.Load() == 1 })
		listed := must(maps.Lister().ConfigMaps(ns).List(labels.Everything()))
		check(len(listed) == len(must(client.CoreV1().ConfigMaps(ns).List(ctx, metav1.ListOptions{})).Items), "the cache has %d", len(listed))
	})
}

func main() {
	config = must(clientcmd.BuildConfigFromFlags("", os.Args[1]))
	config.QPS, config.Burst = 1000, 1000
	client := must(kubernetes.NewForConfig(config))
	must(client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, metav1.CreateOptions{}))
	jsonConfig := rest.CopyConfig(config)
	jsonConfig.ContentType, jsonConfig.AcceptContentTypes = "application/json", "application/json"
	typed(must(kubernetes.NewForConfig(jsonConfig)), "json")
	protobuf := rest.CopyConfig(config)
	protobuf.ContentType, protobuf.AcceptContentTypes = "application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf"
	typed(must(kubernetes.NewForConfig(protobuf)), "protobuf")
	informer(client, "informer")
	informer(must(kubernetes.NewForConfig(jsonConfig)), "informer over json")
	test("discovery", func() {
		d := must(discovery.NewDiscoveryClientForConfig(config))
		_, lists, err := d.ServerGroupsAndResources()
		check(err == nil && len(lists) > 20, "%d %v", len(lists), err)
		mapper := restmapper.NewDiscoveryRESTMapper(must(restmapper.GetAPIGroupResources(d)))
		mapping := must(mapper.RESTMapping(schema.GroupKind{Group: "apps", Kind: "Deployment"}))
		check(mapping.Resource.Resource == "deployments", "%v", mapping)
		must(d.OpenAPISchema())
		check(len(must(d.OpenAPIV3().Paths())) > 20, "openapi v3")
	})
	test("dynamic", func() {
		maps := must(dynamic.NewForConfig(config)).Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace(ns)
		object := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "dyn"}, "data": map[string]any{"a": "1"}}}
		must(maps.Create(ctx, object, metav1.CreateOptions{}))
		got := must(maps.Apply(ctx, "dyn", object, metav1.ApplyOptions{FieldManager: "go", Force: true}))
		check(got.GetName() == "dyn", "%v", got)
		must(maps.List(ctx, metav1.ListOptions{}))
		must(0, maps.Delete(ctx, "dyn", metav1.DeleteOptions{}))
	})
	test("metadata", func() {
		m := must(metadata.NewForConfig(config)).Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace(ns)
		list := must(m.List(ctx, metav1.ListOptions{}))
		check(len(list.Items) > 0 && list.Items[0].Name != "", "%v", list)
		w := must(m.Watch(ctx, metav1.ListOptions{}))
		defer w.Stop()
		select {
		case e := <-w.ResultChan():
			o, ok := e.Object.(*metav1.PartialObjectMetadata)
			check(ok && o.Name != "", "%v", e)
		case <-time.After(20 * time.Second):
			panic("no event")
		}
		must(0, m.Delete(ctx, list.Items[0].Name, metav1.DeleteOptions{}))
	})
	test("leader election", func() {
		lock := &resourcelock.LeaseLock{LeaseMeta: metav1.ObjectMeta{Name: "leader", Namespace: ns}, Client: client.CoordinationV1(), LockConfig: resourcelock.ResourceLockConfig{Identity: "me"}}
		c, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		led := make(chan struct{})
		leaderelection.RunOrDie(c, leaderelection.LeaderElectionConfig{Lock: lock, ReleaseOnCancel: true, LeaseDuration: 3 * time.Second, RenewDeadline: 2 * time.Second, RetryPeriod: 200 * time.Millisecond,
			Callbacks: leaderelection.LeaderCallbacks{OnStartedLeading: func(context.Context) { time.Sleep(time.Second); close(led); cancel() }, OnStoppedLeading: func() {}}})
		select {
		case <-led:
		default:
			panic("never led")
		}
	})
	test("the namespace goes", func() {
		must(0, client.CoreV1().Namespaces().Delete(ctx, ns, metav1.DeleteOptions{}))
		until("it is gone", func() bool { _, err := client.CoreV1().Namespaces().Get(ctx, ns, metav1.GetOptions{}); return apierrors.IsNotFound(err) })
	})
	if failures > 0 {
		os.Exit(1)
	}
}

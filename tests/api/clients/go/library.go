// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/pager"
)

func crud(r *run) error {
	maps, secrets := r.CoreV1().ConfigMaps(ns), r.CoreV1().Secrets(ns)
	body := &corev1.ConfigMap{ObjectMeta: named("crud", "crud"), Data: map[string]string{"k": "one"}}
	if _, err := maps.Create(r, body, metav1.CreateOptions{}); err != nil {
		return err
	}
	old, err := maps.Get(r, "crud", metav1.GetOptions{})
	if err != nil || old.Data["k"] != "one" || old.UID == "" {
		return fmt.Errorf("read %v: %v", old, err)
	}
	old.Data["k"] = "two"
	if _, err = maps.Update(r, old, metav1.UpdateOptions{}); err != nil {
		return err
	}
	old.Data["k"] = "three"
	_, err = maps.Update(r, old, metav1.UpdateOptions{})
	refused("conflict", err)
	secret := &corev1.Secret{ObjectMeta: named("crud", "crud"), Data: map[string][]byte{"b": {0, 255}}}
	if _, err = secrets.Create(r, secret, metav1.CreateOptions{}); err != nil {
		return err
	}
	found, err := secrets.List(r, metav1.ListOptions{LabelSelector: "app=crud"})
	if err != nil {
		return err
	}
	say("listed", len(found.Items))
	say("bytes", hex.EncodeToString(found.Items[0].Data["b"]))
	if err = secrets.Delete(r, "crud", metav1.DeleteOptions{}); err != nil {
		return err
	}
	_, err = secrets.Get(r, "crud", metav1.GetOptions{})
	refused("missing", err)
	_, err = maps.Create(r, body, metav1.CreateOptions{})
	refused("exists", err)
	return nil
}

func patch(r *run) error {
	maps, services := r.CoreV1().ConfigMaps(ns), r.CoreV1().Services(ns)
	body := &corev1.ConfigMap{ObjectMeta: named("patched", ""), Data: map[string]string{"stays": "1", "goes": "x"}}
	if _, err := maps.Create(r, body, metav1.CreateOptions{}); err != nil {
		return err
	}
	if _, err := maps.Patch(r, "patched", types.JSONPatchType,
		[]byte(`[{"op":"add","path":"/data/json","value":"2"}]`), metav1.PatchOptions{}); err != nil {
		return err
	}
	if _, err := maps.Patch(r, "patched", types.MergePatchType,
		[]byte(`{"data":{"goes":null,"merge":"3"}}`), metav1.PatchOptions{}); err != nil {
		return err
	}
	service := &corev1.Service{ObjectMeta: named("patched", ""), Spec: corev1.ServiceSpec{
		Ports: []corev1.ServicePort{{Name: "http", Port: 80}, {Name: "https", Port: 443}}}}
	if _, err := services.Create(r, service, metav1.CreateOptions{}); err != nil {
		return err
	}
	if _, err := services.Patch(r, "patched", types.StrategicMergePatchType,
		[]byte(`{"spec":{"ports":[{"port":443,"name":"tls"}]}}`), metav1.PatchOptions{}); err != nil {
		return err
	}
	apply := func(manager string, force bool, data map[string]string) error {
		_, err := maps.Apply(r, applycorev1.ConfigMap("applied", ns).WithData(data),
			metav1.ApplyOptions{FieldManager: manager, Force: force})
		return err
	}
	if err := apply("first", false, map[string]string{"a": "1", "b": "1"}); err != nil {
		return err
	}
	refused("conflict", apply("second", false, map[string]string{"a": "2"}))
	if err := apply("second", true, map[string]string{"a": "2"}); err != nil {
		return err
	}
	free, err := dynamic.NewForConfig(r.config)
	if err != nil {
		return err
	}
	mine := free.Resource(gadgets).Namespace(ns)
	if _, err = mine.Create(r, gadget("patched", nil), metav1.CreateOptions{}); err != nil {
		return err
	}
	_, err = mine.Patch(r, "patched", types.StrategicMergePatchType, []byte(`{"spec":{"size":1}}`), metav1.PatchOptions{})
	refused("unsupported", err)
	return mine.Delete(r, "patched", metav1.DeleteOptions{})
}

func gadget(name string, spec map[string]any) *unstructured.Unstructured {
	if spec == nil {
		spec = map[string]any{}
	}
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "clients.example.com/v1", "kind": "Gadget",
		"metadata": map[string]any{"name": name}, "spec": spec}}
}

func custom(r *run) error {
	free, err := dynamic.NewForConfig(r.config)
	if err != nil {
		return err
	}
	mine := free.Resource(gadgets).Namespace(ns)
	o, err := mine.Create(r, gadget("one", nil), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	size, _, _ := unstructured.NestedInt64(o.Object, "spec", "size")
	say("size", size)
	_, err = mine.Create(r, gadget("bad", map[string]any{"size": int64(1000)}), metav1.CreateOptions{})
	if causes, ok := err.(*apierrors.StatusError); ok {
		refused("invalid", err, causes.ErrStatus.Details.Causes[0].Field)
	}
	if _, err = mine.Patch(r, "one", types.MergePatchType, []byte(`{"spec":{"size":5}}`), metav1.PatchOptions{}); err != nil {
		return err
	}
	if o, err = mine.Get(r, "one", metav1.GetOptions{}); err != nil {
		return err
	}
	o.Object["status"] = map[string]any{"replicas": int64(2)}
	o.Object["spec"] = map[string]any{"size": int64(9)}
	if _, err = mine.UpdateStatus(r, o, metav1.UpdateOptions{}); err != nil {
		return err
	}
	scale, err := mine.Get(r, "one", metav1.GetOptions{}, "scale")
	if err != nil {
		return err
	}
	_ = unstructured.SetNestedField(scale.Object, int64(4), "spec", "replicas")
	if scale, err = mine.Update(r, scale, metav1.UpdateOptions{}, "scale"); err != nil {
		return err
	}
	replicas, _, _ := unstructured.NestedInt64(scale.Object, "spec", "replicas")
	say("replicas", replicas)
	if _, err = mine.Create(r, gadget("two", map[string]any{"size": int64(1)}), metav1.CreateOptions{}); err != nil {
		return err
	}
	background := metav1.DeletePropagationBackground
	if err = mine.Delete(r, "two", metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
		return err
	}
	all, err := mine.List(r, metav1.ListOptions{})
	if err == nil {
		say("listed", len(all.Items))
	}
	return err
}

func pages(r *run) error {
	var names []string
	p := pager.New(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		list, err := r.CoreV1().ConfigMaps(ns).List(ctx, o)
		if err == nil {
			say("page", len(list.Items))
		}
		return list, err
	})
	p.PageSize = 3
	err := p.EachListItem(r, metav1.ListOptions{LabelSelector: "app=pages"}, func(o runtime.Object) error {
		names = append(names, o.(*corev1.ConfigMap).Name)
		return nil
	})
	say("names", strings.Join(names, " "))
	return err
}

func many(r *run) error {
	return r.CoreV1().ConfigMaps(ns).DeleteCollection(r, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "app=many"})
}

func identity(r *run) error {
	accounts := r.CoreV1().ServiceAccounts(ns)
	if _, err := accounts.Create(r, &corev1.ServiceAccount{ObjectMeta: named("robot", "")}, metav1.CreateOptions{}); err != nil {
		return err
	}
	seconds := int64(600)
	token, err := accounts.CreateToken(r, "robot", &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	review, err := r.AuthorizationV1().SelfSubjectAccessReviews().Create(r, &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: ns, Verb: "create", Resource: "pods"}}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	say("allowed", review.Status.Allowed)
	own := rest.AnonymousClientConfig(r.config)
	own.BearerToken = token.Status.Token
	other, err := kubernetes.NewForConfig(own)
	if err != nil {
		return err
	}
	_, err = other.CoreV1().Pods(ns).List(r, metav1.ListOptions{})
	refused("denied", err)
	say("token", token.Status.Token)
	return nil
}

func election(r *run) error {
	me := os.Getenv("IDENTITY")
	lock := &resourcelock.LeaseLock{LeaseMeta: metav1.ObjectMeta{Name: "elected", Namespace: ns}, Client: r.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: me}}
	leaderelection.RunOrDie(r, leaderelection.LeaderElectionConfig{Lock: lock, LeaseDuration: 4 * time.Second,
		RenewDeadline: 3 * time.Second, RetryPeriod: time.Second, Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { say("leading") },
			OnStoppedLeading: func() {},
			OnNewLeader: func(leader string) {
				if leader != me {
					say("waiting")
				}
			}}})
	return nil
}

func discovery(r *run) error {
	v, err := r.Discovery().ServerVersion()
	if err != nil {
		return err
	}
	say("version", v.Major+"."+v.Minor)
	_, lists, err := r.Discovery().ServerGroupsAndResources()
	if err != nil {
		return err
	}
	for _, wanted := range []struct{ version, name string }{{"clients.example.com/v1", "gadgets"}, {"v1", "namespaces"}} {
		for _, list := range lists {
			for _, one := range list.APIResources {
				if list.GroupVersion == wanted.version && one.Name == wanted.name {
					say(one.Name, one.Kind, one.Namespaced)
				}
			}
		}
	}
	return nil
}

func logs(r *run) error {
	pods := r.CoreV1().Pods(ns)
	whole, err := pods.GetLogs("talks", &corev1.PodLogOptions{}).DoRaw(r)
	if err != nil {
		return err
	}
	words := strings.Fields(string(whole))
	say("log", strings.Join(words, " "))
	two := int64(2)
	stream, err := pods.GetLogs("talks", &corev1.PodLogOptions{Follow: true, TailLines: &two}).Stream(r)
	if err != nil {
		return err
	}
	defer stream.Close()
	lines := bufio.NewScanner(stream)
	for lines.Scan() {
		say("line", lines.Text())
	}
	return lines.Err()
}

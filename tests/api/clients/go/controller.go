// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	applymetav1 "k8s.io/client-go/applyconfigurations/meta/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

type Gadget struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              struct {
		Size int64 `json:"size"`
	} `json:"spec"`
	Status struct {
		Replicas int64 `json:"replicas,omitempty"`
	} `json:"status,omitempty"`
}

type GadgetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Gadget `json:"items"`
}

func (g *Gadget) DeepCopyObject() runtime.Object {
	out := *g
	g.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	return &out
}

func (l *GadgetList) DeepCopyObject() runtime.Object {
	out := *l
	out.Items = make([]Gadget, len(l.Items))
	for i := range l.Items {
		out.Items[i] = *l.Items[i].DeepCopyObject().(*Gadget)
	}
	return &out
}

const (
	finalizer = "clients.example.com/hold"
	manager   = "clients-controller"
)

type reconciler struct{ client.Client }

func (r *reconciler) Reconcile(ctx context.Context, q ctrl.Request) (ctrl.Result, error) {
	var g Gadget
	if err := r.Get(ctx, q.NamespacedName, &g); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if g.DeletionTimestamp != nil {
		return ctrl.Result{}, r.finalize(ctx, &g)
	}
	if controllerutil.AddFinalizer(&g, finalizer) {
		return ctrl.Result{}, r.Update(ctx, &g)
	}
	owner := applymetav1.OwnerReference().WithAPIVersion("clients.example.com/v1").WithKind("Gadget").WithName(g.Name).
		WithUID(g.UID).WithController(true).WithBlockOwnerDeletion(true)
	wanted := applycorev1.ConfigMap(g.Name+"-config", g.Namespace).WithOwnerReferences(owner).
		WithData(map[string]string{"size": strconv.FormatInt(g.Spec.Size, 10)})
	if err := r.Apply(ctx, wanted, client.FieldOwner(manager), client.ForceOwnership); err != nil {
		return ctrl.Result{}, err
	}
	if g.Status.Replicas == g.Spec.Size {
		return ctrl.Result{}, nil
	}
	old := g.DeepCopyObject().(*Gadget)
	g.Status.Replicas = g.Spec.Size
	return ctrl.Result{}, r.Status().Patch(ctx, &g, client.MergeFrom(old))
}

func (r *reconciler) finalize(ctx context.Context, g *Gadget) error {
	gone := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: g.Name + "-gone", Namespace: g.Namespace}}
	if err := r.Create(ctx, gone); client.IgnoreAlreadyExists(err) != nil {
		return err
	}
	if !controllerutil.RemoveFinalizer(g, finalizer) {
		return nil
	}
	return client.IgnoreNotFound(r.Update(ctx, g))
}

func controller(r *run) error {
	ctrl.SetLogger(zap.New())
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return err
	}
	gv := schema.GroupVersion{Group: gadgets.Group, Version: gadgets.Version}
	scheme.AddKnownTypes(gv, &Gadget{}, &GadgetList{})
	metav1.AddToGroupVersion(scheme, gv)
	lease, renew, retry := 4*time.Second, 3*time.Second, time.Second
	m, err := ctrl.NewManager(r.config, ctrl.Options{Scheme: scheme, Metrics: server.Options{BindAddress: "0"},
		Cache:          cache.Options{DefaultNamespaces: map[string]cache.Config{ns: {}}},
		LeaderElection: true, LeaderElectionID: "controller", LeaderElectionNamespace: ns, LeaderElectionReleaseOnCancel: true,
		LeaseDuration: &lease, RenewDeadline: &renew, RetryPeriod: &retry})
	if err != nil {
		return err
	}
	err = ctrl.NewControllerManagedBy(m).For(&Gadget{}).Owns(&corev1.ConfigMap{}).Complete(&reconciler{m.GetClient()})
	if err != nil {
		return err
	}
	go func() {
		<-m.Elected()
		say("ready")
	}()
	return m.Start(r)
}

// SPDX-License-Identifier: Apache-2.0

// The work of tests/bench/peers with controller-runtime: a controller of AgenticSessions, with a cache that leaves managed
// fields out, as its documentation advises.  doc/bench.md says what it prints.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

type bench struct {
	client.Client
	objects               int
	target                string
	once                  sync.Once // reconciles begin when the cache is full
	lock                  sync.Mutex
	reconciled, converged map[string]bool
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
}

func number(name string) int {
	n, err := strconv.Atoi(os.Getenv(name))
	must(err)
	return n
}

// Counts a name in a set; says so when they are all there.
func (b *bench) count(set map[string]bool, name, what string) {
	b.lock.Lock()
	defer b.lock.Unlock()
	if before := len(set); b.objects > 0 && before < b.objects {
		set[name] = true
		if len(set) == b.objects && before < b.objects {
			fmt.Println("bench " + what)
		}
	}
}

func (b *bench) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	began := time.Now().UnixNano()
	var session AgenticSession
	if err := b.Get(ctx, req.NamespacedName, &session); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if stamp, found := session.Annotations["bench/stamp"]; found {
		fmt.Printf("bench start %s %d\n", stamp, began)
	}
	b.once.Do(func() { fmt.Println("bench synced") })
	b.count(b.reconciled, req.Name, "reconciled")
	if b.target == "" {
		return ctrl.Result{}, nil
	}
	if session.Status.Message == b.target {
		b.count(b.converged, req.Name, "converged")
		return ctrl.Result{}, nil
	}
	patch := fmt.Sprintf(`{"status":{"message":%q}}`, b.target)
	return ctrl.Result{}, b.Status().Patch(ctx, &session, client.RawPatch("application/merge-patch+json", []byte(patch)))
}

func main() {
	ctrl.SetLogger(logr.Discard())
	scheme := runtime.NewScheme()
	version := schema.GroupVersion{Group: "vteam.ambient-code", Version: "v1alpha1"}
	scheme.AddKnownTypes(version, &AgenticSession{}, &AgenticSessionList{})
	metav1.AddToGroupVersion(scheme, version)
	config, err := ctrl.GetConfig()
	must(err)
	config.QPS = -1 // the others are not throttled either
	manager, err := ctrl.NewManager(config, ctrl.Options{Scheme: scheme, Metrics: server.Options{BindAddress: "0"},
		Cache: cache.Options{DefaultTransform: cache.TransformStripManagedFields()}})
	must(err)
	b := &bench{Client: manager.GetClient(), objects: number("BENCH_OBJECTS"), target: os.Getenv("BENCH_TARGET"),
		reconciled: map[string]bool{}, converged: map[string]bool{}}
	must(ctrl.NewControllerManagedBy(manager).For(&AgenticSession{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: number("BENCH_WORKERS")}).Complete(b))
	must(manager.Start(ctrl.SetupSignalHandler()))
}

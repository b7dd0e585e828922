// SPDX-License-Identifier: Apache-2.0

// The cases of ../library.py with client-go, and the controller of ../controllers.py with controller-runtime.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

var (
	ns      = os.Getenv("NAMESPACE")
	gadgets = schema.GroupVersionResource{Group: "clients.example.com", Version: "v1", Resource: "gadgets"}
)

// One case: the connection, typed clients on it.
type run struct {
	context.Context
	config *rest.Config
	*kubernetes.Clientset
}

var cases = map[string]func(*run) error{
	"crud": crud, "patch": patch, "custom": custom, "pages": pages, "many": many, "identity": identity,
	"election": election, "discovery": discovery, "logs": logs, "watch": watch, "dynamic": dynamicWatch,
	"metadata": metadataWatch, "protobuf": protobuf, "controller": controller, "commands": commands,
}

func say(words ...any) { fmt.Println(words...) }

// refused says how a request was refused, as the library tells it.
func refused(word string, err error, more ...any) {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		say(word, "was not refused:", err)
		return
	}
	say(append([]any{word, status.Status().Code, status.Status().Reason}, more...)...)
}

func named(name, app string) metav1.ObjectMeta {
	m := metav1.ObjectMeta{Name: name}
	if app != "" {
		m.Labels = map[string]string{"app": app}
	}
	return m
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err == nil {
		err = start(ctx, config, os.Args[1])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func start(ctx context.Context, config *rest.Config, name string) error {
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	fn := cases[name]
	if fn == nil {
		return fmt.Errorf("there is no case %q", name)
	}
	return fn(&run{ctx, config, typed})
}

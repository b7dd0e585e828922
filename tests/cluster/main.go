// SPDX-License-Identifier: Apache-2.0

// Command cluster is a real Kubernetes control plane for tests: etcd inside this process, and the API server,
// the controller manager and the scheduler as children that are this same program under another first argument.
// Everything listens on loopback, all state is below one directory, and nothing survives the parent.
//
//	cluster DIR
//
// prints "ready KUBECONFIG" on standard output when the API server answers and the controllers work, and ends on
// SIGTERM, SIGINT, or when a part of it ends.  There is no kubelet: the test brings its own.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	manager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

// startLimit bounds the time from the first process to "ready".
const startLimit = 3 * time.Minute

// auditPolicy writes down who asked for which URL, and nothing of what was said.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules: [{level: Metadata}]
`

// unhurried lets the controllers ask as often as they like: with the 20 requests a second of their defaults, tests that run
// beside each other wait for nothing but that.
var unhurried = [...]string{"--kube-api-qps=1000", "--kube-api-burst=1000"}

var parts = map[string]func() *cobra.Command{
	"kube-apiserver":          func() *cobra.Command { return apiserver.NewAPIServerCommand() },
	"kube-controller-manager": func() *cobra.Command { return manager.NewControllerManagerCommand() },
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
}

func main() {
	if len(os.Args) > 2 {
		if part, ok := parts[os.Args[1]]; ok {
			os.Args = os.Args[1:]
			os.Exit(cli.Run(part()))
		}
	}
	if len(os.Args) != 2 || strings.HasPrefix(os.Args[1], "-") {
		fmt.Fprintln(os.Stderr, "usage: cluster DIR")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	server := fmt.Sprintf("https://127.0.0.1:%d", ports[2])
	pki, err := makePKI(filepath.Join(dir, "pki"))
	if err != nil {
		return err
	}
	kubeconfig := filepath.Join(dir, "admin.kubeconfig")
	if err := writeKubeconfig(kubeconfig, server, pki); err != nil {
		return err
	}

	if err := os.WriteFile(filepath.Join(dir, "audit.yaml"), []byte(auditPolicy), 0o600); err != nil {
		return err
	}

	store, err := startEtcd(filepath.Join(dir, "etcd"), ports[0], ports[1])
	if err != nil {
		return err
	}
	defer store.Close()

	// One thread makes all children and lives as long as this function: their parent-death signal is bound to it.
	runtime.LockOSThread()
	group := &children{dir: dir, ended: make(chan error, len(parts))}
	defer group.stop()
	if err := group.start("kube-apiserver", apiserverFlags(dir, pki, ports)); err != nil {
		return err
	}
	client, err := pki.client()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := group.wait(ctx, began, func() bool { return answers(client, server+"/readyz") }); err != nil {
		return fmt.Errorf("the API server does not become ready: %w", err)
	}
	if err := group.start("kube-controller-manager", []string{
		"--kubeconfig=" + kubeconfig, "--leader-elect=false", "--secure-port=0", unhurried[0], unhurried[1],
		"--use-service-account-credentials=true", "--root-ca-file=" + pki.path("ca.crt"),
		"--service-account-private-key-file=" + pki.path("sa.key"),
		"--cluster-signing-cert-file=" + pki.path("ca.crt"), "--cluster-signing-key-file=" + pki.path("ca.key"),
	}); err != nil {
		return err
	}
	if err := group.start("kube-scheduler", []string{
		"--kubeconfig=" + kubeconfig, "--leader-elect=false", "--secure-port=0", unhurried[0], unhurried[1],
	}); err != nil {
		return err
	}
	// A Pod is refused until its namespace has the default account and the CA's ConfigMap, so these prove that
	// the controllers run.
	err = group.wait(ctx, began, func() bool {
		return answers(client, server+"/api/v1/namespaces/default/serviceaccounts/default") &&
			answers(client, server+"/api/v1/namespaces/default/configmaps/kube-root-ca.crt")
	})
	if err != nil {
		return fmt.Errorf("the controllers do not work: %w", err)
	}
	fmt.Println("ready", kubeconfig)

	select {
	case <-ctx.Done():
		return nil
	case err := <-group.ended:
		return err
	case err := <-store.Err():
		return fmt.Errorf("etcd: %w", err)
	}
}

func apiserverFlags(dir string, pki *pki, ports []int) []string {
	return []string{
		fmt.Sprintf("--etcd-servers=http://127.0.0.1:%d", ports[0]),
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", ports[2]),
		// A loopback address is no valid endpoint; nobody here reaches the server through its Service.
		"--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=10.96.0.0/24",
		"--authorization-mode=Node,RBAC",
		"--allow-privileged=true",
		"--client-ca-file=" + pki.path("ca.crt"),
		"--tls-cert-file=" + pki.path("apiserver.crt"), "--tls-private-key-file=" + pki.path("apiserver.key"),
		"--kubelet-client-certificate=" + pki.path("kubelet-client.crt"),
		"--kubelet-client-key=" + pki.path("kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + pki.path("sa.key"),
		"--service-account-signing-key-file=" + pki.path("sa.key"),
		"--cert-dir=" + filepath.Join(dir, "apiserver"),
		"--audit-policy-file=" + filepath.Join(dir, "audit.yaml"), "--audit-log-path=" + filepath.Join(dir, "audit.log"),
	}
}

func startEtcd(dir string, clientPort, peerPort int) (*embed.Etcd, error) {
	cfg := embed.NewConfig()
	cfg.Dir = dir
	cfg.LogLevel = "error"
	cfg.LogOutputs = []string{dir + ".log"}
	cfg.UnsafeNoFsync = true // the state is thrown away
	client := []url.URL{{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", clientPort)}}
	peer := []url.URL{{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", peerPort)}}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = client, client
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = peer, peer
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	store, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	select {
	case <-store.Server.ReadyNotify():
		return store, nil
	case err := <-store.Err():
		return nil, fmt.Errorf("etcd: %w", err)
	case <-time.After(startLimit):
		store.Close()
		return nil, fmt.Errorf("etcd is not ready within %v", startLimit)
	}
}

// children are the parts that run as processes; the end of any of them ends the whole.
type children struct {
	dir   string
	ended chan error
	procs []*exec.Cmd
	done  []chan struct{}
}

func (c *children) start(name string, flags []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(c.dir, name+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(self, append([]string{name}, flags...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	c.procs, c.done = append(c.procs, cmd), append(c.done, done)
	go func() {
		err := cmd.Wait()
		close(done)
		c.ended <- fmt.Errorf("%s ended (%v), see %s", name, err, log.Name())
	}()
	return nil
}

// stop ends the children in reverse order: the API server goes last, so that the others can write.
func (c *children) stop() {
	for i := len(c.procs) - 1; i >= 0; i-- {
		_ = c.procs[i].Process.Signal(syscall.SIGTERM)
		select {
		case <-c.done[i]:
		case <-time.After(5 * time.Second):
			_ = c.procs[i].Process.Kill()
			<-c.done[i]
		}
	}
}

func (c *children) wait(ctx context.Context, began time.Time, ok func() bool) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for time.Since(began) < startLimit {
		if ok() {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-c.ended:
			return err
		case <-tick.C:
		}
	}
	return fmt.Errorf("not within %v, see the logs in %s", startLimit, c.dir)
}

func answers(client *http.Client, url string) bool {
	resp, err := client.Get(url)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode == http.StatusOK
}

func (p *pki) client() (*http.Client, error) {
	cert, err := tls.LoadX509KeyPair(p.path("admin.crt"), p.path("admin.key"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(p.ca)
	return &http.Client{
		Timeout:   5 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{cert}}},
	}, nil
}

// freePorts asks the kernel; all are held until all are known, so that they differ.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

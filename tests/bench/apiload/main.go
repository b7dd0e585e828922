// SPDX-License-Identifier: Apache-2.0

// Load on a Kubernetes API server, ours or the real one, over TLS with client certificates: durable creates, lists,
// watchers.  Prints one line per figure, "name value unit"; asserts nothing.  The standard library only.
//
//	apiload -kubeconfig FILE -pids 12,13 [-creates 5000] [-objects 10000] [-watchers 1000] [-rate 100] [-seconds 10]
package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	kubeconfig = flag.String("kubeconfig", "", "an admin's")
	pids       = flag.String("pids", "", "of the server, for its processor time and memory")
	creates    = flag.Int("creates", 5000, "objects made by 16 clients, timed")
	objects    = flag.Int("objects", 10000, "objects that are listed")
	watchers   = flag.Int("watchers", 1000, "connections that watch")
	rate       = flag.Int("rate", 100, "events a second")
	seconds    = flag.Int("seconds", 10, "of them")
	padding    = strings.Repeat("p", 1500)
	server     string
	tlsConfig  *tls.Config
	client     *http.Client
)

const (
	group   = "/apis/bench.example.com/v1/namespaces/default/widgets"
	watched = group + "/watched"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "apiload:", err)
		os.Exit(1)
	}
}

func connect() {
	text, err := os.ReadFile(*kubeconfig)
	must(err)
	find := func(key string) []byte {
		found := regexp.MustCompile(`"?` + key + `"?: *"?([^\s",]+)`).FindSubmatch(text)
		if found == nil {
			must(fmt.Errorf("no %s in %s", key, *kubeconfig))
		}
		return found[1]
	}
	decode := func(key string) []byte {
		data, err := base64.StdEncoding.DecodeString(string(find(key)))
		must(err)
		return data
	}
	server = string(find("server"))
	cert, err := tls.X509KeyPair(decode("client-certificate-data"), decode("client-key-data"))
	must(err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(decode("certificate-authority-data"))
	tlsConfig = &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{cert}}
	client = newClient()
}

// HTTP/1.1, so that both servers get one connection per client.
func newClient() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: tlsConfig.Clone(), MaxIdleConnsPerHost: 64,
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}}}
}

func do(c *http.Client, method, path, body string, codes ...int) []byte {
	req, err := http.NewRequest(method, server+path, strings.NewReader(body))
	must(err)
	req.Header.Set("Content-Type", "application/json")
	if method == "PATCH" {
		req.Header.Set("Content-Type", "application/merge-patch+json")
	}
	resp, err := c.Do(req)
	must(err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	must(err)
	for _, code := range codes {
		if code == resp.StatusCode {
			return data
		}
	}
	must(fmt.Errorf("%s %s: %d %.300s", method, path, resp.StatusCode, data))
	return nil
}

func widget(name, at string) string {
	return fmt.Sprintf(`{"apiVersion":"bench.example.com/v1","kind":"Widget","metadata":{"name":%q,"labels":{"app":"bench"}},`+
		`"spec":{"at":%q,"text":%q}}`, name, at, padding)
}

func prepare() {
	do(client, "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", `{"apiVersion":"apiextensions.k8s.io/v1",
"kind":"CustomResourceDefinition","metadata":{"name":"widgets.bench.example.com"},"spec":{"group":"bench.example.com",
"scope":"Namespaced","names":{"plural":"widgets","singular":"widget","kind":"Widget","listKind":"WidgetList"},"versions":[{
"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","properties":{"spec":{"type":"object",
"properties":{"at":{"type":"string"},"text":{"type":"string"}}}}}}}]}}`, 201, 409)
	for i := 0; i < 600; i++ {
		resp, err := client.Get(server + group)
		must(err)
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode == 200 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	must(fmt.Errorf("the definition is not served"))
}

// Processor time of the server so far, in seconds.
func cpu() float64 {
	sum := 0.0
	for _, pid := range strings.Split(*pids, ",") {
		data, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil {
			continue
		}
		fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+2:]))
		for _, f := range fields[11:13] {
			n, _ := strconv.ParseFloat(f, 64)
			sum += n / 100
		}
	}
	return sum
}

func memory(key string) int {
	sum := 0
	for _, pid := range strings.Split(*pids, ",") {
		data, _ := os.ReadFile("/proc/" + pid + "/smaps_rollup")
		found := regexp.MustCompile(key + `: +(\d+)`).FindSubmatch(data)
		if found != nil {
			n, _ := strconv.Atoi(string(found[1]))
			sum += n
		}
	}
	return sum / 1024
}

func create(from, to int) {
	var next atomic.Int64
	var group sync.WaitGroup
	next.Store(int64(from))
	for i := 0; i < 16; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			c := newClient()
			for n := next.Add(1) - 1; n < int64(to); n = next.Add(1) - 1 {
				do(c, "POST", "/apis/bench.example.com/v1/namespaces/default/widgets", widget(fmt.Sprintf("w-%07d", n), ""), 201, 409)
			}
		}()
	}
	group.Wait()
}

func measureCreates() {
	used, began := cpu(), time.Now()
	create(0, *creates)
	took := time.Since(began).Seconds()
	fmt.Printf("creates_per_second %.0f /s\n", float64(*creates)/took)
	fmt.Printf("cpu_per_create %.0f us\n", (cpu()-used)/float64(*creates)*1e6)
}

func measureLists() {
	create(*creates, *objects)
	const times = 10
	used := cpu()
	var size int
	began := time.Now()
	for i := 0; i < times; i++ {
		size = len(do(client, "GET", group, "", 200))
	}
	fmt.Printf("list_time %.0f ms\n", time.Since(began).Seconds()/times*1000)
	fmt.Printf("list_cpu %.0f ms\n", (cpu()-used)/times*1000)
	fmt.Printf("list_size %d bytes\n", size)
	fmt.Printf("private_dirty %d MB\n", memory("Private_Dirty"))
	fmt.Printf("resident %d MB\n", memory("Rss"))
}

var at = []byte(`"at":"`)

// A watch without net/http, which would take more of the shared cores than the server: lines, of which those with an
// event have its time.  Chunk sizes are lines as well.
func openWatch(rv string) (*tls.Conn, *bufio.Reader, error) {
	host := strings.TrimPrefix(server, "https://")
	conn, err := tls.Dial("tcp", host, tlsConfig)
	if err != nil {
		return nil, nil, err
	}
	_, err = fmt.Fprintf(conn, "GET %s?watch=true&fieldSelector=metadata.name=watched&timeoutSeconds=600&resourceVersion=%s "+
		"HTTP/1.1\r\nHost: %s\r\n\r\n", group, rv, host)
	lines := bufio.NewReaderSize(conn, 16384)
	status, _, _ := lines.ReadLine()
	if err == nil && !bytes.Contains(status, []byte(" 200 ")) {
		err = fmt.Errorf("%s", status)
	}
	return conn, lines, err
}

// Reads a watch until the last event was there; the time from the write's start to here, of each event.
func watch(rv string, ready *sync.WaitGroup, out chan<- []time.Duration) {
	late := make([]time.Duration, 0, *rate**seconds)
	conn, lines, err := openWatch(rv)
	ready.Done()
	if err != nil {
		fmt.Fprintln(os.Stderr, "apiload: a watch:", err)
		out <- nil
		return
	}
	_ = conn.SetReadDeadline(time.Now().Add(time.Duration(*seconds+120) * time.Second))
	for len(late) < *rate**seconds {
		line, err := lines.ReadSlice('\n')
		if err != nil {
			fmt.Fprintln(os.Stderr, "apiload: a watch ended:", err)
			break
		}
		if i := bytes.Index(line, at); i >= 0 {
			line = line[i+len(at):]
			sent, _ := strconv.ParseInt(string(line[:bytes.IndexByte(line, '"')]), 10, 64)
			late = append(late, time.Duration(time.Now().UnixNano()-sent))
		}
	}
	conn.Close()
	out <- late
}

// Writes at their time, whatever the ones before them took.
func write() {
	ticks := make(chan time.Time, *rate**seconds)
	var group sync.WaitGroup
	for i := 0; i < 8; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			c := newClient()
			for range ticks {
				do(c, "PATCH", watched, fmt.Sprintf(`{"spec":{"at":"%d"}}`, time.Now().UnixNano()), 200)
			}
		}()
	}
	tick := time.NewTicker(time.Second / time.Duration(*rate))
	for i := 0; i < *rate**seconds; i++ {
		ticks <- <-tick.C
	}
	close(ticks)
	group.Wait()
}

func ownCPU() float64 {
	var use syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &use)
	return float64(use.Utime.Sec+use.Stime.Sec) + float64(use.Utime.Usec+use.Stime.Usec)/1e6
}

func measureWatchers() {
	do(client, "POST", group, widget("watched", ""), 201, 409)
	found := regexp.MustCompile(`"resourceVersion":"(\d+)"`).FindSubmatch(do(client, "GET", watched, "", 200))
	out := make(chan []time.Duration, *watchers)
	var ready sync.WaitGroup
	for i := 0; i < *watchers; i++ {
		ready.Add(1)
		go watch(string(found[1]), &ready, out)
		if i%50 == 49 {
			ready.Wait() // handshakes are not what is measured
		}
	}
	ready.Wait()
	used, own, began := cpu(), ownCPU(), time.Now()
	write()
	took := time.Since(began).Seconds()
	var all []time.Duration
	for i := 0; i < *watchers; i++ {
		all = append(all, <-out...)
	}
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	fmt.Printf("watch_events %d of %d\n", len(all), *watchers**rate**seconds)
	fmt.Printf("watch_rate %.0f /s\n", float64(*rate**seconds)/took)
	fmt.Printf("watch_cpu %.2f cores\n", (cpu()-used)/time.Since(began).Seconds())
	fmt.Printf("watch_load_cpu %.2f cores\n", (ownCPU()-own)/time.Since(began).Seconds())
	if len(all) > 0 {
		fmt.Printf("watch_p50 %.1f ms\n", all[len(all)/2].Seconds()*1000)
		fmt.Printf("watch_p99 %.1f ms\n", all[len(all)*99/100].Seconds()*1000)
	}
}

func main() {
	flag.Parse()
	connect()
	prepare()
	if *creates > 0 {
		measureCreates()
	}
	if *objects > 0 {
		measureLists()
	}
	if *watchers > 0 {
		measureWatchers()
	}
}

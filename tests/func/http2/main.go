// SPDX-License-Identifier: Apache-2.0

// The HTTP/2 server of test_http2.c: net/http's, on loopback, behind a relay of frames that can send GOAWAY in the middle of
// requests and then hands on nothing that the client sends for a later stream.  The standard library only.  It ends with its
// standard input.
//
//	http2 DIR    writes DIR/ca.crt, then DIR/port
//
//	/control?barrier=N&goaway=N&reset=N  counts anew; requests wait until N are there at once; the Nth stream from now on is the
//	                                     first that GOAWAY refuses; the first N requests have their streams reset
//	/state                               what was counted
//	/watch                               a line at once, and one for each request that was answered
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

const (
	frameHeaders = 1
	frameReset   = 3
	frameGoaway  = 7
	endStream    = 1
	patience     = 20 * time.Second
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "http2:", err)
		os.Exit(1)
	}
}

// ---- what is counted, and what is to happen

var state struct {
	sync.Mutex
	barrier, goaway, reset int
	connections, now, peak int
	Seen                   map[string]int
	changed                *sync.Cond
	watchers               map[chan struct{}]bool
}

func control(r *http.Request) {
	number := func(name string) int {
		n, _ := strconv.Atoi(r.URL.Query().Get(name))
		return n
	}
	state.barrier, state.goaway, state.reset = number("barrier"), number("goaway"), number("reset")
	state.connections, state.peak, state.Seen = 0, 0, map[string]int{}
}

// Is this the stream that GOAWAY refuses?
func refuses() bool {
	state.Lock()
	defer state.Unlock()
	if state.goaway > 0 {
		state.goaway--
		return state.goaway == 0
	}
	return false
}

// ---- requests

func watch(w http.ResponseWriter, r *http.Request) {
	events := make(chan struct{}, 1000)
	state.Lock()
	state.watchers[events] = true
	state.Unlock()
	for {
		fmt.Fprintf(w, "{\"protocol\":%q}\n", r.Proto)
		w.(http.Flusher).Flush()
		select {
		case <-events:
		case <-r.Context().Done():
			state.Lock()
			delete(state.watchers, events)
			state.Unlock()
			return
		}
	}
}

// False: not so many came.
func count(r *http.Request) bool {
	state.Lock()
	defer state.Unlock()
	state.Seen[r.Method+" "+r.URL.Path]++
	if state.reset > 0 {
		state.reset--
		return false
	}
	state.now++
	state.peak = max(state.peak, state.now)
	state.changed.Broadcast()
	until := time.Now().Add(patience)
	timer := time.AfterFunc(patience, state.changed.Broadcast)
	defer timer.Stop()
	for state.peak < state.barrier && time.Now().Before(until) {
		state.changed.Wait()
	}
	state.now--
	for events := range state.watchers {
		events <- struct{}{}
	}
	return state.peak >= state.barrier
}

func max(a, b int) int {
	if a > b {
		return a
	}
	return b
}

func serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/control":
		state.Lock()
		control(r)
		state.Unlock()
		fmt.Fprintln(w, "{}")
	case "/state":
		state.Lock()
		json.NewEncoder(w).Encode(map[string]any{"connections": state.connections, "peak": state.peak, "seen": state.Seen})
		state.Unlock()
	case "/watch":
		watch(w, r)
	default:
		if !count(r) {
			panic(http.ErrAbortHandler)
		}
		json.NewEncoder(w).Encode(map[string]any{"protocol": r.Proto, "path": r.URL.Path, "body": string(body)})
	}
}

// ---- the relay

type relay struct {
	sync.Mutex
	client, server *tls.Conn
	last           uint32          // the highest stream that was handed on
	open           map[uint32]bool // of those, the ones without an end
	gone           bool            // GOAWAY was sent
}

type frame struct {
	head    [9]byte
	payload []byte
}

func (f *frame) kind() byte { return f.head[3] }
func (f *frame) ends() bool {
	return f.kind() == frameReset || (f.kind() <= frameHeaders && f.head[4]&endStream != 0)
}
func (f *frame) stream() uint32 { return binary.BigEndian.Uint32(f.head[5:]) & 0x7fffffff }

func (f *frame) read(from io.Reader) error {
	if _, err := io.ReadFull(from, f.head[:]); err != nil {
		return err
	}
	f.payload = make([]byte, int(f.head[0])<<16|int(f.head[1])<<8|int(f.head[2]))
	_, err := io.ReadFull(from, f.payload)
	return err
}

func (f *frame) write(to io.Writer) error {
	_, err := to.Write(append(f.head[:], f.payload...))
	return err
}

// With the lock.  What the client has sent may be unread: only our side ends, so that nothing of what was said is lost.
func (r *relay) endWhenDone() {
	if r.gone && len(r.open) == 0 {
		r.client.CloseWrite()
		r.client.NetConn().(*net.TCPConn).CloseWrite()
	}
}

func (r *relay) sendGoaway() {
	f := frame{payload: make([]byte, 8)}
	f.head[2], f.head[3] = 8, frameGoaway
	binary.BigEndian.PutUint32(f.payload, r.last)
	r.gone = true
	f.write(r.client)
	r.endWhenDone()
}

// Whether a frame of the client goes on.
func (r *relay) admits(f *frame) bool {
	r.Lock()
	defer r.Unlock()
	if f.kind() == frameHeaders && f.stream() > r.last && !r.gone {
		if refuses() {
			r.sendGoaway()
		} else {
			r.last = f.stream()
			r.open[r.last] = true
		}
	}
	if f.kind() == frameReset {
		delete(r.open, f.stream())
	}
	return f.stream() <= r.last
}

func (r *relay) upwards() {
	defer r.server.Close()
	preface := make([]byte, 24)
	if _, err := io.ReadFull(r.client, preface); err != nil {
		return
	}
	r.server.Write(preface)
	for f := new(frame); f.read(r.client) == nil; f = new(frame) {
		if r.admits(f) && f.write(r.server) != nil {
			return
		}
	}
}

func (r *relay) downwards() {
	defer r.client.Close()
	for f := new(frame); f.read(r.server) == nil; f = new(frame) {
		r.Lock()
		err := f.write(r.client)
		if f.ends() {
			delete(r.open, f.stream())
		}
		r.endWhenDone()
		r.Unlock()
		if err != nil {
			return
		}
	}
}

func pass(client *tls.Conn, backend string) {
	defer client.Close()
	if client.Handshake() != nil {
		return
	}
	protocol := client.ConnectionState().NegotiatedProtocol
	server, err := tls.Dial("tcp", backend, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}})
	must(err)
	if protocol != "h2" {
		go func() {
			io.Copy(server, client)
			server.Close()
		}()
		io.Copy(client, server)
		return
	}
	state.Lock()
	state.connections++
	state.Unlock()
	r := &relay{client: client, server: server, open: map[uint32]bool{}}
	go r.upwards()
	r.downwards()
}

// ---- beginning

func certificate() (tls.Certificate, []byte) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "http2"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: http2 DIR")
		os.Exit(2)
	}
	state.changed = sync.NewCond(&state.Mutex)
	state.Seen, state.watchers = map[string]int{}, map[chan struct{}]bool{}
	cert, ca := certificate()
	config := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}}
	backend, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	server := &http.Server{Handler: http.HandlerFunc(serve), TLSConfig: config.Clone(), ErrorLog: log.New(io.Discard, "", 0)}
	go server.ServeTLS(backend, "", "")
	front, err := tls.Listen("tcp", "127.0.0.1:0", config)
	must(err)
	must(os.WriteFile(filepath.Join(os.Args[1], "ca.crt"), ca, 0600))
	port := filepath.Join(os.Args[1], "port")
	must(os.WriteFile(port+".new", []byte(strconv.Itoa(front.Addr().(*net.TCPAddr).Port)), 0600))
	must(os.Rename(port+".new", port))
	go func() {
		for {
			client, err := front.Accept()
			must(err)
			go pass(client.(*tls.Conn), backend.Addr().String())
		}
	}()
	io.Copy(io.Discard, os.Stdin)
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/util/exec"
)

// One command, or the attachment to what runs, by WebSocket.
func (r *run) stream(pod, verb string, options remotecommand.StreamOptions, command ...string) (int, error) {
	request := r.CoreV1().RESTClient().Post().Resource("pods").Namespace(ns).Name(pod).SubResource(verb)
	if verb == "exec" {
		request = request.VersionedParams(&corev1.PodExecOptions{Container: "c", Command: command, Stdin: options.Stdin != nil,
			Stdout: options.Stdout != nil, Stderr: options.Stderr != nil, TTY: options.Tty}, scheme.ParameterCodec)
	} else {
		request = request.VersionedParams(&corev1.PodAttachOptions{Container: "c", Stdin: options.Stdin != nil,
			Stdout: options.Stdout != nil, Stderr: options.Stderr != nil, TTY: options.Tty}, scheme.ParameterCodec)
	}
	executor, err := remotecommand.NewWebSocketExecutor(r.config, "GET", request.URL().String())
	if err != nil {
		return 0, err
	}
	err = executor.StreamWithContext(r, options)
	var ended exec.CodeExitError
	if errors.As(err, &ended) {
		return ended.Code, nil
	}
	return 0, err
}

// A terminal of one size.
type screen struct {
	sizes chan remotecommand.TerminalSize
}

func (s screen) Next() *remotecommand.TerminalSize {
	size, ok := <-s.sizes
	if !ok {
		return nil
	}
	return &size
}

// The cases of tests/e2e/clients.py: exec, with a terminal, and attach.
func commands(r *run) error {
	var out, errs bytes.Buffer
	code, err := r.stream("box", "exec", remotecommand.StreamOptions{Stdout: &out, Stderr: &errs}, "sh", "-c",
		"echo out; echo err >&2; exit 3")
	if err != nil {
		return err
	}
	say("exec", strings.TrimSpace(out.String()), strings.TrimSpace(errs.String()), code)

	out.Reset()
	code, err = r.stream("box", "exec", remotecommand.StreamOptions{Stdin: strings.NewReader("hello\n"), Stdout: &out}, "sh", "-c",
		"cat; echo and the end")
	if err != nil {
		return err
	}
	say("stdin", strings.Join(strings.Fields(out.String()), " "), code)

	out.Reset()
	if _, err = r.stream("box", "exec", remotecommand.StreamOptions{Stdout: &out}, "head", "-c", "3000000", "/dev/zero"); err != nil {
		return err
	}
	say("much", out.Len())

	out.Reset()
	sizes := make(chan remotecommand.TerminalSize, 1)
	sizes <- remotecommand.TerminalSize{Width: 101, Height: 31}
	typed, typing := io.Pipe()
	_, err = r.stream("box", "exec", remotecommand.StreamOptions{Stdin: typed, Stdout: &out, Tty: true,
		TerminalSizeQueue: screen{sizes}}, "sh", "-c", "until [ \"$(stty size)\" = '31 101' ]; do sleep 0.05; done; stty size")
	if err != nil {
		return err
	}
	typing.Close()
	say("terminal", strings.TrimSpace(out.String()))

	said, saying := io.Pipe()
	in, write := io.Pipe()
	go func() {
		_, err := r.stream("talks", "attach", remotecommand.StreamOptions{Stdin: in, Stdout: saying})
		saying.CloseWithError(fmt.Errorf("the attachment ended: %v", err))
	}()
	if _, err := write.Write([]byte("hello\n")); err != nil {
		return err
	}
	line := make([]byte, len("said hello\n"))
	if _, err := io.ReadFull(said, line); err != nil {
		return err
	}
	say("attach", strings.TrimSpace(string(line)))
	if _, err := r.stream("nobody", "exec", remotecommand.StreamOptions{Stdout: &out}, "true"); err != nil &&
		strings.Contains(err.Error(), `pods "nobody" not found`) {
		say("missing 404")
	} else {
		say("missing", err)
	}
	return nil
}

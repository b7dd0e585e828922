# SPDX-License-Identifier: Apache-2.0
"""A WebSocket client for tests: frames as they are on the wire, and the channels of exec and attach on top."""
import base64
import hashlib
import json
import os
import socket
import ssl
import struct

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255


class Refused(Exception):
    def __init__(self, status, body):
        super().__init__("%d: %s" % (status, body))
        self.status, self.body = status, body


class WebSocket:
    def __init__(self, port, path, context=None, protocols="v5.channel.k8s.io", headers=(), timeout=60, method="GET",
                 host="127.0.0.1"):
        plain = socket.create_connection((host, port), timeout)
        self.sock = context.wrap_socket(plain, server_hostname=host) if context else plain
        self.sock.settimeout(timeout)
        key = base64.b64encode(os.urandom(16))
        lines = ["%s %s HTTP/1.1" % (method, path), "Host: %s:%d" % (host, port), "Connection: Upgrade", "Upgrade: websocket",
                 "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + key.decode()]
        if protocols:
            lines.append("Sec-WebSocket-Protocol: " + protocols)
        self.sock.sendall(("\r\n".join(lines + list(headers)) + "\r\n\r\n").encode())
        self.buf = b""
        head = self._until(b"\r\n\r\n").decode()
        status = int(head.split()[1])
        fields = {k.strip().lower(): v.strip() for k, _, v in (l.partition(":") for l in head.split("\r\n")[1:]) if v}
        if status != 101:
            body = self._body(fields)
            self.sock.close()
            raise Refused(status, body.decode("utf-8", "replace"))
        want = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
        assert fields["sec-websocket-accept"] == want, fields
        self.protocol = fields.get("sec-websocket-protocol")
        self.close_code = None

    def _fill(self):
        data = self.sock.recv(65536)
        if not data:
            raise EOFError("the peer has closed")
        self.buf += data

    def _until(self, mark):
        while mark not in self.buf:
            self._fill()
        head, _, self.buf = self.buf.partition(mark)
        return head

    def _read(self, n):
        while len(self.buf) < n:
            self._fill()
        data, self.buf = self.buf[:n], self.buf[n:]
        return data

    def _body(self, fields):
        if "content-length" in fields:
            return self._read(int(fields["content-length"]))
        body, size = b"", None
        while fields.get("transfer-encoding") == "chunked" and size != 0:
            size = int(self._until(b"\r\n"), 16)
            body += self._read(size)
            self._until(b"\r\n")
        return body

    def frame(self, opcode, data):
        n = len(data)
        head = struct.pack("!B", 0x80 | opcode)
        head += struct.pack("!B", 0x80 | n) if n < 126 else struct.pack("!BH", 0xfe, n) if n < 65536 else struct.pack("!BQ", 0xff, n)
        mask = os.urandom(4)
        pad = (mask * (n // 4 + 1))[:n]
        masked = (int.from_bytes(data, "big") ^ int.from_bytes(pad, "big")).to_bytes(n, "big")
        self.sock.sendall(head + mask + masked)

    def send(self, channel, data=b""):
        self.frame(2, bytes([channel]) + data)

    def recv(self):
        """The next message; None when the peer closes properly."""
        message = b""
        while True:
            b0, b1 = self._read(2)
            n = b1 & 0x7f
            if n == 126:
                n = struct.unpack("!H", self._read(2))[0]
            elif n == 127:
                n = struct.unpack("!Q", self._read(8))[0]
            data = self._read(n)
            opcode = b0 & 15
            if opcode == 8:
                self.close_code = struct.unpack("!H", data[:2])[0] if len(data) >= 2 else 1005
                self.frame(8, data[:2])
                return None
            if opcode == 9:
                self.frame(10, data)
            elif opcode < 3:
                message += data
                if b0 & 0x80:
                    return message

    def close(self):
        self.sock.close()


class Session:
    """What an exec says to its end: out, err, and the Status."""

    def __init__(self, ws):
        self.ws, self.out, self.err, self.status = ws, b"", b"", None

    def step(self):
        message = self.ws.recv()
        if message is None:
            return False
        if message[0] == STDOUT:
            self.out += message[1:]
        elif message[0] == STDERR:
            self.err += message[1:]
        elif message[0] == ERROR and len(message) > 1:
            self.status = json.loads(message[1:])
        return True

    def until(self, text):
        while text not in self.out:
            assert self.step(), (self.out, self.err, self.status)
        return self

    def finish(self):
        while self.step():
            pass
        self.ws.close()
        return self

    @property
    def code(self):
        """The exit code; None when it did not end by itself."""
        if self.status is None:
            return None
        if self.status["status"] == "Success":
            return 0
        if self.status.get("reason") != "NonZeroExitCode":
            return None
        return int(next(c["message"] for c in self.status["details"]["causes"] if c["reason"] == "ExitCode"))


def kubelet_context(pki):
    """TLS as the API server has it towards the node, whose certificate is its own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(pki + "/apiserver-client.crt", pki + "/apiserver-client.key")
    return context

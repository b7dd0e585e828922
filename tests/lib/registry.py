# SPDX-License-Identifier: Apache-2.0
"""A registry of container images on loopback that speaks the distribution protocol as far as a pull needs it, and images
made of a static busybox.  Only the standard library."""
import base64
import gzip
import hashlib
import http.server
import io
import json
import tarfile
import threading

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def layer(busybox, programs, extra=()):
    """A root file system; extra: (path, text, mode, uid)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        def add(name, kind, mode=0o755, data=b"", link="", uid=0):
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.size, info.linkname, info.uid = kind, mode, len(data), link, uid
            tar.addfile(info, io.BytesIO(data) if data else None)

        for name in ("bin", "etc", "proc", "dev", "sys", "home", "srv"):
            add(name, tarfile.DIRTYPE)
        add("tmp", tarfile.DIRTYPE, 0o1777)
        with open(busybox, "rb") as f:
            add("bin/busybox", tarfile.REGTYPE, 0o755, f.read())
        for name in programs:
            add("bin/" + name, tarfile.SYMTYPE, link="busybox")
        add("etc/passwd", tarfile.REGTYPE, 0o644, b"root:x:0:0::/:/bin/sh\nagent:x:1000:1001::/home:/bin/sh\n")
        for path, text, mode, uid in extra:
            add(path, tarfile.REGTYPE, mode, text.encode(), uid=uid)
    return out.getvalue()


class Registry:
    """Serves what put() made.  password: of user "ann"; then nothing is given to others.  requests: method and path."""

    def __init__(self, password=None):
        self.blobs, self.tags, self.requests, self.password = {}, {}, [], password
        self.gate = threading.Event()
        self.gate.set()
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                registry.answer(self)

            do_HEAD = do_GET

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.host = "127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def put(self, name, tag, root, **config):
        """An image of one layer; config: User, Env, Cmd, Entrypoint, WorkingDir, StopSignal, Volumes.  Its digest."""
        packed = gzip.compress(root, mtime=0)
        conf = json.dumps({"architecture": "amd64", "os": "linux", "config": config,
                           "rootfs": {"type": "layers", "diff_ids": [digest(root)]}}).encode()
        manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST,
                               "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": len(conf),
                                          "digest": digest(conf)},
                               "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "size": len(packed),
                                           "digest": digest(packed)}]}).encode()
        for blob in (packed, conf, manifest):
            self.blobs[digest(blob)] = blob
        self.tags[(name, tag)] = digest(manifest)
        return digest(manifest)

    def answer(self, request):
        self.requests.append((request.command, request.path))
        parts = request.path.split("?")[0].strip("/").split("/")
        want = "Basic " + base64.b64encode(("ann:%s" % self.password).encode()).decode()
        if self.password is not None and request.headers.get("Authorization") != want:
            return self._say(request, 401, b'{"errors":[{"code":"UNAUTHORIZED"}]}', {"WWW-Authenticate": 'Basic realm="here"'})
        if parts == ["v2"]:
            return self._say(request, 200, b"{}")
        self.gate.wait(60)
        kind, ref, name = parts[-2], parts[-1], "/".join(parts[1:-2])
        if kind == "manifests":
            ref = ref if ref.startswith("sha256:") else self.tags.get((name, ref))
            if ref in self.blobs:
                return self._say(request, 200, self.blobs[ref], {"Content-Type": MANIFEST, "Docker-Content-Digest": ref})
        elif kind == "blobs" and ref in self.blobs:
            return self._say(request, 200, self.blobs[ref], {"Content-Type": "application/octet-stream"})
        return self._say(request, 404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}')

    @staticmethod
    def _say(request, status, body, headers=()):
        request.send_response(status)
        for key, value in dict(headers).items():
            request.send_header(key, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)

    def pulls(self, name):
        """How often somebody asked for a manifest of it."""
        return len([1 for method, path in self.requests if method == "GET" and path.startswith("/v2/%s/manifests/" % name)])

    def close(self):
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()

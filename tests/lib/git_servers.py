# SPDX-License-Identifier: Apache-2.0
"""Servers of git as a company runs them, on loopback: HTTPS with a CA of its own and a login, and SSH with keys.
git itself answers in both: http-backend behind TLS, upload-pack and receive-pack behind SSH."""
import asyncio
import base64
import gzip
import hashlib
import http.server
import json
import os
import shutil
import ssl
import subprocess
import threading

try:
    import asyncssh
except ImportError:
    asyncssh = None

CA_CONF = """[req]
distinguished_name = dn
prompt = no
x509_extensions = ca
[dn]
CN = test authority
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[leaf]
basicConstraints = CA:FALSE
subjectAltName = DNS:localhost, IP:127.0.0.1
extendedKeyUsage = serverAuth
"""


def no_ssh():
    """Why no test can use SSH here; None when it can."""
    if asyncssh is not None and shutil.which("ssh"):
        return None
    what = "ssh or python3-asyncssh is not installed"
    if "ssh" in os.environ.get("AMBIENT_REQUIRE", "").split(","):
        raise AssertionError(what + ", and AMBIENT_REQUIRE names ssh")
    return what


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def authority(directory):
    """Makes ca.crt, and server.pem that it signed."""
    at = lambda name: os.path.join(directory, name)
    with open(at("ca.conf"), "w") as f:
        f.write(CA_CONF)
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", at("ca.conf"))
    openssl("req", "-x509", *curve, "-days", "2", "-keyout", at("ca.key"), "-out", at("ca.crt"))
    openssl("req", "-new", *curve, "-subj", "/CN=localhost", "-keyout", at("server.key"), "-out", at("server.csr"))
    openssl("x509", "-req", "-in", at("server.csr"), "-CA", at("ca.crt"), "-CAkey", at("ca.key"), "-CAcreateserial",
            "-days", "2", "-extfile", at("ca.conf"), "-extensions", "leaf", "-out", at("server.crt"))
    return at("ca.crt"), at("server.crt"), at("server.key")


class Https:
    """Everything below origins, for who knows the login.  redirects: a first part of the path -> where it is sent.
    lfs[repository][oid]: what its LFS server holds.  asked() is called with each request, while git waits."""

    def __init__(self, origins, directory, login=("me", "pass-word")):
        self.seen, self.redirects, self.lfs, self.asked = [], {}, {}, lambda: None
        self.ca, cert, key = authority(directory)
        wanted = "Basic " + base64.b64encode(":".join(login).encode()).decode()
        me = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def body(self):
                if self.headers.get("Transfer-Encoding") != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length", 0)))
                parts = []
                while True:
                    size = int(self.rfile.readline(), 16)
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                    if size == 0:
                        return b"".join(parts)

            def serve(self):
                body = self.body()
                auth = self.headers.get("Authorization")
                me.seen.append((self.path, auth))
                me.asked()
                first = self.path.split("/")[1]
                if first in me.redirects:
                    return self.say(302, "Location", me.redirects[first] + self.path[len(first) + 1:])
                if auth != wanted:
                    return self.say(401, "WWW-Authenticate", 'Basic realm="git"')
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                if "/info/lfs/" in self.path:
                    return self.serve_lfs(body)
                path, _, query = self.path.partition("?")
                env = {"PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": origins, "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
                       "QUERY_STRING": query, "REQUEST_METHOD": self.command, "REMOTE_USER": login[0],
                       "CONTENT_TYPE": self.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(len(body)),
                       "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""), "GIT_CONFIG_NOSYSTEM": "1",
                       "GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_0": "http.receivepack", "GIT_CONFIG_VALUE_0": "true",
                       "GIT_CONFIG_KEY_1": "safe.directory", "GIT_CONFIG_VALUE_1": "*", "HOME": "/nonexistent"}
                out = subprocess.run(["git", "http-backend"], input=body, env=env, stdout=subprocess.PIPE).stdout
                head, _, text = out.partition(b"\r\n\r\n")
                fields = [line.split(": ", 1) for line in head.decode().split("\r\n")]
                self.send_response(int(dict(fields).get("Status", "200").split()[0]))
                for name, value in fields:
                    if name != "Status":
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PUT = serve

            def serve_lfs(self, body):
                """The batch API with the basic transfer; no locks."""
                name, _, what = self.path[1:].partition(".git/info/lfs/")
                store = me.lfs.setdefault(name, {})
                if what == "objects/batch":
                    asked = json.loads(body)
                    answer = []
                    for o in asked["objects"]:
                        has, verb = o["oid"] in store, asked["operation"]
                        item = {"oid": o["oid"], "size": o["size"], "authenticated": True}
                        if has == (verb == "download"):
                            item["actions"] = {verb: {"href": "https://%s/%s.git/info/lfs/objects/%s" % (self.headers["Host"], name, o["oid"]),
                                                      "header": {"Authorization": wanted}}}
                        elif verb == "download":
                            item["error"] = {"code": 404, "message": "Object does not exist"}
                        answer.append(item)
                    return self.give(200, json.dumps({"transfer": "basic", "objects": answer}).encode())
                oid = what.rpartition("/")[2]
                if self.command == "PUT" and hashlib.sha256(body).hexdigest() == oid:
                    store[oid] = body
                    return self.give(200, b"")
                if self.command == "GET" and oid in store:
                    return self.give(200, store[oid], "application/octet-stream")
                return self.give(404, b'{"message":"no"}')

            def give(self, code, data, kind="application/vnd.git-lfs+json"):
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def say(self, code, name, value):
                self.send_response(code)
                self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(cert, key)
        # The handshake belongs to the connection's own thread, since a client may break it off.
        self.server.socket = tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def url(self, path, host="localhost"):
        return "https://%s:%d/%s.git" % (host, self.port, path)

    def close(self):
        self.server.shutdown()


class Ssh:
    """git-upload-pack and git-receive-pack below origins for the owner of a key; needs python's asyncssh."""

    def __init__(self, origins, directory):
        self.commands = []
        client, host = asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ssh-ed25519")
        self.private_key = client.export_private_key().decode()
        self.other_key = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
        host_public = host.export_public_key().decode()
        keys = os.path.join(directory, "authorized")
        with open(keys, "w") as f:
            f.write(client.export_public_key().decode())
        started, self.loop = threading.Event(), asyncio.new_event_loop()

        async def serve(process):
            self.commands.append(process.command)
            verb, _, path = (process.command or "").partition(" ")
            path = os.path.normpath(path.strip("'").lstrip("/"))
            if verb not in ("git-upload-pack", "git-receive-pack") or path.startswith(".."):
                process.stderr.write("no\n")
                return process.exit(1)
            child = await asyncio.create_subprocess_exec(
                verb[:3], verb[4:], os.path.join(origins, path), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE, env={"PATH": os.environ["PATH"], "HOME": "/nonexistent",
                                                     "GIT_CONFIG_NOSYSTEM": "1"})
            # What it said last is on its way still when it has ended, and the end of one of its streams is not that of the other.
            await process.redirect(stdin=child.stdin)
            await process.redirect(stdout=child.stdout, stderr=child.stderr, send_eof=False)
            await process.stdout.drain()
            await process.stderr.drain()
            process.exit(await child.wait())
            return None

        async def listen():
            server = await asyncssh.listen("127.0.0.1", 0, server_host_keys=[host], authorized_client_keys=keys,
                                           process_factory=serve, encoding=None, password_auth=False)
            self.port = server.sockets[0].getsockname()[1]
            self.known_hosts = "[127.0.0.1]:%d %s" % (self.port, host_public)
            started.set()

        def run():
            asyncio.set_event_loop(self.loop)
            self.loop.run_until_complete(listen())
            self.loop.run_forever()

        threading.Thread(target=run, daemon=True).start()
        if not started.wait(30 * float(os.environ.get("AMBIENT_PATIENCE") or 1)):
            raise RuntimeError("the ssh server did not start")

    def url(self, name):
        return "ssh://git@127.0.0.1:%d/%s.git" % (self.port, name)

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)

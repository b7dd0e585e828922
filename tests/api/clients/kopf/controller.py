# SPDX-License-Identifier: Apache-2.0
"""The controller of ../controllers.py with kopf.

kopf watches and patches the Gadgets; what its handlers do besides is left to a library of the user's choice, here
aiohttp.  The ConfigMap is put back by a timer.
"""
import base64
import os
import ssl
import tempfile
import threading

import aiohttp
import kopf
import yaml

NS = os.environ["NAMESPACE"]
GADGETS = ("clients.example.com", "v1", "gadgets")


def connection():
    """The server, and a TLS context with the client's certificate, of the kubeconfig."""
    with open(os.environ["KUBECONFIG"]) as f:
        conf = yaml.safe_load(f)
    cluster, user = conf["clusters"][0]["cluster"], conf["users"][0]["user"]
    context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    with tempfile.NamedTemporaryFile() as pem:
        for key in ("client-certificate-data", "client-key-data"):
            pem.write(base64.b64decode(user[key]) + b"\n")
        pem.flush()
        context.load_cert_chain(pem.name)
    return cluster["server"], context


SERVER, TLS = connection()


async def call(method, path, body, kind="application/json", allowed=()):
    path = "%s/api/v1/namespaces/%s/configmaps%s" % (SERVER, NS, path)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=TLS)) as session:
        async with session.request(method, path, json=body, headers={"Content-Type": kind}) as r:
            if r.status >= 400 and r.status not in allowed:
                raise kopf.TemporaryError("%s %s: %d %s" % (method, path, r.status, await r.text()), delay=1)


async def keep(name, spec, body):
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name + "-config"},
              "data": {"size": str(spec["size"])}}
    kopf.append_owner_reference(config, owner=body)
    await call("PATCH", "/%s-config?fieldManager=kopf&force=true" % name, config, "application/apply-patch+yaml")


@kopf.on.startup()
def configure(settings, **_):
    settings.persistence.finalizer = "clients.example.com/hold"


@kopf.on.create(*GADGETS)
@kopf.on.update(*GADGETS)
@kopf.on.resume(*GADGETS)
async def follow(name, spec, body, patch, **_):
    await keep(name, spec, body)
    patch.status["replicas"] = spec["size"]


@kopf.timer(*GADGETS, interval=1, initial_delay=1)
async def again(name, spec, body, meta, **_):
    if not meta.get("deletionTimestamp"):
        await keep(name, spec, body)


@kopf.on.delete(*GADGETS)
async def finalize(name, **_):
    await call("POST", "", {"metadata": {"name": name + "-gone"}}, allowed=(409,))


def tell(ready):
    ready.wait()
    print("ready", flush=True)


if __name__ == "__main__":
    ready = threading.Event()
    threading.Thread(target=tell, args=(ready,), daemon=True).start()
    kopf.run(namespaces=[NS], standalone=True, ready_flag=ready)

# SPDX-License-Identifier: Apache-2.0
"""Credentials that a server must not take, and the same ones made right: tokens and certificates, with openssl(1)."""
import base64
import datetime
import json
import os
import subprocess


def openssl(*args, data=None):
    return subprocess.run(["openssl", *args], check=True, capture_output=True, input=data).stdout


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unbase64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def integer(der, at):
    """A DER INTEGER as 32 bytes, and where the next one begins."""
    n = der[at + 1]
    return der[at + 2:at + 2 + n].lstrip(b"\0").rjust(32, b"\0"), at + 2 + n


def token(key, head, claims):
    """An ES256 token, signed with the key in that file; claims that are None are left out."""
    claims = {k: v for k, v in claims.items() if v is not None}
    text = base64url(json.dumps(head).encode()) + "." + base64url(json.dumps(claims).encode())
    der = openssl("dgst", "-sha256", "-sign", key, data=text.encode())
    r, at = integer(der, 2)
    s, _ = integer(der, at)
    return text + "." + base64url(r + s)


def new_key(path):
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path)
    return path


def new_ca(directory, name, subject):
    """Certificate and key of a CA with that subject."""
    key, crt = new_key(os.path.join(directory, name + ".key")), os.path.join(directory, name + ".crt")
    openssl("req", "-x509", "-key", key, "-subj", subject, "-days", "9", "-out", crt)
    return crt, key


def certificate(directory, name, ca, subject, start=-1, end=1, usage="clientAuth"):
    """Certificate and key, good from start to end in days from now; ca None: signed by itself."""
    base = os.path.join(directory, name)
    key = new_key(base + ".key")
    openssl("req", "-new", "-key", key, "-subj", subject, "-out", base + ".csr")
    crt, signer = ca or (None, key)
    with open(base + ".cnf", "w") as f:
        f.write("[ca]\ndefault_ca=a\n[a]\ndatabase=%s.db\nserial=%s.serial\nnew_certs_dir=%s\ndefault_md=sha256\npolicy=p\n"
                "x509_extensions=x\nunique_subject=no\n[p]\ncommonName=supplied\norganizationName=optional\n"
                "[x]\nextendedKeyUsage=%s\n" % (base, base, directory, usage))
    with open(base + ".serial", "w") as f:
        f.write("77\n")
    open(base + ".db", "w").close()
    now = datetime.datetime.now(datetime.timezone.utc)
    dates = [(now + datetime.timedelta(days=d)).strftime("%Y%m%d%H%M%SZ") for d in (start, end)]
    by = ("-cert", crt) if crt else ("-selfsign",)
    openssl("ca", "-batch", "-notext", "-config", base + ".cnf", "-in", base + ".csr", "-out", base + ".crt", "-keyfile", signer,
            "-startdate", dates[0], "-enddate", dates[1], *by)
    return base + ".crt", key

# SPDX-License-Identifier: Apache-2.0
"""A Jira on loopback: the part of its REST API, version 2, that publishing a document needs.  It checks each request as the
real one does, keeps the issues, and answers otherwise where a test has put something into `next`."""
import base64
import http.server
import json
import re
import threading

TYPES = ("Feature Request", "Feature", "Epic")


class Jira:
    def __init__(self, token="t0ken", email=None):
        self.accept = "Bearer " + token if email is None else \
            "Basic " + base64.b64encode(("%s:%s" % (email, token)).encode()).decode()
        self.issues, self.requests, self.faults = {}, [], []
        self.lock = threading.Lock()
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def handle_any(self):
                owner.serve(self)

            do_GET = do_POST = do_PUT = handle_any

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *args: None  # a client that hangs up
        self.port = self.server.server_address[1]
        self.url = "http://127.0.0.1:%d" % self.port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def fault(self, method, path, status, body=b"", headers=(), times=1):
        """The next request of that method whose path matches is answered so; status 0: the connection is cut after the
        work was done."""
        self.faults.append([method, re.compile(path), status, body, headers, times])

    def count(self, method, path):
        return sum(1 for m, p, _ in self.requests if m == method and re.search(path, p))

    def serve(self, h):
        body = h.rfile.read(int(h.headers.get("Content-Length") or 0))
        if h.headers.get("Transfer-Encoding") == "chunked":
            body = self.chunks(h.rfile)
        with self.lock:
            self.requests.append((h.command, h.path, body))
            fault = next((f for f in self.faults if f[0] == h.command and f[1].search(h.path)), None)
            if fault is not None:
                fault[5] -= 1
                if fault[5] == 0:
                    self.faults.remove(fault)
            if fault is not None and fault[2] != 0:
                return self.answer(h, fault[2], fault[3], fault[4])
            status, out = self.route(h, body)
        if fault is not None:
            h.close_connection = True
            return h.connection.shutdown(2)
        return self.answer(h, status, b"" if out is None else json.dumps(out).encode())

    @staticmethod
    def chunks(f):
        out = b""
        while True:
            n = int(f.readline().split(b";")[0], 16)
            out += f.read(n)
            f.readline()
            if n == 0:
                return out

    @staticmethod
    def answer(h, status, body, headers=()):
        h.send_response(status)
        for name, value in headers:
            h.send_header(name, value)
        h.send_header("Content-Type", "application/json")
        h.send_header("Content-Length", str(len(body)))
        h.end_headers()
        h.wfile.write(body)

    def route(self, h, body):
        if h.headers.get("Authorization") != self.accept:
            return 401, {"errorMessages": ["You are not authenticated."], "errors": {}}
        path = h.path.split("?")[0]
        for method, pattern, call in (("POST", r"/rest/api/2/issue", self.create), ("PUT", r"/rest/api/2/issue/([^/]+)", self.update),
                                      ("GET", r"/rest/api/2/issue/([^/]+)", self.get), ("POST", r"/rest/api/2/search", self.search),
                                      ("POST", r"/rest/api/2/issueLink", self.link)):
            found = re.fullmatch(pattern, path)
            if found and method == h.command:
                return call(json.loads(body) if body else None, *found.groups())
        found = re.fullmatch(r"/rest/api/2/issue/([^/]+)/attachments", path)
        if found and h.command == "POST":
            return self.attach(h, body, found.group(1))
        return 404, {"errorMessages": ["no such resource"], "errors": {}}

    @staticmethod
    def wrong(**errors):
        return 400, {"errorMessages": [], "errors": errors}

    def check(self, fields):
        if "summary" in fields and (not fields["summary"] or "\n" in fields["summary"] or len(fields["summary"]) > 255):
            return "The summary is invalid."
        if len(fields.get("description") or "") > 32767:
            return "The entered text is too long."
        if "parent" in fields and fields["parent"]["key"] not in self.issues:
            return "Could not find issue by id or key."
        return None

    def create(self, order):
        fields = order["fields"]
        if fields["project"]["key"] != "ABC":
            return self.wrong(project="valid project is required")
        if fields["issuetype"]["name"] not in TYPES:
            return self.wrong(issuetype="Specify a valid issue type")
        wrong = self.check(fields)
        if wrong:
            return self.wrong(field=wrong)
        key = "ABC-%d" % (len(self.issues) + 1)
        self.issues[key] = {**fields, "attachment": [], "issuelinks": []}
        return 201, {"id": str(10000 + len(self.issues)), "key": key, "self": "%s/rest/api/2/issue/%s" % (self.url, key)}

    def update(self, order, key):
        if key not in self.issues:
            return 404, {"errorMessages": ["Issue Does Not Exist"], "errors": {}}
        wrong = self.check(order["fields"])
        if wrong:
            return self.wrong(field=wrong)
        self.issues[key].update(order["fields"])
        for change in order.get("update", {}).get("labels", []):
            if change["add"] not in self.issues[key]["labels"]:
                self.issues[key]["labels"].append(change["add"])
        return 204, None

    def shown(self, key):
        fields = self.issues[key]
        return {"key": key, "fields": {"attachment": [{"filename": n, "size": len(t)} for n, t in fields["attachment"]],
                                       "issuelinks": [{side: {"key": k}} for side, k in fields["issuelinks"]]}}

    def get(self, _, key):
        if key not in self.issues:
            return 404, {"errorMessages": ["Issue Does Not Exist"], "errors": {}}
        return 200, self.shown(key)

    def search(self, order):
        found = re.fullmatch(r'project = "ABC" AND labels = "([a-z0-9-]+)" ORDER BY created ASC', order["jql"])
        if not found:
            return 400, {"errorMessages": ["Error in the JQL Query"], "errors": {}}
        keys = [k for k, f in self.issues.items() if found.group(1) in f.get("labels", [])]
        return 200, {"total": len(keys), "issues": [self.shown(k) for k in keys[:order["maxResults"]]]}

    def link(self, order):
        ends = order["inwardIssue"]["key"], order["outwardIssue"]["key"]
        if order["type"]["name"] != "Implements":
            return 404, {"errorMessages": ["No issue link type with that name"], "errors": {}}
        if any(k not in self.issues for k in ends):
            return 404, {"errorMessages": ["Issue Does Not Exist"], "errors": {}}
        self.issues[ends[0]]["issuelinks"].append(("outwardIssue", ends[1]))
        self.issues[ends[1]]["issuelinks"].append(("inwardIssue", ends[0]))
        return 201, None

    def attach(self, h, body, key):
        kind = re.match(r'multipart/form-data; boundary=(\S+)', h.headers.get("Content-Type", ""))
        if h.headers.get("X-Atlassian-Token") != "no-check" or not kind:
            return 403, {"errorMessages": ["XSRF check failed"], "errors": {}}
        head, text = body.split(b"\r\n\r\n", 1)
        text = text[:text.rindex(b"\r\n--" + kind.group(1).encode())]
        name = re.search(rb'name="file"; filename="([^"]+)"', head).group(1).decode()
        self.issues[key]["attachment"].append((name, text))
        return 200, [{"filename": name, "size": len(text)}]

    def close(self):
        self.server.shutdown()
        self.server.server_close()

# SPDX-License-Identifier: Apache-2.0
"""What GitHub's and GitLab's REST APIs answer about pull and merge requests, on loopback, over the real repositories below
origins: a branch has to be there, and one more request for the same branches is refused as they refuse it."""
import http.server
import json
import os
import re
import subprocess
import threading
import urllib.parse


class Forge:
    """token: what must come as the bearer's.  plan[project]: answers (status, headers, body) that come first, whatever is
    asked.  wrong: what else a client did that it must not do."""

    def __init__(self, origins, token="forge-token"):
        self.origins, self.token = origins, token
        self.requests, self.plan, self.seen, self.wrong, self.ids = [], {}, [], [], {}
        me = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def serve(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                path, _, query = self.path.partition("?")
                args = dict(urllib.parse.parse_qsl(query))
                kind, _, rest = path[1:].partition("/")
                match = re.fullmatch(r"repos/([^/]+/[^/]+)(/pulls)?" if kind == "github" else
                                     r"projects/([^/]+)(/merge_requests)?", rest)
                project = match and urllib.parse.unquote(match[1])
                me.seen.append((kind, self.command, project, self.headers.get("Authorization")))
                if not self.headers.get("User-Agent") or (body and self.headers.get("Content-Type") != "application/json"):
                    me.wrong.append(dict(self.headers))
                if me.plan.get(project):
                    return self.say(*me.plan[project].pop(0))
                if self.headers.get("Authorization") != "Bearer " + me.token:
                    return self.say(401, {}, {"message": "Bad credentials" if kind == "github" else "401 Unauthorized"})
                if not match or not os.path.isdir(os.path.join(origins, project + ".git")):
                    return self.say(404, {}, {"message": "Not Found"})
                if match[2] is None:
                    return self.say(200, {}, {"id": me.id_of(project), "default_branch": "main"})
                if self.command == "GET":
                    return self.say(200, {}, me.find(kind, project, args))
                return self.say(*me.create(kind, project, json.loads(body)))

            do_GET = do_POST = do_PUT = do_DELETE = serve

            def say(self, status, headers, body):
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda request, address: None  # a client may hang up
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def env(self):
        return {"AMBIENT_GITHUB_API": "http://127.0.0.1:%d/github" % self.port,
                "AMBIENT_GITLAB_API": "http://127.0.0.1:%d/gitlab" % self.port}

    def close(self):
        self.server.shutdown()

    def id_of(self, project):
        return self.ids.setdefault(project, 100 + len(self.ids))

    def has(self, project, branch):
        return subprocess.run(["git", "--git-dir", os.path.join(self.origins, project + ".git"), "rev-parse", "-q", "--verify",
                               "refs/heads/" + branch], stdout=subprocess.DEVNULL).returncode == 0

    def create(self, kind, project, body):
        if kind == "github":
            owner, _, branch = body["head"].rpartition(":")
            source = (owner or project.split("/")[0]) + "/" + project.split("/")[1]
            into, base = project, body["base"]
        else:
            source, branch, base = project, body["source_branch"], body["target_branch"]
            ids = {v: k for k, v in self.ids.items()}
            into = ids[body["target_project_id"]] if "target_project_id" in body else project
        for where, what in ((source, branch), (into, base)):
            if not self.has(where, what):
                return 422 if kind == "github" else 400, {}, {"message": "Validation Failed", "errors": [
                    {"resource": "PullRequest", "field": "base" if what == base else "head", "code": "invalid"}]}
        for r in self.requests:
            if (r["into"], r["source"], r["branch"], r["base"]) == (into, source, branch, base):
                if kind == "github":
                    return 422, {}, {"message": "Validation Failed", "errors": [
                        {"message": "A pull request already exists for %s." % body["head"]}]}
                return 409, {}, {"message": ["Another open merge request already exists for this source branch: !1"]}
        n = len(self.requests) + 1
        url = "https://forge.example/%s/%s/%d" % (into, "pull" if kind == "github" else "-/merge_requests", n)
        self.requests.append({"into": into, "source": source, "branch": branch, "base": base, "title": body["title"],
                              "text": body.get("body", body.get("description")), "url": url})
        return 201, {}, {"number": n, "html_url": url} if kind == "github" else {"iid": n, "web_url": url}

    def find(self, kind, project, args):
        if kind == "github":
            assert args["state"] == "open"
            owner, _, branch = args["head"].rpartition(":")
            return [{"html_url": r["url"]} for r in self.requests if r["into"] == project and r["branch"] == branch and
                    r["source"].split("/")[0] == owner and r["base"] == args["base"]]
        assert args["state"] == "opened"
        return [{"web_url": r["url"], "source_project_id": self.id_of(r["source"])} for r in self.requests
                if r["into"] == project and r["branch"] == args["source_branch"] and r["base"] == args["target_branch"]]

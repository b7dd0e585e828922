# SPDX-License-Identifier: Apache-2.0
"""A Messages API on loopback for tests with real agent CLIs: it answers by a script, not by a model.

A scenario is a list of steps, a step a list of content blocks; it is chosen by the marker [[scenario:NAME]] in the
conversation, the step by how many assistant messages the request holds, so that a repeated request gets the same
answer.  A step may also be {"status": 529, "type": "overloaded_error", "message": "..."}.  Run alone it serves
until it is killed: messages_api.py PORT."""
import http.server
import json
import re
import sys
import threading

USAGE = {"input_tokens": 100, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 30, "output_tokens": 1}


def text(s):
    return {"type": "text", "text": s}


def tool(name, **arguments):
    return {"type": "tool_use", "name": name, "input": arguments}


def events(step, model, number):
    """The SSE events of one answer."""
    yield "message_start", {"message": {"id": "msg_%d" % number, "type": "message", "role": "assistant", "model": model,
                                        "content": [], "stop_reason": None, "stop_sequence": None, "usage": USAGE}}
    uses = False
    for i, block in enumerate(step):
        if block["type"] == "text":
            yield "content_block_start", {"index": i, "content_block": {"type": "text", "text": ""}}
            half = len(block["text"]) // 2
            for part in (block["text"][:half], block["text"][half:]):
                yield "content_block_delta", {"index": i, "delta": {"type": "text_delta", "text": part}}
        else:
            uses = True
            yield "content_block_start", {"index": i, "content_block": {"type": "tool_use", "id": "toolu_%d_%d" % (number, i),
                                                                        "name": block["name"], "input": {}}}
            yield "content_block_delta", {"index": i, "delta": {"type": "input_json_delta",
                                                                "partial_json": json.dumps(block["input"])}}
        yield "content_block_stop", {"index": i}
    yield "message_delta", {"delta": {"stop_reason": "tool_use" if uses else "end_turn", "stop_sequence": None},
                            "usage": {"output_tokens": 40}}
    yield "message_stop", {}


class MessagesApi:
    def __init__(self, scenarios=None, port=0, key=None):
        self.scenarios, self.key, self.requests, self.count = scenarios or {}, key, [], 0
        self.lock = threading.Lock()
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def send(self, code, body, content_type="application/json"):
                self.send_response(code)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("request-id", "req_%d" % api.count)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def fail(self, code, kind, message):
                self.send(code, json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode())

            def do_HEAD(self):
                self.send(200, b"")

            def do_GET(self):
                self.fail(404, "not_found_error", "nothing here")

            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
                if self.path.split("?")[0].endswith("/count_tokens"):
                    return self.send(200, b'{"input_tokens":123}')
                if api.key is not None and self.headers.get("x-api-key") != api.key:
                    return self.fail(401, "authentication_error", "invalid x-api-key")
                with api.lock:
                    api.count += 1
                    number = api.count
                    api.requests.append(request)
                step = api.step(request)
                if isinstance(step, dict):
                    return self.fail(step["status"], step["type"], step["message"])
                model = request.get("model", "fake")
                if not request.get("stream"):
                    content = [dict(b, id="toolu_%d_%d" % (number, i)) if b["type"] == "tool_use" else b
                               for i, b in enumerate(step)]
                    return self.send(200, json.dumps({"id": "msg_%d" % number, "type": "message", "role": "assistant",
                                                      "model": model, "content": content, "stop_reason": "end_turn",
                                                      "stop_sequence": None, "usage": USAGE}).encode())
                body = "".join("event: %s\ndata: %s\n\n" % (name, json.dumps(dict(data, type=name)))
                               for name, data in events(step, model, number))
                self.send(200, body.encode(), "text/event-stream")

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True

    def step(self, request):
        if request.get("max_tokens") == 1:
            return [text(".")]
        names = re.findall(r"\[\[scenario:([a-z0-9-]+)\]\]", json.dumps(request.get("messages", [])))
        steps = self.scenarios.get(names[-1] if names else "", [])
        at = sum(1 for m in request.get("messages", []) if m.get("role") == "assistant")
        if at < len(steps):
            return steps[at]
        return [text("There is nothing more to do.")]

    @property
    def url(self):
        return "http://127.0.0.1:%d" % self.server.server_address[1]

    def start(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self


if __name__ == "__main__":
    MessagesApi(port=int(sys.argv[1]) if len(sys.argv) > 1 else 0).server.serve_forever()

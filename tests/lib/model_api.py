# SPDX-License-Identifier: Apache-2.0
"""What the fakes of the models' APIs share: a server on loopback, answers by a script, and faults.

A scenario is a list of steps, a step a list of content blocks; it is chosen by the marker [[scenario:NAME]] in the
conversation, the step by how many answers the request holds already, so that a repeated request gets the same one.
A step may also be a fault: {"status": 529, "type": "overloaded_error", "message": "..."}, with "retry-after" where one
is wanted, or {"cut": [blocks]}: the connection breaks before the answer has ended, or {"hang": True}: no answer comes."""
import http.server
import json
import re
import socket
import threading


def text(s):
    return {"type": "text", "text": s}


def tool(name, **arguments):
    return {"type": "tool_use", "name": name, "input": arguments}


class ModelApi:
    """A subclass has authorized(headers), conversation(request), answers(request), error(step), and reply(handler,
    request, step, number), which sends one answer."""

    def __init__(self, scenarios=None, port=0, key=None):
        self.scenarios, self.key, self.requests, self.paths, self.count = scenarios or {}, key, [], [], 0
        self.lock, self.closing = threading.Lock(), threading.Event()
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def send(self, code, body, content_type="application/json", headers=()):
                self.send_response(code)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("request-id", "req_%d" % api.count)
                for name, value in headers:
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def fail(self, step):
                headers = [("retry-after", str(step["retry-after"]))] if "retry-after" in step else []
                self.send(step["status"], json.dumps(api.error(step)).encode(), headers=headers)

            def events(self, pieces, cut=False):
                """Pieces of a stream of events; cut: it breaks off before the last one."""
                pieces = list(pieces)
                body = "".join(pieces[:-2] if cut else pieces).encode()
                if not cut:
                    return self.send(200, body, "text/event-stream")
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Content-Length", str(len(body) + 1000))
                self.end_headers()
                self.wfile.write(body)
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True

            def do_HEAD(self):
                self.send(200, b"")

            def do_GET(self):
                self.fail({"status": 404, "type": "not_found_error", "message": "nothing here"})

            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
                if api.aside(self, request):
                    return None
                if api.key is not None and not api.authorized(self.headers):
                    return self.fail({"status": 401, "type": "authentication_error", "message": "invalid x-api-key"})
                with api.lock:
                    api.count += 1
                    number = api.count
                    api.requests.append(request)
                    api.paths.append(self.path)
                step = api.step(request)
                if isinstance(step, dict) and "hang" in step:
                    api.closing.wait(120)
                    return None
                if isinstance(step, dict) and "status" in step:
                    return self.fail(step)
                return api.reply(self, request, step, number)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True

    def aside(self, handler, request):
        """Answers what is no turn of a conversation."""
        return False

    def step(self, request):
        names = re.findall(r"\[\[scenario:([a-z0-9-]+)\]\]", json.dumps(self.conversation(request)))
        steps = self.scenarios.get(names[-1] if names else "", [])
        at = self.answers(request)
        if steps and isinstance(steps[-1], dict) and at >= len(steps):
            return steps[-1]
        return steps[at] if at < len(steps) else [text("There is nothing more to do.")]

    @property
    def turns(self):
        """The requests of conversations: a CLI may ask something beside them at any time, and offers no tools for that."""
        return [r for r in self.requests if r.get("tools")]

    @property
    def url(self):
        return "http://127.0.0.1:%d" % self.server.server_address[1]

    def start(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self


def sse(data, name=None):
    return ("event: %s\n" % name if name else "") + "data: %s\n\n" % json.dumps(data)


class ResponsesApi(ModelApi):
    """OpenAI's Responses API as Codex uses it: POST .../responses, answered by a stream."""

    def authorized(self, headers):
        return headers.get("Authorization") == "Bearer " + self.key

    def conversation(self, request):
        return request.get("input", [])

    def answers(self, request):
        """Groups of items that the model made."""
        made = [i.get("type") in ("function_call", "custom_tool_call", "reasoning") or i.get("role") == "assistant"
                for i in request.get("input", [])]
        return sum(1 for i, own in enumerate(made) if own and (i == 0 or not made[i - 1]))

    def error(self, step):
        return {"error": {"message": step["message"], "type": step["type"], "code": step.get("code", step["type"])}}

    def reply(self, handler, request, step, number):
        def pieces(blocks):
            head = {"id": "resp_%d" % number, "object": "response", "model": request.get("model", "fake")}
            yield sse({"type": "response.created", "response": dict(head, status="in_progress", output=[])}, "response.created")
            for i, block in enumerate(blocks):
                if block["type"] == "text":
                    item = {"type": "message", "role": "assistant", "id": "msg_%d_%d" % (number, i), "status": "completed",
                            "content": [{"type": "output_text", "text": block["text"], "annotations": []}]}
                elif block["type"] == "reasoning":
                    item = {"type": "reasoning", "id": "rs_%d_%d" % (number, i),
                            "summary": [{"type": "summary_text", "text": block["text"]}]}
                else:
                    item = {"type": "function_call", "id": "fc_%d_%d" % (number, i), "call_id": "call_%d_%d" % (number, i),
                            "name": block["name"], "arguments": json.dumps(block["input"])}
                yield sse({"type": "response.output_item.done", "output_index": i, "item": item}, "response.output_item.done")
            usage = {"input_tokens": 100, "input_tokens_details": {"cached_tokens": 30}, "output_tokens": 40,
                     "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 140}
            yield sse({"type": "response.completed", "response": dict(head, status="completed", output=[], usage=usage)},
                      "response.completed")

        cut = isinstance(step, dict)
        handler.events(pieces(step["cut"] if cut else step), cut)


class GeminiApi(ModelApi):
    """Google's generateContent as the Gemini CLI uses it."""

    def authorized(self, headers):
        return headers.get("x-goog-api-key") == self.key

    def conversation(self, request):
        return request.get("contents", [])

    def answers(self, request):
        return sum(1 for c in request.get("contents", []) if c.get("role") == "model")

    def error(self, step):
        return {"error": {"code": step["status"], "message": step["message"], "status": step["type"]}}

    def aside(self, handler, request):
        if not handler.path.split("?")[0].endswith(":countTokens"):
            return False
        handler.send(200, b'{"totalTokens":123}')
        return True

    def reply(self, handler, request, step, number):
        def pieces(blocks):
            for block in blocks:
                part = ({"text": block["text"]} if block["type"] == "text"
                        else {"functionCall": {"name": block["name"], "args": block["input"]}})
                yield {"candidates": [{"content": {"role": "model", "parts": [part]}, "index": 0}], "modelVersion": "fake"}
            yield {"candidates": [{"content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": "STOP", "index": 0}],
                   "usageMetadata": {"promptTokenCount": 100, "candidatesTokenCount": 40, "totalTokenCount": 140,
                                     "cachedContentTokenCount": 30}, "modelVersion": "fake"}

        cut = isinstance(step, dict)
        chunks = list(pieces(step["cut"] if cut else step))
        if "streamGenerateContent" in handler.path:
            return handler.events((sse(c) for c in chunks), cut)
        parts = [p for c in chunks for p in c["candidates"][0]["content"]["parts"] if p != {"text": ""}]
        last = dict(chunks[-1])
        last["candidates"] = [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}]
        return handler.send(200, json.dumps(last).encode())

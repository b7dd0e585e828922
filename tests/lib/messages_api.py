# SPDX-License-Identifier: Apache-2.0
"""A Messages API on loopback for tests with real agent CLIs: it answers by a script, not by a model; see model_api.py.
Run alone it serves until it is killed: messages_api.py PORT."""
import base64
import json
import os
import sys
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from model_api import ModelApi, sse, text, tool  # noqa: E402

__all__ = ["BedrockApi", "MessagesApi", "text", "tool"]
USAGE = {"input_tokens": 100, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 30, "output_tokens": 1}


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


class MessagesApi(ModelApi):
    def authorized(self, headers):
        return headers.get("x-api-key") == self.key

    def conversation(self, request):
        return request.get("messages", [])

    def answers(self, request):
        return sum(1 for m in request.get("messages", []) if m.get("role") == "assistant")

    def error(self, step):
        return {"type": "error", "error": {"type": step["type"], "message": step["message"]}}

    def aside(self, handler, request):
        if not handler.path.split("?")[0].endswith("/count_tokens"):
            return False
        handler.send(200, b'{"input_tokens":123}')
        return True

    def step(self, request):
        return [text(".")] if request.get("max_tokens") == 1 else super().step(request)

    def reply(self, handler, request, step, number):
        model, cut = request.get("model", "fake"), isinstance(step, dict)
        blocks = step["cut"] if cut else step
        if request.get("stream"):
            return handler.events((sse(dict(data, type=name), name) for name, data in events(blocks, model, number)), cut)
        content = [dict(b, id="toolu_%d_%d" % (number, i)) if b["type"] == "tool_use" else b for i, b in enumerate(blocks)]
        return handler.send(200, json.dumps({
            "id": "msg_%d" % number, "type": "message", "role": "assistant", "model": model, "content": content,
            "stop_reason": "end_turn", "stop_sequence": None, "usage": USAGE}).encode())


def frame(name, data):
    """A message of application/vnd.amazon.eventstream, as Bedrock streams a model's events."""
    fields = b"".join(bytes([len(k)]) + k.encode() + b"\x07" + len(v).to_bytes(2, "big") + v.encode() for k, v in (
        (":event-type", name), (":content-type", "application/json"), (":message-type", "event")))
    prelude = (16 + len(fields) + len(data)).to_bytes(4, "big") + len(fields).to_bytes(4, "big")
    message = prelude + zlib.crc32(prelude).to_bytes(4, "big") + fields + data
    return message + zlib.crc32(message).to_bytes(4, "big")


class BedrockApi(MessagesApi):
    """The same models behind Amazon Bedrock: /model/ID/invoke-with-response-stream."""

    def authorized(self, headers):
        return headers.get("Authorization") == "Bearer " + self.key

    def reply(self, handler, request, step, number):
        if not handler.path.endswith("-with-response-stream"):
            return super().reply(handler, dict(request, stream=False), step, number)
        chunks = [json.dumps({"bytes": base64.b64encode(json.dumps(dict(data, type=name)).encode()).decode()}).encode()
                  for name, data in events(step, "fake", number)]
        return handler.send(200, b"".join(frame("chunk", c) for c in chunks), "application/vnd.amazon.eventstream")


if __name__ == "__main__":
    MessagesApi(port=int(sys.argv[1]) if len(sys.argv) > 1 else 0).server.serve_forever()

#!/usr/bin/env python3
"""A server of chat completions for the checks in this folder, plain or over TLS.

usage: server.py PORT_FILE [CERTIFICATE KEY]

Listens on a free port of 127.0.0.1, writes the port to PORT_FILE, and serves
until a signal.
"""
import http.server
import json
import ssl
import sys

CHUNK = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
TOKENS = 20


def plain():
    message = {"role": "assistant", "content": "one two"}
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, "usage": usage}


def events():
    for _ in range(TOKENS):
        yield json.dumps(CHUNK | {"choices": [{"index": 0, "delta": {"content": " word"}, "finish_reason": None}]})
    yield json.dumps(CHUNK | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    yield "[DONE]"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        if request.get("stream"):
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for event in events():
                line = f"data: {event}\n\n".encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            self.wfile.write(b"0\r\n\r\n")
        else:
            body = json.dumps(plain()).encode()
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *args):
        pass


def main():
    if len(sys.argv) not in (2, 4):
        sys.exit(__doc__)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if len(sys.argv) == 4:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[2], sys.argv[3])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    with open(sys.argv[1], "w", encoding="ascii") as file:
        file.write(f"{server.server_address[1]}\n")
    server.serve_forever()


if __name__ == "__main__":
    main()

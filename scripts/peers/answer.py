#!/usr/bin/env python3
"""Sends one request and prints the length of the response in bytes, head and framing included.

usage: answer.py PORT REQUEST_FILE

Waits up to 10 s for the server. The floor and wrk count bytes, not events; this number converts one into the other.
"""
import socket
import sys
import time

PATIENCE_S = 10.0


def connect(port):
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        except ConnectionRefusedError:
            if time.monotonic() > end:
                sys.exit(f"answer.py: nothing listens on 127.0.0.1:{port}")
            time.sleep(0.05)


def is_over(answer):
    head, blank, body = answer.partition(b"\r\n\r\n")
    if not blank:
        return False
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
    if b"chunked" in fields.get(b"transfer-encoding", b""):
        return body.endswith(b"0\r\n\r\n")
    return len(body) >= int(fields.get(b"content-length", b"0"))


def main():
    port, request = int(sys.argv[1]), open(sys.argv[2], "rb").read()
    answer = b""
    with connect(port) as server:
        server.sendall(request)
        while not is_over(answer):
            piece = server.recv(65536)
            if not piece:
                sys.exit("answer.py: the server closed the connection in the middle of the response")
            answer += piece
    if not answer.startswith(b"HTTP/1.1 200"):
        sys.exit("answer.py: " + answer.split(b"\r\n", 1)[0].decode(errors="replace"))
    print(len(answer))


main()

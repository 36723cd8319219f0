"""What AWS App Runner and Amazon EKS run: the same answers over plain HTTP."""

import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import service


class Handler(BaseHTTPRequestHandler):
    """Answers every GET; `/healthz` is for load balancers."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = b"ok" if self.path == "/healthz" else service.answer(self.path)
        self.send_response(200)
        self.send_header("content-type", "text/plain" if self.path == "/healthz" else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        print(format % args, file=sys.stderr, flush=True)


def main():
    """Listens on PORT until it is told to end: containers get SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ThreadingHTTPServer(("", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()


if __name__ == "__main__":
    main()

"""Stands in for the AWS Lambda base image's entry point where that image cannot be pulled.

Speaks the part of the Lambda Runtime Interface Emulator that `docker run -p 9000:8080` and a local AWS use: a POST to
/2015-03-31/functions/function/invocations calls the handler and answers with what it returns.
"""

import importlib
import json
import os
import sys
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
module, _, name = sys.argv[1].rpartition(".")
function = getattr(importlib.import_module(module), name)


class Invocations(BaseHTTPRequestHandler):
    """One invocation a request."""

    def do_POST(self):
        event = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {}
        try:
            result = function(json.loads(event or b"{}"), None)
        except Exception as error:
            traceback.print_exc()
            headers["x-amz-function-error"] = "Unhandled"
            result = {"errorMessage": str(error), "errorType": type(error).__name__}
        body = json.dumps(result).encode()
        self.send_response(200)
        for key, value in {"content-type": "application/json", "content-length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        print(format % args, file=sys.stderr, flush=True)


ThreadingHTTPServer(("", 8080), Invocations).serve_forever()

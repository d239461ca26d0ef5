#!/usr/bin/env python3
"""Draws the dashboards without Grafana: a read-only page over the same JSON and a Prometheus, on loopback.

    python3 k8s/dashboards/serve.py --port 3000 --prometheus http://127.0.0.1:9090
"""

from __future__ import annotations

import argparse
import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).resolve().parent
DASHBOARDS = HERE.parent / "charts" / "golden" / "dashboards"
#: In the order of the tabs.
ORDER = ["system", "peer-review", "budgets", "sandbox", "breakers", "releases"]
QUERY_SECONDS_MAX = 15
ANSWER_BYTES_MAX = 16 << 20
PATH_BYTES_MAX = 8 << 10


def dashboards() -> bytes:
    found = {path.stem: json.loads(path.read_text()) for path in DASHBOARDS.glob("*.json")}
    names = [name for name in ORDER if name in found] + sorted(set(found) - set(ORDER))
    return json.dumps([{"name": name, **found[name]} for name in names]).encode()


class Handler(BaseHTTPRequestHandler):
    prometheus = ""
    timeout = 30

    def do_GET(self) -> None:  # noqa: N802, the library's name for it
        path, _, query = self.path.partition("?")
        if len(self.path) > PATH_BYTES_MAX:
            self.answer(414, b"too long", "text/plain")
        elif path == "/":
            self.answer(200, (HERE / "page.html").read_bytes(), "text/html; charset=utf-8")
        elif path == "/dashboards":
            self.answer(200, dashboards(), "application/json")
        elif path == "/-/ready":
            self.answer(200, b"ready", "text/plain")
        elif path == "/api/v1/query_range":
            # Nothing else of Prometheus is passed on.
            self.pass_on(query)
        else:
            self.answer(404, b"not found", "text/plain")

    def pass_on(self, query: str) -> None:
        url = f"{self.prometheus}/api/v1/query_range?{query}"
        try:
            with urllib.request.urlopen(url, timeout=QUERY_SECONDS_MAX) as response:
                self.answer(200, response.read(ANSWER_BYTES_MAX), "application/json")
        except urllib.error.HTTPError as error:
            self.answer(error.code, error.read(ANSWER_BYTES_MAX), "application/json")
        except OSError as error:
            body = json.dumps({"status": "error", "error": f"Prometheus does not answer: {error}"})
            self.answer(502, body.encode(), "application/json")

    def answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Content-Security-Policy", "default-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing of requests that went well."""

    def log_error(self, format: str, *arguments: object) -> None:
        print(format % arguments, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Draws the dashboards without Grafana.")
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090", help="its base URL")
    options = parser.parse_args()
    Handler.prometheus = options.prometheus.rstrip("/")
    server = ThreadingHTTPServer(("127.0.0.1", options.port), Handler)
    server.daemon_threads = True
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Receives Golden's webhooks: checks each signature, passes over repetitions, prints what it accepts.

    GOLDEN_WEBHOOK_SECRET=whsec_... python3 webhooks_receiver.py 9000

Needs nothing but Python. Several secrets, separated by spaces, may be valid at once while one is rotated.
"""
import base64
import hashlib
import hmac
import json
import os
import sys
import time
from collections import OrderedDict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOLERANCE_SECONDS = 300
BODY_BYTES_MAX = 1 << 20
IDS_KEPT = 10_000


def is_genuine(secrets, headers, body, now):
    """Whether one of the signatures is made with one of the secrets, a short while ago at most."""
    message_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not message_id or not timestamp.isdecimal() or abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    signed = f"{message_id}.{timestamp}.".encode() + body
    found = [s[3:] for s in headers.get("webhook-signature", "").split(" ") if s.startswith("v1,")]
    for secret in secrets:
        key = base64.b64decode(secret.removeprefix("whsec_"))
        wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        if any(hmac.compare_digest(wanted.encode(), signature.encode()) for signature in found):
            return True
    return False


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    secrets = []
    # A real receiver keeps the ids it has handled where it keeps what they caused, in the same transaction.
    seen = OrderedDict()

    def do_POST(self):
        length = self.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > BODY_BYTES_MAX:
            self.close_connection = True
            return self.answer(413)
        body = self.rfile.read(int(length))
        if not is_genuine(self.secrets, self.headers, body, time.time()):
            return self.answer(401)
        message_id = self.headers["webhook-id"]
        if message_id not in self.seen:
            event = json.loads(body)
            print(f"{message_id} {event['type']} {event['data']['task_id']}", flush=True)
            self.seen[message_id] = True
            if len(self.seen) > IDS_KEPT:
                self.seen.popitem(last=False)
        # Answered at once: what takes long is done afterwards.
        self.answer(204)

    def answer(self, status):
        self.send_response(status)
        if status != 204:
            self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, form, *args):
        pass


def main():
    secrets = os.environ.get("GOLDEN_WEBHOOK_SECRET", "").split()
    if len(sys.argv) != 2 or not sys.argv[1].isdecimal() or not secrets:
        sys.exit(__doc__)
    Receiver.secrets = secrets
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver)
    print(f"listening on port {server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()

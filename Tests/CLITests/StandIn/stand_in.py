"""What the stand-ins have in common: they serve the socket that the supervisor passes, as descriptor 3, or a port."""
import http.server, json, os, signal, socket

class Healthy(http.server.BaseHTTPRequestHandler):
    def log_message(self, *a): pass
    def do_GET(self):
        data = json.dumps({"status": "ok", "version": "stand-in"}).encode()
        self.send_response(200); self.send_header("content-length", str(len(data))); self.end_headers(); self.wfile.write(data)

def serve(handler=Healthy):
    is_passed = (os.environ.get("LISTEN_PID"), os.environ.get("LISTEN_FDS")) == (str(os.getpid()), "1")
    port = 0 if is_passed else int(os.environ["GOLDEN_HTTP_PORT"])
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler, bind_and_activate=not is_passed)
    if is_passed:
        server.socket.close()
        server.socket = socket.socket(fileno=3)
    signal.signal(signal.SIGTERM, lambda *a: os._exit(0))
    server.serve_forever()

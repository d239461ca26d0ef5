import Foundation
import TestSupport

/// Answers as Prometheus does, about any range: so many series, each with a sample in every step that was asked for,
/// which counts one more than in the step before.
final class ManySeries: Sendable {
    let url: String
    private let server: ServerProcess

    private static let program = """
        import sys, urllib.parse
        from http.server import BaseHTTPRequestHandler, HTTPServer

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                text = self.rfile.read(int(self.headers["content-length"])).decode()
                form = urllib.parse.parse_qs(text)
                start, end, step = (float(form[name][0]) for name in ("start", "end", "step"))
                count = int((end - start) / step + 0.001) + 1
                times = [start + step * number for number in range(count)]
                values = ",".join('[%.3f,"%d"]' % (time, time // step) for time in times)
                series = ('{"metric":{"number":"%d"},"values":[%s]}' % (one, values) for one in range(int(sys.argv[2])))
                body = '{"status":"success","data":{"resultType":"matrix","result":[%s]}}' % ",".join(series)
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *arguments):
                pass

        HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
        """

    static func started(_ count: Int) async throws -> ManySeries {
        try await blocking { try ManySeries(count) }
    }

    private init(_ count: Int) throws {
        let port = freePort()
        url = "http://127.0.0.1:\(port)"
        server = ServerProcess(
            "/usr/bin/python3", ["-c", Self.program, "\(port)", "\(count)"],
            logFile: try temporaryFolder("series").appending(path: "log"))
        try server.start(within: .seconds(30)) { accepts(port: port) }
    }
}

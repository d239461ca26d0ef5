import Foundation
import TestSupport

/// Answers as Prometheus does, about any time: so many series at once, each with a sample in every step that was asked
/// for, which counts one more than in the step before. They are of one process after the other, each with its own
/// `up` and `process_start_time_seconds`. There is no canary, and nothing fails.
final class ManySeries: Sendable {
    let url: String
    private let server: ServerProcess

    private static let program = """
        import math, re, sys, urllib.parse
        from http.server import BaseHTTPRequestHandler, HTTPServer

        port, count, life = (int(word) for word in sys.argv[1:])
        asked = 0

        def times(form):
            if "start" in form:
                start, end, step = (float(form[name]) for name in ("start", "end", "step"))
                return [start + step * number for number in range(int((end - start) / step + 0.001) + 1)], step
            end, seconds = float(form["time"]), int(re.search(r"\\[(\\d+)s\\]$", form["query"])[1])
            return [30 * number for number in range(math.ceil((end - seconds) / 30), int(end / 30) + 1)], 30

        def result(form):
            metric = re.match(r"\\w+", form["query"])[0]
            if 'track="canary"' in form["query"] or metric == "failures_total":
                return
            processes = {}
            moments, step = times(form)
            for moment in moments:
                processes.setdefault(int(moment // life), []).append(moment)
            for process, moments in processes.items():
                began = process * life
                values = {"up": lambda _: 1, "process_start_time_seconds": lambda _: began}
                value = values.get(metric, lambda moment: (moment - began) // step)
                points = ",".join('[%.3f,"%d"]' % (moment, value(moment)) for moment in moments)
                for number in range(1 if metric in values else count):
                    label = "" if metric in values else ',"number":"%d"' % number
                    yield '{"metric":{"instance":"process-%d"%s},"values":[%s]}' % (process, label, points)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                global asked
                asked += 1
                text = self.rfile.read(int(self.headers["content-length"])).decode()
                form = {name: values[0] for name, values in urllib.parse.parse_qs(text).items()}
                series = ",".join(result(form))
                self.answer('{"status":"success","data":{"resultType":"matrix","result":[%s]}}' % series)

            def do_GET(self):
                self.answer(str(asked))

            def answer(self, body):
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *arguments):
                pass

        HTTPServer(("127.0.0.1", port), Handler).serve_forever()
        """

    /// - Parameter lifeSeconds: of each process; the first begins at the epoch.
    static func started(_ count: Int, lifeSeconds: Int = 1 << 40) async throws -> ManySeries {
        try await blocking { try ManySeries(count, lifeSeconds) }
    }

    private init(_ count: Int, _ lifeSeconds: Int) throws {
        let port = freePort()
        url = "http://127.0.0.1:\(port)"
        server = ServerProcess(
            "/usr/bin/python3", ["-c", Self.program, "\(port)", "\(count)", "\(lifeSeconds)"],
            logFile: try temporaryFolder("series").appending(path: "log"))
        try server.start(within: .seconds(30)) { accepts(port: port) }
    }

    /// How often it was asked for samples.
    func asked() async throws -> Int? {
        let url = url
        return try await blocking { Int(try Command.run("curl", ["-s", url + "/asked"]).output) }
    }
}

/// One scrape in Prometheus' text format (0.0.4, and OpenMetrics as far as it is the same).
struct MetricsText: Sendable {
    struct Line: Sendable, Equatable {
        let metric: String
        let labels: [String: String]
        let value: Double
    }

    static let linesMax = 500_000

    let lines: [Line]

    /// - Throws: `badAnswer` naming the line; also when the text ends in the middle of one, as a scrape does that was
    ///   cut off.
    init(parsing text: String, from target: String) throws(GateError) {
        guard text.isEmpty || text.utf8.last == UInt8(ascii: "\n") else {
            throw GateError(.badAnswer, "\(target): the scrape ends in the middle of a line.")
        }
        var lines: [Line] = []
        for (number, line) in text.utf8.split(separator: UInt8(ascii: "\n")).enumerated() {
            let line = Substring(line)
            if line.hasPrefix("#") || line.allSatisfy({ $0 == " " || $0 == "\r" }) { continue }
            guard lines.count < Self.linesMax, let parsed = Self.parse(line) else {
                throw GateError(.badAnswer, "\(target): line \(number + 1) is no sample: \(line.prefix(80))")
            }
            lines.append(parsed)
        }
        self.lines = lines
    }

    private static func parse(_ line: Substring) -> Line? {
        var scanner = LabelScanner(line)
        guard let metric = scanner.name(allowsColon: true) else { return nil }
        var labels: [String: String] = [:]
        if scanner.take("{") {
            while !scanner.take("}") {
                scanner.skipSpace()
                guard let label = scanner.name(allowsColon: false), scanner.take("="), let value = scanner.quoted()
                else { return nil }
                labels[label] = value
                _ = scanner.take(",")
                scanner.skipSpace()
            }
        }
        // After the value may stand a time, which is the exporter's; the gate goes by its own clock.
        let words = scanner.remainder.split(whereSeparator: { $0 == " " || $0 == "\t" || $0 == "\r" })
        guard let word = words.first, words.count <= 2, let value = PrometheusNumber.value(word) else { return nil }
        return Line(metric: metric, labels: labels, value: value)
    }
}

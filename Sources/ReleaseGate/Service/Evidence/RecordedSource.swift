internal import Contracts
package import FoundationEssentials

/// Evidence from a file: what was recorded earlier, or what another tool measured and wrote in the same form.
package struct RecordedSource: EvidenceSource {
    package let name: String
    let history: SampleHistory

    package init(_ history: SampleHistory, name: String) {
        self.history = history
        self.name = name
    }

    package init(file path: String) throws(GateError) {
        let bytes = try GateFiles.read(path)
        do { history = try SampleHistory(json: try JSON(parsing: bytes)) } catch {
            throw GateError(.invalid, "\(path) is no recorded evidence.", underlying: error)
        }
        name = path
    }

    package func read(
        _ selectors: [SeriesSelector], from start: Date, to end: Date
    ) async throws(GateError) -> [SelectorReading] {
        selectors.map { history.read($0, from: start, to: end) }
    }
}

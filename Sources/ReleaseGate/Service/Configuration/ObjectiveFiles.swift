internal import Contracts
internal import ReleaseGateCore

/// Objectives from OpenSLO v1 files: one file, or every `.yaml` of a folder.
enum ObjectiveFiles {
    static func load(_ path: String) throws(GateError) -> [ServiceLevelObjective] {
        let names = try path.hasSuffix(".yaml") ? [] : GateFiles.names(in: path).filter { $0.hasSuffix(".yaml") }
        var objectives: [ServiceLevelObjective] = []
        for file in path.hasSuffix(".yaml") ? [path] : names.map({ "\(path)/\($0)" }) {
            for json in try YAMLDocument.all(in: file) {
                do { objectives.append(try objective(json)) } catch let error as GateError {
                    throw GateError(error.code, "\(file): \(error.message)")
                } catch {
                    throw GateError(.invalid, "\(file): \(error)")
                }
            }
        }
        guard !objectives.isEmpty else { throw GateError(.invalid, "\(path) holds no objective.") }
        for objective in objectives {
            _ = try CounterExpression(parsing: objective.indicator.bad)
            _ = try CounterExpression(parsing: objective.indicator.total)
            if let callers = objective.indicator.callers { _ = try SeriesSelector(parsing: callers) }
        }
        return objectives
    }

    /// `kind: SLO` with one objective and a ratio of bad over total.
    private static func objective(_ json: JSON) throws -> ServiceLevelObjective {
        var reader = try JSONReader(json)
        guard try reader.string("apiVersion") == "openslo/v1", try reader.string("kind") == "SLO" else {
            throw reader.error("kind", "must be SLO, of apiVersion openslo/v1")
        }
        var metadata = try JSONReader(try reader.required("metadata"), path: "metadata")
        var spec = try JSONReader(try reader.required("spec"), path: "spec")
        let ratio = try ratio(&spec)
        guard let objectives = try spec.optionalObjects("objectives", atMost: 1), objectives.count == 1 else {
            throw spec.error("objectives", "must be one")
        }
        var target = objectives[0]
        guard let budget = try target.optionalDouble("target").flatMap({ ErrorBudget(target: $0) }) else {
            throw target.error("target", "must be between 0 and 1, in steps of a millionth")
        }
        let annotations = metadata.optional("annotations")?.fields ?? []
        func annotation<Word: RawRepresentable<String>>(_ name: String, _ fallback: Word) throws -> Word {
            guard let text = annotations.first(where: { $0.name == name })?.value.string else { return fallback }
            guard let word = Word(rawValue: text) else {
                throw GateError(.invalid, "the annotation \(name) is \"\(text)\", which means nothing here")
            }
            return word
        }
        return ServiceLevelObjective(
            name: try metadata.string("name"), service: try spec.string("service"),
            indicator: ServiceLevelObjective.Indicator(
                bad: ratio.bad, total: ratio.total,
                callers: annotations.first { $0.name == "gate/callers" }?.value.string),
            budget: budget,
            windowDays: try windowDays(&spec),
            class: try annotation("gate/class", ServiceLevelObjective.Class.blocking),
            comparison: try annotation("gate/compare", ServiceLevelObjective.Comparison.baseline))
    }

    private static func ratio(_ spec: inout JSONReader) throws -> (bad: String, total: String) {
        var indicator = try JSONReader(try spec.required("indicator"), path: "spec.indicator")
        var inner = try JSONReader(try indicator.required("spec"), path: "spec.indicator.spec")
        var ratio = try JSONReader(try inner.required("ratioMetric"), path: "spec.indicator.spec.ratioMetric")
        func query(_ name: String) throws -> String {
            var metric = try JSONReader(try ratio.required(name), path: name)
            var source = try JSONReader(try metric.required("metricSource"), path: "\(name).metricSource")
            var place = try JSONReader(try source.required("spec"), path: "\(name).metricSource.spec")
            return try place.string("query")
        }
        return (try query("bad"), try query("total"))
    }

    /// `30d`, rolling.
    private static func windowDays(_ spec: inout JSONReader) throws -> Int {
        guard let windows = try spec.optionalObjects("timeWindow", atMost: 1), var window = windows.first else {
            return 30
        }
        let duration = try window.string("duration")
        guard duration.hasSuffix("d"), let days = Int(duration.dropLast()), (1...365).contains(days) else {
            throw window.error("duration", "must be a number of days, such as 30d")
        }
        return days
    }
}

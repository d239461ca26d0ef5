internal import Contracts
package import ReleaseGateCore

/// `Chart.yaml`, changed line by line so that its comments and order stay.
package struct ChartFile: Sendable, Equatable {
    package let text: String
    package let name: String
    package let version: Version
    package let appVersion: Version
    package let annotations: [String: String]

    /// What breaks, by the chart's own annotation; nil where it says that nothing does.
    package var breaking: String? {
        annotations["golden.dev/breaking-changes"].flatMap { $0.isEmpty || $0 == "none" ? nil : $0 }
    }

    /// - Throws: `invalid` naming what is missing.
    package init(text: String, from path: String) throws(GateError) {
        self.text = text
        let documents = try YAMLDocument.parse(text, from: path)
        guard documents.count == 1 else { throw GateError(.invalid, "\(path) is not one YAML document.") }
        func field(_ name: String) throws(GateError) -> String {
            // A version such as 1.10 without quotes would be a number.
            guard let value = documents[0].fields?.first(where: { $0.name == name })?.value.string else {
                throw GateError(.invalid, "\(path) has no \(name), or it is no text.")
            }
            return value
        }
        name = try field("name")
        guard let version = Version(try field("version")) else {
            throw GateError(.invalid, "\(path): version is no semantic version.")
        }
        guard let appVersion = Version(try field("appVersion")) else {
            throw GateError(.invalid, "\(path): appVersion is no semantic version.")
        }
        self.version = version
        self.appVersion = appVersion
        let fields = documents[0].fields?.first { $0.name == "annotations" }?.value.fields ?? []
        annotations = Dictionary(fields.map { ($0.name, $0.value.string ?? $0.value.text) }) { first, _ in first }
    }

    /// The same chart with both versions moved together.
    package func bumped(to version: Version) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            if line.hasPrefix("version:") { return "version: \(version)" }
            if line.hasPrefix("appVersion:") { return "appVersion: \"\(version)\"" }
            return String(line)
        }.joined(separator: "\n")
    }
}

/// `CHANGELOG.md` in the form of Keep a Changelog, as far as cutting a release changes it.
package enum ChangelogEdit {
    private static let unreleased = "## [Unreleased]"

    /// Whether the version has its heading.
    package static func has(_ version: Version, in text: String) -> Bool {
        text.split(separator: "\n").contains { $0.hasPrefix("## [\(version)]") }
    }

    /// Puts the release's heading under `[Unreleased]`, so that what was collected there becomes its entry.
    ///
    /// - Throws: `refused` when nothing was collected, or the version has an entry already.
    package static func cut(_ text: String, version: Version, date: String) throws(GateError) -> String {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        guard !has(version, in: text) else {
            throw GateError(.refused, "The changelog has an entry for \(version) already.")
        }
        guard let start = lines.firstIndex(where: { $0.lowercased() == unreleased.lowercased() }) else {
            throw GateError(
                .invalid, "The changelog has no \(unreleased).", next: "https://keepachangelog.com/en/1.1.0/")
        }
        let rest = lines[(start + 1)...]
        let end = rest.firstIndex { $0.hasPrefix("## ") } ?? lines.endIndex
        guard lines[(start + 1)..<end].contains(where: { $0.hasPrefix("- ") || $0.hasPrefix("* ") }) else {
            throw GateError(.refused, "Nothing stands under \(unreleased): a release without changes is none.")
        }
        lines.insert(contentsOf: ["", "## [\(version)] - \(date)"], at: start + 1)
        return lines.joined(separator: "\n")
    }
}

package import Contracts
internal import FoundationEssentials
package import ReleaseGateCore

/// Reads `helm history RELEASE -o json`, so that `--history-max=10` loses nothing: what Helm forgets is in the lineage.
package enum HelmHistory {
    /// One event for each revision, oldest first. Entries that are in the lineage already are told by their revision.
    ///
    /// - Throws: `invalid` naming the revision that cannot be read.
    package static func events(
        _ json: JSON, environment: DeployEnvironment, actor: String
    ) throws(GateError) -> [LineageEntry.Event] {
        guard let revisions = json.array else {
            throw GateError(.invalid, "Helm's history is a list of revisions.", next: "helm history RELEASE -o json")
        }
        var events: [(revision: Int, event: LineageEntry.Event)] = []
        for json in revisions {
            do {
                var reader = try JSONReader(json)
                let revision = try reader.int("revision")
                let chart = try reader.string("chart")
                let updated = try reader.string("updated")
                guard let version = version(ofChart: chart) else {
                    throw GateError(.invalid, "revision \(revision): \(chart) has no version at its end")
                }
                guard let at = seconds(updated) else {
                    throw GateError(.invalid, "revision \(revision): \(updated) is no time")
                }
                let status = try reader.optionalString("status") ?? ""
                let words = [status, try reader.optionalString("description") ?? ""].filter { !$0.isEmpty }
                events.append(
                    (
                        revision,
                        LineageEntry.Event(
                            atSeconds: at, environment: environment, version: version, digests: [], kind: .imported,
                            actor: actor, reason: "helm: \(words.joined(separator: "; "))", revision: "\(revision)")
                    ))
            } catch let error as GateError {
                throw GateError(.invalid, "Helm's history, \(error.message).")
            } catch {
                throw GateError(.invalid, "Helm's history cannot be read.", underlying: error)
            }
        }
        return events.sorted { $0.revision < $1.revision }.map(\.event)
    }

    /// `golden-1.2.0-rc.1`: the version begins at the first dash that a whole version follows.
    static func version(ofChart chart: String) -> Version? {
        var rest = chart[...]
        while let dash = rest.firstIndex(of: "-") {
            rest = rest[rest.index(after: dash)...]
            if let version = Version(String(rest)) { return version }
        }
        return nil
    }

    /// RFC 3339 as Go writes it, with up to nine digits of fraction: `2026-11-28T10:11:12.123456789Z`, `…+01:00`.
    static func seconds(_ text: String) -> Int? {
        let dot = text.firstIndex(of: ".")
        let zone = dot.flatMap { dot in text[dot...].firstIndex { $0 == "Z" || $0 == "+" || $0 == "-" } }
        let whole = if let dot, let zone { String(text[..<dot] + text[zone...]) } else { text }
        do { return Int(try Date.ISO8601FormatStyle().parse(whole).timeIntervalSince1970) } catch { return nil }
    }
}

package import Contracts
package import FoundationEssentials

/// Which alerts about dead letters are on, and which sinks still have to hear of it. Pure.
///
/// An alert is told once when it begins, told again every `repeatAfter` while it lasts, and told once when it is over.
package struct AlertBook: Sendable, Equatable {
    package enum Name: String, Sendable, CaseIterable {
        /// More unresolved letters than anybody should have.
        case manyDeadLetters = "DeadLettersPilingUp"
        /// Letters on subjects that may not wait.
        case criticalSubject = "DeadLettersOnCriticalSubject"
    }

    /// One alert as sinks are told of it.
    package struct Notice: Sendable, Equatable {
        package let name: Name
        package let severity: Severity
        package let count: Int
        package let startsAt: Date
        /// Nil while it lasts.
        package let endsAt: Date?
    }

    package struct Thresholds: Sendable, Equatable {
        package var warning = 10
        package var critical = 100

        package init(warning: Int = 10, critical: Int = 100) {
            self.warning = warning
            self.critical = critical
        }
    }

    package static let repeatAfter: TimeInterval = 60

    private struct Entry: Sendable, Equatable {
        var severity: Severity
        var startsAt: Date
        var toldAt: Date
    }

    private let thresholds: Thresholds
    private var on: [Name: Entry] = [:]

    package init(thresholds: Thresholds = Thresholds()) {
        self.thresholds = thresholds
    }

    /// What sinks have to be told, now that so many letters are unresolved.
    package mutating func update(unresolved: Int, critical: Int, now: Date) -> [Notice] {
        var told: [Notice] = []
        let wanted: [(name: Name, severity: Severity?, count: Int)] = [
            (.manyDeadLetters, severity(of: unresolved), unresolved),
            (.criticalSubject, critical > 0 ? .critical : nil, critical),
        ]
        for (name, severity, count) in wanted {
            switch (on[name], severity) {
            case (nil, nil): break
            case (let entry?, nil):
                on[name] = nil
                told.append(
                    Notice(name: name, severity: entry.severity, count: count, startsAt: entry.startsAt, endsAt: now))
            case (let entry, let severity?):
                let startsAt = entry?.startsAt ?? now
                // Another severity is another alert: the one before is over.
                if let entry, entry.severity != severity {
                    told.append(
                        Notice(name: name, severity: entry.severity, count: count, startsAt: startsAt, endsAt: now))
                } else if let entry, now.timeIntervalSince(entry.toldAt) < Self.repeatAfter {
                    continue
                }
                on[name] = Entry(severity: severity, startsAt: startsAt, toldAt: now)
                told.append(Notice(name: name, severity: severity, count: count, startsAt: startsAt, endsAt: nil))
            }
        }
        return told
    }

    private func severity(of count: Int) -> Severity? {
        if count > thresholds.critical { return .critical }
        return count > thresholds.warning ? .warning : nil
    }
}

/// A pair of windows in which a budget must not be used up faster than so many times its even pace.
///
/// Both windows must exceed the factor: the long one says that it matters, the short one that it still goes on (Google
/// SRE workbook, "Alerting on SLOs", multiwindow and multi-burn-rate).
package struct BurnRule: Sendable, Equatable, Codable {
    /// What a burn means for releases and people.
    package enum Severity: String, Sendable, Codable, CaseIterable {
        /// Somebody is called; during a canary it can roll the release back.
        case page
        /// No new release begins.
        case holdReleases
        /// Somebody looks at it in working hours.
        case ticket
    }

    package let longSeconds: Int
    package let shortSeconds: Int
    /// Thousandths of the even pace: 14,400 is 14.4 times.
    package let factorThousandths: Int
    package let severity: Severity

    package init(longSeconds: Int, shortSeconds: Int, factorThousandths: Int, severity: Severity) {
        self.longSeconds = longSeconds
        self.shortSeconds = shortSeconds
        self.factorThousandths = factorThousandths
        self.severity = severity
    }

    /// The four rules of the design: 1h/5m 14.4 page; 6h/30m 6 page; 1d/2h 3 hold releases; 3d/6h 1 ticket.
    package static let standard: [BurnRule] = [
        BurnRule(longSeconds: 3600, shortSeconds: 300, factorThousandths: 14_400, severity: .page),
        BurnRule(longSeconds: 21_600, shortSeconds: 1800, factorThousandths: 6000, severity: .page),
        BurnRule(longSeconds: 86_400, shortSeconds: 7200, factorThousandths: 3000, severity: .holdReleases),
        BurnRule(longSeconds: 259_200, shortSeconds: 21_600, factorThousandths: 1000, severity: .ticket),
    ]
}

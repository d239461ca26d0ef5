internal import Contracts

/// Shares as people read them.
enum Percent {
    /// `10000` is `1%`, `12345` is `1.2345%`.
    static func text(partsPerMillion: Int) -> String { FixedPoint.text(partsPerMillion, places: 4) + "%" }

    /// A ratio of counts, rounded to a ten-thousandth of a percent.
    static func text(_ part: Int, of whole: Int) -> String {
        guard whole > 0 else { return "nothing" }
        return text(partsPerMillion: Int((Double(part) / Double(whole) * 1_000_000).rounded()))
    }
}

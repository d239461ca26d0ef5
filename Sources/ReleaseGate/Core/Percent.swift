internal import Contracts

/// Shares as people read them.
enum Percent {
    /// `10000` is `1%`, `12345` is `1.2345%`.
    static func text(partsPerMillion: Int) -> String { FixedPoint.text(partsPerMillion, places: 4) + "%" }

    /// A share, rounded to a ten-thousandth of a percent.
    static func text(_ share: Double) -> String { text(partsPerMillion: Int((share * 1_000_000).rounded())) }

    /// A ratio of counts; `nothing` of nothing.
    static func text(_ part: Int, of whole: Int) -> String {
        whole > 0 ? text(Double(part) / Double(whole)) : "nothing"
    }
}

/// Numbers as people read them.
enum Decimal {
    static func text(thousandths: Int) -> String { FixedPoint.text(thousandths, places: 3) }

    /// A factor or multiple, rounded to a hundredth.
    static func text(_ value: Double) -> String {
        guard value.isFinite, abs(value) < 1e12 else { return value > 0 ? "beyond all bounds" : "nothing" }
        return FixedPoint.text(Int((value * 100).rounded()), places: 2)
    }
}

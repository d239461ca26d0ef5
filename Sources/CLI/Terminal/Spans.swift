/// Times as people say them.
enum Spans {
    /// Ten years: longer than anything is waited for, and short enough to be added to any time.
    static let secondsMax = 10 * 365 * 86_400

    /// `850 ms`, `4.2 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`.
    static func text(seconds: Double) -> String {
        switch seconds {
        case ..<1: return "\(Int((max(0, seconds) * 1000).rounded())) ms"
        case ..<10: return "\(Double(Int(seconds * 10)) / 10) s"
        case ..<60: return "\(Int(seconds)) s"
        case ..<3600: return pair(Int(seconds), 60, "min", 1, "s")
        case ..<86_400: return pair(Int(seconds), 3600, "h", 60, "min")
        default: return pair(Int(seconds), 86_400, "d", 3600, "h")
        }
    }

    private static func pair(_ seconds: Int, _ big: Int, _ bigName: String, _ small: Int, _ smallName: String) -> String
    {
        let rest = seconds % big / small
        return "\(seconds / big) \(bigName)" + (rest > 0 ? " \(rest) \(smallName)" : "")
    }

    /// Reads `90`, `90s`, `15m`, `2h`, `7d`: seconds, at most `secondsMax`, or nil.
    static func seconds(_ text: String) -> Int? {
        let units: [Character: Int] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
        guard let last = text.last else { return nil }
        let factor = units[last]
        guard let number = Int(factor == nil ? text : String(text.dropLast())), number > 0 else { return nil }
        let (product, overflow) = number.multipliedReportingOverflow(by: factor ?? 1)
        return overflow || product > secondsMax ? nil : product
    }
}

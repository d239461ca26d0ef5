/// Tails of the binomial distribution, summed from their largest term.
enum Binomial {
    /// Terms below this share of the sum change nothing that is compared.
    private static let negligible = 1e-17

    /// P(X >= count) for `trials` with chance `share` each.
    static func upperTail(_ count: Int, of trials: Int, share: Double) -> Double {
        if count <= 0 { return 1 }
        if count > trials { return 0 }
        if Double(count) <= Double(trials) * share { return 1 - sumDown(from: count - 1, of: trials, share: share) }
        return sumUp(from: count, of: trials, share: share)
    }

    /// P(X <= count).
    static func lowerTail(_ count: Int, of trials: Int, share: Double) -> Double {
        if count < 0 { return 0 }
        if count >= trials { return 1 }
        if Double(count) >= Double(trials) * share { return 1 - sumUp(from: count + 1, of: trials, share: share) }
        return sumDown(from: count, of: trials, share: share)
    }

    private static func sumUp(from count: Int, of trials: Int, share: Double) -> Double {
        let odds = share / (1 - share)
        var (term, sum, current) = (1.0, 1.0, count)
        while current < trials {
            term *= Double(trials - current) / Double(current + 1) * odds
            sum += term
            if term < sum * negligible { break }
            current += 1
        }
        return min(1, sum * mass(count, of: trials, share: share))
    }

    private static func sumDown(from count: Int, of trials: Int, share: Double) -> Double {
        let odds = (1 - share) / share
        var (term, sum, current) = (1.0, 1.0, count)
        while current > 0 {
            term *= Double(current) / Double(trials - current + 1) * odds
            sum += term
            if term < sum * negligible { break }
            current -= 1
        }
        return min(1, sum * mass(count, of: trials, share: share))
    }

    private static func mass(_ count: Int, of trials: Int, share: Double) -> Double {
        let choices = Real.lnFactorial(trials) - Real.lnFactorial(count) - Real.lnFactorial(trials - count)
        return Real.exp(choices + Double(count) * Real.ln(share) + Double(trials - count) * Real.ln(1 - share))
    }
}

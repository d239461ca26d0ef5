import Testing

@testable import ReleaseGateCore

@Suite struct `Statistics` {
    @Test func `logarithm and exponential are what mathematics says`() {
        // From tables, to all digits of a double.
        #expect(abs(Real.ln(2) - 0.6931471805599453) < 1e-15)
        #expect(abs(Real.ln(10) - 2.302585092994046) < 1e-15)
        #expect(abs(Real.ln(0.05) - -2.995732273553991) < 1e-15)
        #expect(abs(Real.ln(1e-300) - -690.7755278982137) < 1e-12)
        #expect(Real.ln(1) == 0)
        #expect(abs(Real.exp(1) - 2.718281828459045) < 1e-15)
        #expect(Real.exp(-1000) == 0)
        for value in stride(from: -30.0, through: 30, by: 0.37) {
            #expect(abs(Real.ln(Real.exp(value)) - value) < 1e-13 * max(1, abs(value)))
        }
    }

    @Test func `a factorial's logarithm goes on smoothly where its formula changes`() {
        #expect(abs(Real.lnFactorial(10) - 15.104412573075516) < 1e-13)
        #expect(abs(Real.lnFactorial(170) - 706.5730622457874) < 1e-11)
        #expect(abs(Real.lnFactorial(21) - Real.lnFactorial(20) - Real.ln(21)) < 1e-13)
    }

    @Test func `the binomial's tails are exact`() {
        // Ten coins: 56 of 1024 ways give eight or more heads.
        #expect(abs(Binomial.upperTail(8, of: 10, share: 0.5) - 56.0 / 1024) < 1e-14)
        #expect(abs(Binomial.lowerTail(7, of: 10, share: 0.5) - 968.0 / 1024) < 1e-14)
        #expect(Binomial.upperTail(0, of: 10, share: 0.5) == 1)
        #expect(Binomial.lowerTail(10, of: 10, share: 0.5) == 1)
        // The two tails of any count are everything.
        for count in [1, 5, 30, 31, 90, 3000] {
            let both =
                Binomial.upperTail(count, of: 3000, share: 0.01) + Binomial.lowerTail(count - 1, of: 3000, share: 0.01)
            #expect(abs(both - 1) < 1e-12, "\(count)")
        }
    }

    @Test(arguments: [(10_000, 299), (50_000, 59), (1000, 2995)])
    func `a floor is what could just show something`(partsPerMillion: Int, floor: Int) throws {
        let budget = try #require(ErrorBudget(partsPerMillion: partsPerMillion))
        #expect(AbsoluteTest.floor(of: budget) == floor)
    }

    /// The limits are scipy's: beta.ppf(0.9875, bad + 1, n - bad) < 1% and beta.ppf(0.0125, bad, n - bad + 1) > 1%.
    @Test(arguments: [
        (3600, 21, AbsoluteTest.Verdict.provenGood), (3600, 140, .provenBad), (3600, 36, .undecided),
        (400, 0, .undecided), (500, 0, .provenGood), (0, 0, .undecided),
    ])
    func `a share is judged only when it is beyond doubt`(total: Int, bad: Int, verdict: AbsoluteTest.Verdict) throws {
        let budget = try #require(ErrorBudget(target: 0.99))
        let test = AbsoluteTest(Sample(total: total, bad: bad), budget: budget)
        #expect(test.verdict == verdict)
        #expect(test.verdict != .provenGood || test.bounds.upper <= budget.share)
        #expect(test.verdict != .provenBad || test.bounds.lower >= budget.share)
    }

    @Test func `bounds are Clopper and Pearson's`() throws {
        let budget = try #require(ErrorBudget(target: 0.99))
        // 10 of 100 at 1.25% on each side, by scipy.stats.beta.ppf.
        let bounds = AbsoluteTest(Sample(total: 100, bad: 10), budget: budget).bounds
        #expect(abs(bounds.lower - ClopperPearson.lower) < 1e-6)
        #expect(abs(bounds.upper - ClopperPearson.upper) < 1e-6)
        #expect(AbsoluteTest(Sample(total: 100, bad: 0), budget: budget).bounds.lower == 0)
        #expect(AbsoluteTest(Sample(total: 100, bad: 100), budget: budget).bounds.upper == 1)
    }

    @Test func `evidence against a canary grows with its failures alone`() {
        var test = RelativeTest()
        #expect(test.logEvidence == 0)
        for _ in 0..<10 { test.add(canary: Sample(total: 60, bad: 0), stable: Sample(total: 540, bad: 2)) }
        #expect(test.logEvidence < 0)
        for _ in 0..<8 { test.add(canary: Sample(total: 60, bad: 2), stable: Sample(total: 540, bad: 0)) }
        #expect(test.isWorse(indicators: 1, falseAlarmThousandths: 10))
        #expect(!test.isWorse(indicators: 100_000, falseAlarmThousandths: 10))
    }

    @Test func `one interval or four failures are no evidence`() {
        var burst = RelativeTest()
        burst.add(canary: Sample(total: 60, bad: 40), stable: Sample(total: 540, bad: 0))
        #expect(!burst.isWorse(indicators: 1, falseAlarmThousandths: 10))
        var few = RelativeTest()
        for _ in 0..<4 { few.add(canary: Sample(total: 60, bad: 1), stable: Sample(total: 5400, bad: 0)) }
        #expect(few.logEvidence > 10)
        #expect(!few.isWorse(indicators: 1, falseAlarmThousandths: 10))
    }

    @Test func `one caller's retries are one failure`() {
        var test = RelativeTest()
        for _ in 0..<10 {
            test.add(canary: Sample(total: 80, bad: 20, repeats: 20), stable: Sample(total: 540, bad: 1))
        }
        #expect(test.canary == Sample(total: 600, bad: 0))
        #expect(!test.isWorse(indicators: 1, falseAlarmThousandths: 10))
    }
}

/// scipy.stats.beta.ppf(0.0125, 10, 91) and (0.9875, 11, 90).
enum ClopperPearson {
    static let lower = 0.04383572295826903
    static let upper = 0.1877745405731404
}

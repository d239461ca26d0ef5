/// Logarithm, exponential and factorials from the four basic operations alone.
///
/// IEEE 754 fixes those to the last bit, a C library's `log` it does not: so a decision replayed on another machine
/// computes the same numbers.
enum Real {
    private static let ln2 = 0.693147180559945309417232121458176568
    private static let ln2High = 0.693147180369123816490
    private static let ln2Low = 1.90821492927058770002e-10
    private static let halfLnTwoPi = 0.918938533204672741780329736405617640

    /// The natural logarithm of a positive finite number, good to about 1e-15 relative.
    static func ln(_ value: Double) -> Double {
        precondition(value > 0 && value.isFinite, "a logarithm is of positive numbers")
        var exponent = Double(value.exponent)
        var mantissa = value.significand
        if mantissa > 1.41421356237309504880 {
            mantissa /= 2
            exponent += 1
        }
        // 2 artanh(t) by its series: |t| < 0.172, so that twelve terms reach a double's precision.
        let t = (mantissa - 1) / (mantissa + 1)
        let square = t * t
        let high = ((((1.0 / 23 * square + 1.0 / 21) * square + 1.0 / 19) * square + 1.0 / 17) * square + 1.0 / 15)
        let middle = ((((high * square + 1.0 / 13) * square + 1.0 / 11) * square + 1.0 / 9) * square + 1.0 / 7)
        let low = ((middle * square + 1.0 / 5) * square + 1.0 / 3) * square
        return exponent * ln2 + 2 * (t + t * low)
    }

    static func exp(_ value: Double) -> Double {
        if value < -745 { return 0 }
        if value > 709 { return .infinity }
        let power = (value / ln2).rounded()
        let rest = value - power * ln2High - power * ln2Low
        var sum = 1.0
        var term = 20.0
        while term >= 1 {
            sum = 1 + sum * rest / term
            term -= 1
        }
        return Double(sign: .plus, exponent: Int(power), significand: sum)
    }

    /// ln(n!), by Stirling's series above 20.
    static func lnFactorial(_ count: Int) -> Double {
        precondition(count >= 0, "a factorial is of counts")
        if count <= 20 { return count < 2 ? 0 : ln((2...count).reduce(1.0) { $0 * Double($1) }) }
        let x = Double(count) + 1
        let inverse = 1 / x
        let square = inverse * inverse
        let series = inverse * (1.0 / 12 - square * (1.0 / 360 - square * (1.0 / 1260 - square / 1680)))
        return (x - 0.5) * ln(x) - x + halfLnTwoPi + series
    }
}

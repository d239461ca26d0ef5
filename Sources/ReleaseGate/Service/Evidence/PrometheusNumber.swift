internal import Contracts
internal import FoundationEssentials

extension Int {
    /// Rounded, and held within a trillion: whoever is scraped may say NaN or 1e300, and what is counted is added up.
    init(bounded value: Double) {
        let most = 1e12
        self = value.isNaN ? 0 : Int(Swift.max(-most, Swift.min(value, most)).rounded())
    }
}

/// Prometheus' numbers in JSON: text, because JSON knows neither NaN nor infinity.
enum PrometheusNumber {
    static func text(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        return "\(value)"
    }

    static func value(_ text: some StringProtocol) -> Double? {
        switch text {
        case "NaN": .nan
        case "+Inf", "Inf": .infinity
        case "-Inf": -.infinity
        default: Double(text)
        }
    }

    /// A pair of seconds and a value in text, as the HTTP API answers.
    static func sample(_ json: JSON) -> SeriesSample? {
        guard let pair = json.array, pair.count == 2, let seconds = pair[0].double,
            let value = pair[1].string.flatMap({ value($0) })
        else { return nil }
        return SeriesSample(at: Date(timeIntervalSince1970: seconds), value: value)
    }
}

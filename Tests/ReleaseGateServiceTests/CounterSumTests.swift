import Foundation
import Testing

@testable import ReleaseGateService

/// One series in place of all that a selector has, for windows of days.
@Suite(.timeLimit(.minutes(10))) struct `Counters added up` {
    private static let step = 60.0

    private static func at(_ place: Int) -> Date {
        Date(timeIntervalSince1970: 1_793_491_200 + Double(place) * step)
    }

    /// - Parameter values: step by step; nil where there is no sample.
    private static func series(_ name: String, _ values: [Double?]) -> Series {
        let samples = values.enumerated().compactMap { place, value in
            value.map { SeriesSample(at: at(place), value: $0) }
        }
        return Series(labels: ["name": name], samples: samples)
    }

    /// In two pieces, both of which have the sample in their middle.
    private static func sum(_ all: [Series], zero: (Date) -> SeriesSample? = { _ in nil }) -> SelectorReading {
        var sum = CounterSum(from: at(0), to: at(9), step: step)
        for (first, last) in [(0, 5), (5, 9)] {
            for one in all {
                let samples = one.samples.filter { $0.at >= at(first) && $0.at <= at(last) }
                sum.add(Series(labels: one.labels, samples: samples), zero: zero)
            }
        }
        return SelectorReading(series: sum.series)
    }

    private static func count(_ reading: SelectorReading, _ first: Int, _ last: Int) -> CounterReading {
        CounterReading(reading, from: at(first), to: at(last), spansRestarts: true)
    }

    @Test func `count in every window what each of them does`() {
        let all = [
            Self.series("steady", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
            Self.series("restarts", [5, 6, 1, 2, 0, 3, 3, 3, 9, 1]),
            Self.series("late", [nil, nil, nil, 4, 4, 5, nil, nil, 7, 8]),
            Self.series("ends", [10, 11, nil, 12, nil, nil, nil, nil, nil, nil]),
        ]
        let (each, together) = (SelectorReading(series: all), Self.sum(all))
        #expect(together.series.map(\.samples.count) == [10])
        for first in 0..<9 {
            for last in (first + 1)...9 {
                let (wanted, got) = (Self.count(each, first, last), Self.count(together, first, last))
                #expect(got == wanted, "\(first) to \(last)")
            }
        }
    }

    @Test func `count from zero what is known to have begun`() {
        let reading = Self.sum([Self.series("new", [nil, nil, 4, 5])]) { first in
            SeriesSample(at: first.addingTimeInterval(-30), value: 0)
        }
        #expect(Self.count(reading, 0, 3) == .counted(5))
        #expect(Self.count(reading, 2, 3) == .counted(1))
        #expect(Self.count(Self.sum([Self.series("new", [nil, nil, 4, 5])]), 0, 3) == .counted(1))
    }

    @Test func `are no number where one of them has none`() {
        let reading = Self.sum([Self.series("steady", [0, 1, 2, 3]), Self.series("odd", [1, .nan, 3, 4])])
        #expect(Self.count(reading, 0, 3) == .notANumber)
        #expect(Self.count(reading, 2, 3) == .counted(2))
    }

    @Test func `count on after a number beyond all counts, and take none from outside`() {
        let mad = Self.series("mad", [0, 1e300, 1e300, -1e300])
        let reading = Self.sum([mad, Self.series("steady", [0, 1, 2, 3])])
        #expect(Self.count(reading, 0, 1) == .counted(CounterSum.increaseMax))
        #expect(Self.count(reading, 1, 2) == .counted(1))
        var sum = CounterSum(from: Self.at(0), to: Self.at(9), step: Self.step)
        for place in [-1e300, -1, 10, 1e300] {
            let outside = SeriesSample(at: Self.at(0).addingTimeInterval(place * Self.step), value: 7)
            sum.add(Series(labels: [:], samples: [outside])) { _ in nil }
        }
        #expect(sum.series.isEmpty)
    }

    /// Endpoints may move what they are asked for onto a grid of their own, which begins before ours.
    @Test func `count on from a sample before the grid`() {
        let samples = (0...9).map { place in
            SeriesSample(at: Self.at(place).addingTimeInterval(-0.6 * Self.step), value: Double(100 + place))
        }
        var sum = CounterSum(from: Self.at(0), to: Self.at(9), step: Self.step)
        sum.add(Series(labels: [:], samples: samples)) { SeriesSample(at: $0.addingTimeInterval(-30), value: 0) }
        #expect(sum.series.first?.samples.map(\.value) == (1...9).map { Double($0) })
    }
}

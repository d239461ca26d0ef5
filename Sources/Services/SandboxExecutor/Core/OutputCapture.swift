package import Contracts

/// What is kept of one stream: all of it up to a bound, and beyond that its first three quarters and its end.
package struct OutputCapture: Sendable {
    /// The first bytes; grows up to `headMax`.
    package private(set) var head: [UInt8] = []
    package private(set) var bytesTotal = 0
    package let headMax: Int
    private let tailMax: Int
    private var rest: [UInt8] = []

    package init(keeping max: Int) {
        tailMax = max / 4
        headMax = max - tailMax
    }

    package mutating func append(_ bytes: ArraySlice<UInt8>) {
        bytesTotal += bytes.count
        let room = headMax - head.count
        head += bytes.prefix(room)
        rest += bytes.dropFirst(room).suffix(tailMax)
        // Twice the bound, so that a byte is moved once on average.
        if rest.count > 2 * tailMax { rest.removeFirst(rest.count - tailMax) }
    }

    /// Cut between characters where it is UTF-8.
    package var output: SandboxOutcome.Output {
        guard bytesTotal > headMax + tailMax else {
            return SandboxOutcome.Output(head: head + rest, bytesTotal: bytesTotal)
        }
        return SandboxOutcome.Output(
            head: OutputText.wholeScalars(head, atEnd: true),
            tail: OutputText.wholeScalars(rest.suffix(tailMax), atEnd: false), bytesTotal: bytesTotal
        )
    }
}

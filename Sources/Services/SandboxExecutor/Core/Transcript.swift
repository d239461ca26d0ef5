package import Contracts

/// What a run wrote, as it is kept and as it is told while it runs.
///
/// Events show each stream's beginning as it comes, in pieces cut between characters, until there are `piecesMax`; what
/// remains (and the end, when something was cut before it) is told at the end. The sizes of the pieces are kept with
/// the result, so that the very same events can be made from it later.
package struct Transcript: Sendable {
    /// Of one event.
    package static let pieceBytesMax = 32 << 10
    /// Told of one try while it runs, however small they are.
    package static let piecesMax = 10_000

    private let execution: ExecutionID
    private let base: Int
    private var captures: [SandboxEvent.Stream: OutputCapture]
    /// Of each stream, how much of its head was told.
    private var told: [SandboxEvent.Stream: Int] = [:]
    /// Captured and not yet told, in the order it came.
    private var untold: [(stream: SandboxEvent.Stream, count: Int)] = []
    package private(set) var pieces = Pieces()

    /// - Parameters:
    ///   - attempt: counts the tries of this execution from 1.
    ///   - bytesMax: kept of each stream.
    package init(execution: ExecutionID, attempt: Int, keeping bytesMax: Int) {
        self.execution = execution
        base = Self.base(attempt)
        captures = Dictionary(
            uniqueKeysWithValues: SandboxEvent.Stream.allCases.map { ($0, OutputCapture(keeping: bytesMax)) })
    }

    package static func base(_ attempt: Int) -> Int { (attempt - 1) * SandboxEvent.numbersPerTry }

    package var start: SandboxEvent { SandboxEvent(execution: execution, number: base + 1, kind: .start) }

    package var bytesTotal: Int { captures.values.reduce(0) { $0 + $1.bytesTotal } }

    package var hasUntold: Bool { !untold.isEmpty }

    package func output(of stream: SandboxEvent.Stream) -> SandboxOutcome.Output {
        captures[stream]?.output ?? SandboxOutcome.Output()
    }

    package mutating func append(_ stream: SandboxEvent.Stream, _ bytes: ArraySlice<UInt8>) {
        let before = captures[stream]?.head.count ?? 0
        captures[stream]?.append(bytes)
        let new = (captures[stream]?.head.count ?? 0) - before
        guard new > 0, pieces.count < Self.piecesMax else { return }
        if untold.last?.stream == stream { untold[untold.count - 1].count += new } else { untold.append((stream, new)) }
    }

    /// Events for what came since the last call. The part of a character that has not come whole waits.
    package mutating func tell() -> [SandboxEvent] {
        var events: [SandboxEvent] = []
        var waiting: [(stream: SandboxEvent.Stream, count: Int)] = []
        for (stream, count) in untold {
            let carried = waiting.firstIndex { $0.stream == stream }
            var left = count + (carried.map { waiting.remove(at: $0).count } ?? 0)
            while left > 0, pieces.count < Self.piecesMax {
                let start = told[stream] ?? 0
                let head = captures[stream]?.head ?? []
                let piece = head[start..<(start + min(left, Self.pieceBytesMax))]
                let whole = piece.dropLast(OutputText.partialScalar(atEndOf: piece))
                if whole.isEmpty { break }
                pieces.add(stream, whole.count)
                events.append(
                    SandboxEvent(
                        execution: execution, number: base + 1 + pieces.count,
                        kind: .output(stream, offset: start, bytes: Array(whole))))
                told[stream] = start + whole.count
                left -= whole.count
            }
            if left > 0 { waiting.append((stream, left)) }
        }
        untold = pieces.count < Self.piecesMax ? waiting : []
        return events
    }

    // MARK: Afterwards

    /// The events of a run that has ended, made from what was stored: those after number `last`, at most `countMax`.
    package static func events(
        of execution: ExecutionID, attempt: Int, outcome: SandboxOutcome, pieces: Pieces, after last: Int = 0,
        countMax: Int = .max
    ) -> [SandboxEvent] {
        var events: [SandboxEvent] = []
        var number = base(attempt)
        // Those that are not wanted are only counted: there may be very many.
        func addEvent(_ kind: @autoclosure () -> SandboxEvent.Kind) {
            number += 1
            guard number > last, events.count < countMax else { return }
            events.append(SandboxEvent(execution: execution, number: number, kind: kind()))
        }
        func addOutput(_ stream: SandboxEvent.Stream, _ offset: Int, _ bytes: ArraySlice<UInt8>) {
            var rest = bytes
            while !rest.isEmpty {
                let piece = rest.prefix(pieceBytesMax)
                let isEnd = piece.count == rest.count
                let whole = isEnd ? piece : piece.dropLast(OutputText.partialScalar(atEndOf: piece))
                let start = offset + bytes.count - rest.count
                addEvent(.output(stream, offset: start, bytes: Array(whole)))
                rest = rest.dropFirst(whole.count)
            }
        }
        addEvent(.start)
        var offsets: [SandboxEvent.Stream: Int] = [:]
        for (stream, count) in pieces.list {
            let offset = offsets[stream] ?? 0
            let head = (stream == .stdout ? outcome.stdout : outcome.stderr).head
            guard offset + count <= head.count else { break }
            addOutput(stream, offset, head[offset..<(offset + count)])
            offsets[stream] = offset + count
        }
        for stream in SandboxEvent.Stream.allCases {
            let output = stream == .stdout ? outcome.stdout : outcome.stderr
            addOutput(stream, offsets[stream] ?? 0, output.head[(offsets[stream] ?? 0)...])
            addOutput(stream, output.bytesTotal - output.tail.count, output.tail[...])
        }
        addEvent(.exit(outcome.status))
        return events
    }
}

/// The sizes of a transcript's pieces in their order; as text `o120 e7 o33`.
package struct Pieces: Sendable, Equatable {
    package private(set) var list: [(stream: SandboxEvent.Stream, count: Int)] = []

    package init() {}

    package var count: Int { list.count }

    mutating func add(_ stream: SandboxEvent.Stream, _ count: Int) { list.append((stream, count)) }

    package var text: String {
        list.map { "\($0.stream == .stdout ? "o" : "e")\($0.count)" }.joined(separator: " ")
    }

    /// Nil unless `text` wrote it.
    package init?(text: String) {
        for word in text.split(separator: " ") {
            guard let count = Int(word.dropFirst()), count > 0, let letter = word.first, "oe".contains(letter) else {
                return nil
            }
            list.append((letter == "o" ? .stdout : .stderr, count))
        }
    }

    package static func == (left: Pieces, right: Pieces) -> Bool { left.text == right.text }
}

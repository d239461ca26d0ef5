/// The lines of several logs in the order of their times, each log's own in its order.
struct LogLines {
    /// After so many lines logs that had no more are asked again: none waits for one that is written without end.
    static let roundLines = 1_000

    struct Line: Equatable {
        let name: String
        let text: String
    }

    private struct Source {
        let name: String
        var reader: LogReader
        /// Read and not yet handed out.
        var head: String?
        /// Of the head; what has no time belongs to the line before it.
        var time = Int.min
        var isExhausted = false

        mutating func fill() {
            guard head == nil, !isExhausted else { return }
            head = reader.next()
            isExhausted = head == nil
            time = head.flatMap(LogTime.microseconds) ?? time
        }
    }

    private var sources: [Source]
    private let isFollowed: Bool
    private var handedOut = 0

    /// - Parameters:
    ///   - lines: how many of those that are there already, of each.
    ///   - isFollowed: `next` is asked again later, for what was added meanwhile.
    init(_ names: [String], in folder: StackFolder, lines: Int, isFollowed: Bool) {
        self.isFollowed = isFollowed
        sources = names.map { name in
            Source(name: name, reader: LogReader(folder.log(of: name), lines: lines, isFollowed: isFollowed))
        }
    }

    /// The next line; nil when there is none for now.
    mutating func next() -> Line? {
        if isFollowed, handedOut == Self.roundLines { beginRound() }
        var earliest: Int?
        for index in sources.indices {
            sources[index].fill()
            guard sources[index].head != nil else { continue }
            if let earliest, sources[earliest].time <= sources[index].time { continue }
            earliest = index
        }
        guard let first = earliest, let text = sources[first].head else {
            beginRound()
            return nil
        }
        handedOut += 1
        sources[first].head = nil
        return Line(name: sources[first].name, text: text)
    }

    private mutating func beginRound() {
        handedOut = 0
        for index in sources.indices { sources[index].isExhausted = false }
    }
}

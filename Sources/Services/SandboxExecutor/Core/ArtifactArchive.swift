/// Reads the archive of files that a sandbox sends at its end. The names are the program's own words: checked here, and
/// never used as paths.
package struct ArtifactArchive: Sendable {
    package struct Entry: Sendable, Equatable {
        package let name: String
        package let content: [UInt8]
    }

    private let countMax: Int
    private let bytesMax: Int
    private var buffer: [UInt8] = []

    package init(countMax: Int, bytesMax: Int) {
        self.countMax = countMax
        self.bytesMax = bytesMax
    }

    /// More than any archive within the bounds: nothing beyond is kept, and the archive is void.
    private var sizeMax: Int { bytesMax + (countMax + 1) * (12 + 4096) }

    package mutating func feed(_ bytes: ArraySlice<UInt8>) {
        buffer += bytes.prefix(sizeMax + 1 - buffer.count)
    }

    /// The files; nil when the archive has no end mark or breaks a bound.
    package var entries: [Entry]? {
        guard buffer.count <= sizeMax else { return nil }
        var entries: [Entry] = []
        var bytes = 0
        var rest = buffer[...]
        while true {
            guard let nameLength = Self.number(&rest, width: 4) else { return nil }
            if nameLength == 0 { return rest.isEmpty ? entries : nil }
            guard let length = Self.number(&rest, width: 8), nameLength <= 4096, length <= bytesMax - bytes,
                rest.count >= nameLength + length, entries.count < countMax
            else { return nil }
            let name = rest.prefix(nameLength)
            let content = rest.dropFirst(nameLength).prefix(length)
            rest = rest.dropFirst(nameLength + length)
            bytes += length
            guard !name.contains(0) else { return nil }
            // Bytes that are no text are shown as such; a name is never opened.
            entries.append(Entry(name: String(decoding: name, as: UTF8.self), content: Array(content)))
        }
    }

    private static func number(_ rest: inout ArraySlice<UInt8>, width: Int) -> Int? {
        guard rest.count >= width else { return nil }
        let value = rest.prefix(width).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        rest = rest.dropFirst(width)
        return Int(exactly: value)
    }
}

internal import Glibc

/// Reads the last lines of a log and then what is added to it, piece by piece: a log may be of any size.
struct LogReader {
    static let pieceBytes = 64 << 10
    /// What is longer comes in parts.
    static let lineBytesMax = 64 << 10
    private static let newline = UInt8(ascii: "\n")

    let path: String
    /// Where to stop; nil for a log that is followed.
    private var end: Int?
    private var inode: UInt64 = 0
    private var offset = 0
    /// Read and not yet handed out.
    private var bytes: ArraySlice<UInt8> = []

    /// - Parameters:
    ///   - lines: how many of those that are there already.
    ///   - isFollowed: read on beyond what is there now.
    init(_ path: String, lines: Int, isFollowed: Bool) {
        self.path = path
        end = isFollowed ? nil : 0
        let log = open(path, O_RDONLY | O_CLOEXEC)
        guard log >= 0 else { return }
        defer { close(log) }
        var information = stat()
        guard fstat(log, &information) == 0 else { return }
        let size = Int(information.st_size)
        inode = UInt64(information.st_ino)
        offset = Self.start(of: lines, in: log, size: size)
        if !isFollowed { end = size }
    }

    /// The next line; nil when there is none for now. While the log is followed, one without an end is held back.
    mutating func next() -> String? {
        while true {
            if let newline = bytes.prefix(Self.lineBytesMax + 1).firstIndex(of: Self.newline) {
                defer { bytes = bytes[(newline + 1)...] }
                return Self.text(bytes[..<newline])
            }
            if bytes.count > Self.lineBytesMax { return take(Self.lineBytesMax) }
            if !fill() { return end == nil || bytes.isEmpty ? nil : take(bytes.count) }
        }
    }

    private mutating func take(_ count: Int) -> String {
        defer { bytes = bytes.dropFirst(count) }
        return Self.text(bytes.prefix(count))
    }

    /// Reads one piece more; false when there is none. A log that was emptied, or that another took the place of, is
    /// read from its start.
    private mutating func fill() -> Bool {
        let log = open(path, O_RDONLY | O_CLOEXEC)
        guard log >= 0 else {
            // What comes to this name is another, even where it has the number of the one that went.
            inode = 0
            return false
        }
        defer { close(log) }
        var information = stat()
        guard fstat(log, &information) == 0 else { return false }
        if UInt64(information.st_ino) != inode || Int(information.st_size) < offset {
            inode = UInt64(information.st_ino)
            offset = 0
            // Its rest is gone.
            if !bytes.isEmpty { bytes.append(Self.newline) }
        }
        var piece = [UInt8](repeating: 0, count: min(Self.pieceBytes, max(0, (end ?? .max) - offset)))
        let count = pread(log, &piece, piece.count, offset)
        guard count > 0 else { return bytes.last == Self.newline }
        offset += count
        bytes += piece.prefix(count)
        return true
    }

    /// Where the last `lines` lines of a log begin.
    private static func start(of lines: Int, in log: Int32, size: Int) -> Int {
        guard lines > 0 else { return size }
        var left = lines
        var end = size
        var piece = [UInt8](repeating: 0, count: pieceBytes)
        while end > 0 {
            let begin = max(0, end - pieceBytes)
            // Emptied meanwhile.
            guard pread(log, &piece, end - begin, begin) == end - begin else { return 0 }
            // The last byte ends the last line.
            for index in (0..<(end - begin)).reversed() where piece[index] == newline && begin + index < size - 1 {
                left -= 1
                if left == 0 { return begin + index + 1 }
            }
            end = begin
        }
        return 0
    }

    private static func text(_ line: ArraySlice<UInt8>) -> String { String(decoding: line, as: UTF8.self) }
}

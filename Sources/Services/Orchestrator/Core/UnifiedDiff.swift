/// What changed from one text to another, line by line, in the unified format that `patch` reads.
///
/// Lines are compared byte by byte. Of texts that differ in more than `linesMax` lines in one go, that part is shown as
/// replaced: still true, though not the shortest way to say it, and it bounds the work.
/// Source: Myers, "An O(ND) Difference Algorithm and Its Variations", 1986, as the standard library has it.
package enum UnifiedDiff {
    static let linesMax = 1000
    static let contextLines = 3

    private struct Edit {
        enum Kind { case keep, remove, add }

        let kind: Kind
        /// Where it stands in both texts.
        let old: Int
        let new: Int
    }

    /// Empty when the texts are equal.
    package static func text(from old: String, to new: String, oldName: String, newName: String) -> String {
        let oldLines = lines(of: old)
        let newLines = lines(of: new)
        let edits = edits(oldLines, newLines)
        let hunks = hunks(edits)
        if hunks.isEmpty { return "" }
        var bytes = Array("--- \(oldName)\n+++ \(newName)\n".utf8)
        for hunk in hunks {
            bytes += Array(header(edits[hunk]).utf8)
            for edit in edits[hunk] {
                switch edit.kind {
                case .keep: write(" ", oldLines[edit.old], to: &bytes)
                case .remove: write("-", oldLines[edit.old], to: &bytes)
                case .add: write("+", newLines[edit.new], to: &bytes)
                }
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Each with its newline, which the last may lack.
    private static func lines(of text: String) -> [ArraySlice<UInt8>] {
        let bytes = Array(text.utf8)
        var lines: [ArraySlice<UInt8>] = []
        var start = 0
        for (index, byte) in bytes.enumerated() where byte == newline {
            lines.append(bytes[start...index])
            start = index + 1
        }
        if start < bytes.count { lines.append(bytes[start...]) }
        return lines
    }

    private static let newline = UInt8(ascii: "\n")

    private static func edits(_ old: [ArraySlice<UInt8>], _ new: [ArraySlice<UInt8>]) -> [Edit] {
        var numbers: [ArraySlice<UInt8>: Int] = [:]
        func number(_ line: ArraySlice<UInt8>) -> Int {
            if let number = numbers[line] { return number }
            numbers[line] = numbers.count
            return numbers.count - 1
        }
        let (old, new) = (old.map(number), new.map(number))
        let head = zip(old, new).prefix { $0 == $1 }.count
        let tail = zip(old.dropFirst(head).reversed(), new.dropFirst(head).reversed()).prefix { $0 == $1 }.count
        let (oldMiddle, newMiddle) = (old[head..<(old.count - tail)], new[head..<(new.count - tail)])
        var removed = Set(oldMiddle.indices)
        var added = Set(newMiddle.indices)
        if max(oldMiddle.count, newMiddle.count) <= linesMax {
            let difference = Array(newMiddle).difference(from: Array(oldMiddle))
            removed = Set(difference.removals.map { offset($0) + head })
            added = Set(difference.insertions.map { offset($0) + head })
        }
        return walk(old.count, new.count, removed, added)
    }

    private static func offset(_ change: CollectionDifference<Int>.Change) -> Int {
        switch change {
        case .remove(let offset, _, _), .insert(let offset, _, _): offset
        }
    }

    private static func walk(_ oldCount: Int, _ newCount: Int, _ removed: Set<Int>, _ added: Set<Int>) -> [Edit] {
        var edits: [Edit] = []
        var (old, new) = (0, 0)
        while old < oldCount || new < newCount {
            let kind: Edit.Kind = removed.contains(old) ? .remove : added.contains(new) ? .add : .keep
            edits.append(Edit(kind: kind, old: old, new: new))
            if kind != .add { old += 1 }
            if kind != .remove { new += 1 }
        }
        return edits
    }

    /// The changes with the lines around them; changes near each other share one.
    private static func hunks(_ edits: [Edit]) -> [Range<Int>] {
        var hunks: [Range<Int>] = []
        for index in edits.indices where edits[index].kind != .keep {
            let start = max(0, index - contextLines)
            let end = min(edits.count, index + contextLines + 1)
            if let last = hunks.last, start <= last.upperBound {
                hunks[hunks.count - 1] = last.lowerBound..<end
            } else {
                hunks.append(start..<end)
            }
        }
        return hunks
    }

    /// Lines count from 1; a side without lines is said to stand after the line before it.
    private static func header(_ edits: ArraySlice<Edit>) -> String {
        let oldCount = edits.count { $0.kind != .add }
        let newCount = edits.count { $0.kind != .remove }
        let oldLine = (edits.first?.old ?? 0) + (oldCount == 0 ? 0 : 1)
        let newLine = (edits.first?.new ?? 0) + (newCount == 0 ? 0 : 1)
        return "@@ -\(oldLine),\(oldCount) +\(newLine),\(newCount) @@\n"
    }

    private static func write(_ mark: Unicode.Scalar, _ line: ArraySlice<UInt8>, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: mark))
        bytes += line
        if line.last != newline { bytes += Array("\n\\ No newline at end of file\n".utf8) }
    }
}

internal import Contracts

/// The lineage in a folder: `lineage.jsonl`, one entry a line, and `documents/<sha256>`.
///
/// For one machine, and the form in which a lineage is exported. One process at a time appends, under a lock.
package struct FolderLineage: LineageStore {
    private let folder: String

    package init(folder: String) { self.folder = folder }

    private var file: String { "\(folder)/lineage.jsonl" }

    package func records() async throws -> [LineageRecord] { try read() }

    package func append(
        _ record: LineageRecord, at sequence: Int, naming documents: [LineageDocument]
    ) async throws -> Bool {
        try GateFiles.makeFolder("\(folder)/documents")
        let lock = try FileLock("\(folder)/lock", what: "this lineage", waits: true)
        defer { withExtendedLifetime(lock) {} }
        guard try read().count == sequence else { return false }
        for document in documents where !GateFiles.exists(place(document.sha256)) {
            try GateFiles.replace(place(document.sha256), with: document.bytes)
        }
        try removeTornLine()
        try GateFiles.append(file, Array(Self.line(record).utf8))
        return true
    }

    package func document(_ sha256: String) async throws -> [UInt8]? {
        guard GateFiles.exists(place(sha256)) else { return nil }
        return try GateFiles.read(place(sha256))
    }

    /// What a crash left of a line was never part of the lineage.
    private func removeTornLine() throws(GateError) {
        guard GateFiles.exists(file) else { return }
        let bytes = try GateFiles.read(file)
        guard let last = bytes.last, last != UInt8(ascii: "\n") else { return }
        let whole = bytes.lastIndex(of: UInt8(ascii: "\n")).map { bytes[...$0] } ?? []
        try GateFiles.replace(file, with: whole)
    }

    private func place(_ sha256: String) -> String { "\(folder)/documents/\(sha256)" }

    private func read() throws(GateError) -> [LineageRecord] {
        guard GateFiles.exists(file) else { return [] }
        let bytes = try GateFiles.read(file)
        // Without its end, the last line was never written: whoever wrote it died before anything followed from it.
        guard let end = bytes.lastIndex(of: UInt8(ascii: "\n")) else { return [] }
        return try Self.parse(bytes[...end], from: file)
    }

    /// `{"sha256":"…","entry":{…}}`
    package static func line(_ record: LineageRecord) -> String {
        "{\"sha256\":\"\(record.sha256)\",\"entry\":\(String(decoding: record.entry, as: UTF8.self))}\n"
    }

    /// - Throws: `tampered` for a line of another form.
    package static func parse(_ bytes: some Sequence<UInt8>, from path: String) throws(GateError) -> [LineageRecord] {
        var records: [LineageRecord] = []
        for (number, line) in Array(bytes).split(separator: UInt8(ascii: "\n")).enumerated() {
            do {
                var reader = try JSONReader(try JSON(parsing: line))
                let sha256 = try reader.string("sha256")
                records.append(LineageRecord(entry: Array(try reader.required("entry").bytes), sha256: sha256))
            } catch {
                throw GateError(.tampered, "Line \(number + 1) of \(path) is no entry.", underlying: error)
            }
        }
        return records
    }
}

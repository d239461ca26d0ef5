internal import Crypto
internal import FoundationEssentials

/// One migration: `NNN_name.sql` and its way back, `down/NNN_name.sql`.
struct MigrationFile: Sendable, Equatable {
    /// A larger file is not SQL that a person wrote.
    static let bytesMax = 4 << 20

    let version: Int
    let name: String
    let up: String
    let down: String
    /// SHA-256 of `up`, lower-case hexadecimal.
    let checksum: String

    /// As errors name it: `001_initial_schema.sql`.
    var fileName: String { Self.fileName(version, name) }

    init(version: Int, name: String, up: String, down: String) {
        self.version = version
        self.name = name
        self.up = up
        self.down = down
        checksum = Self.hexadecimal(SHA256.hash(data: Array(up.utf8)))
    }

    /// Every migration of the folder, in order.
    ///
    /// - Throws: `folderUnreadable`; `fileInvalid` naming the file.
    static func load(folder: String) throws(MigrationError) -> [MigrationFile] {
        let names = try list(folder).filter { $0.hasSuffix(".sql") }.sorted()
        guard !names.isEmpty else {
            throw MigrationError(
                .fileInvalid, "\(folder) holds no migration. Point GOLDEN_MIGRATIONS at the right folder.")
        }
        var files: [MigrationFile] = []
        for fileName in names {
            let (version, name) = try parse(fileName)
            guard version == files.count + 1 else {
                throw MigrationError(
                    .fileInvalid, "\(fileName) should be number \(files.count + 1): versions count from 1 without gaps."
                )
            }
            files.append(
                MigrationFile(
                    version: version, name: name, up: try read("\(folder)/\(fileName)"),
                    down: try read("\(folder)/down/\(fileName)")
                )
            )
        }
        return files
    }

    static func fileName(_ version: Int, _ name: String) -> String {
        let digits = String(version)
        return String(repeating: "0", count: max(0, 3 - digits.count)) + "\(digits)_\(name).sql"
    }

    /// Splits `001_initial_schema.sql`.
    private static func parse(_ fileName: String) throws(MigrationError) -> (version: Int, name: String) {
        let stem = fileName.dropLast(4)
        let name = String(stem.dropFirst(4))
        let isPlain = name.utf8.allSatisfy { byte in
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || byte == UInt8(ascii: "_")
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        }
        guard let version = Int(stem.prefix(3)), isPlain, !name.isEmpty, self.fileName(version, name) == fileName else {
            throw MigrationError(.fileInvalid, "\(fileName) is not named like 001_initial_schema.sql. Rename it.")
        }
        return (version, name)
    }

    private static func list(_ folder: String) throws(MigrationError) -> [String] {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: folder)
        } catch {
            throw MigrationError(
                .folderUnreadable, "\(folder) cannot be listed. Point GOLDEN_MIGRATIONS at the migrations.",
                underlying: error
            )
        }
    }

    private static func read(_ path: String) throws(MigrationError) -> String {
        let data: Data
        do {
            data = try Data(contentsOf: URL(filePath: path))
        } catch {
            throw MigrationError(
                .folderUnreadable, "\(path) cannot be read. Every migration has its way back.", underlying: error)
        }
        guard data.count <= bytesMax, let text = String(validating: data, as: UTF8.self) else {
            throw MigrationError(.fileInvalid, "\(path) is not UTF-8 text of at most \(bytesMax) bytes.")
        }
        try check(text, path)
        return text
    }

    /// A file opens and commits its own transaction, so that psql and the migrator run it alike.
    private static func check(_ text: String, _ path: String) throws(MigrationError) {
        let lines = text.split(whereSeparator: \.isNewline).filter { !$0.hasPrefix("--") }
        guard lines.first == "BEGIN;", lines.last == "COMMIT;" else {
            throw MigrationError(
                .fileInvalid, "\(path) must begin with BEGIN; and end with COMMIT; on lines of their own.")
        }
        if let line = lines.first(where: { $0.hasPrefix("\\") }) {
            throw MigrationError(.fileInvalid, "\(path) holds \(line), which only psql understands. Use SQL.")
        }
    }

    private static func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef")
        return String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }
}

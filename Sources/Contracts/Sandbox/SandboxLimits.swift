/// What a run may use at most. A request names those it wants to change; nil leaves the language's own.
package struct SandboxLimits: Sendable, Equatable {
    /// Real time, in milliseconds.
    package var wallMilliseconds: Int?
    /// CPU time of each process.
    package var cpuSeconds: Int?
    /// Thousandths of one core, all processes together.
    package var cpuMillicores: Int?
    /// All processes together.
    package var memoryBytes: Int?
    package var processes: Int?
    /// Of each process.
    package var openFiles: Int?
    /// The largest file.
    package var fileBytes: Int?
    /// Of `/box`, and as much again of `/tmp`.
    package var diskBytes: Int?
    package var inodes: Int?
    /// Kept of standard output, and as much of standard error.
    package var outputBytes: Int?

    package init() {}

    /// Every field with its name on the wire and the range any installation allows at most.
    package struct Field: Sendable {
        package let name: String
        package let range: ClosedRange<Int>
        package let path: any WritableKeyPath<SandboxLimits, Int?> & Sendable
    }

    package static let fields: [Field] = [
        Field(name: "wall_ms", range: 100...300_000, path: \.wallMilliseconds),
        Field(name: "cpu_seconds", range: 1...301, path: \.cpuSeconds),
        Field(name: "cpu_millicores", range: 50...4000, path: \.cpuMillicores),
        Field(name: "memory_bytes", range: 8 << 20...2 << 30, path: \.memoryBytes),
        Field(name: "processes", range: 1...256, path: \.processes),
        Field(name: "open_files", range: 16...1024, path: \.openFiles),
        Field(name: "file_bytes", range: 0...256 << 20, path: \.fileBytes),
        Field(name: "disk_bytes", range: 1 << 20...256 << 20, path: \.diskBytes),
        Field(name: "inodes", range: 64...65_536, path: \.inodes),
        Field(name: "output_bytes", range: 0...1 << 20, path: \.outputBytes),
    ]

    /// These, and the other's where there are none.
    package func filled(from other: SandboxLimits) -> SandboxLimits {
        var limits = self
        for field in Self.fields where limits[keyPath: field.path] == nil {
            limits[keyPath: field.path] = other[keyPath: field.path]
        }
        return limits
    }

    /// The names of those that are above `ceiling`'s.
    package func above(_ ceiling: SandboxLimits) -> [(name: String, most: Int)] {
        Self.fields.compactMap { field in
            guard let wanted = self[keyPath: field.path], let most = ceiling[keyPath: field.path], wanted > most else {
                return nil
            }
            return (field.name, most)
        }
    }

    package var isEmpty: Bool { self == SandboxLimits() }
}

extension SandboxLimits {
    /// - Throws: when a field is unknown or out of every installation's range.
    package init(from reader: inout JSONReader) throws(JSONError) {
        for field in Self.fields {
            guard let value = try reader.optionalInt(field.name) else { continue }
            guard field.range.contains(value) else {
                throw reader.error(
                    field.name, "must be from \(field.range.lowerBound) to \(field.range.upperBound)")
            }
            self[keyPath: field.path] = value
        }
        try reader.refuseUnknown()
    }

    package func write(to writer: inout JSONWriter) {
        for field in Self.fields { writer.field(ifPresent: field.name, self[keyPath: field.path]) }
    }
}

/// A file named on the command line, `-` being standard input.
enum InputFile {
    /// - Throws: `usage` when it cannot be read or is larger than what the API takes.
    static func read(_ path: String, bytesMax: Int) throws(CLIError) -> [UInt8] {
        guard let bytes = FileHandles.read(path == "-" ? nil : path, bytesMax: bytesMax + 1) else {
            throw CLIError(
                .usage, "\(path) cannot be read: \(systemError()).", next: "Name a file, or - for standard input."
            )
        }
        guard bytes.count <= bytesMax else {
            throw CLIError(
                .usage, "\(path) holds more than the \(bytesMax) bytes the API takes.", kept: "Nothing was sent."
            )
        }
        return bytes
    }
}

/// This build's version, the same as in the file VERSION; a test keeps them equal.
enum Version {
    static let current = "0.1.0"
}

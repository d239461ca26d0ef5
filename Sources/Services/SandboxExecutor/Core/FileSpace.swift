package import Contracts

/// The room that files take in a file system of their own.
package struct FileSpace: Sendable, Equatable {
    /// Files begin on pages of their own.
    package static let pageBytes = 4096

    /// Of all contents, each rounded up to pages.
    package let bytes: Int
    /// Files, the folders above them, and the top folder.
    package let inodes: Int

    /// - Parameter files: by their paths below the top folder.
    package init(_ files: [SandboxProgram.File]) {
        bytes = files.reduce(0) { $0 + ($1.content.count + Self.pageBytes - 1) / Self.pageBytes * Self.pageBytes }
        // Names are bytes to a file system: what looks the same in two encodings is two folders.
        var folders: Set<[UInt8]> = []
        for file in files {
            let path = Array(file.path.utf8)
            for (index, byte) in path.enumerated() where byte == UInt8(ascii: "/") {
                folders.insert(Array(path[..<index]))
            }
        }
        inodes = files.count + folders.count + 1
    }
}

internal import Contracts
internal import Glibc

/// One folder for all time, wherever it is moved to: a copy of it is another.
struct FolderIdentity: Sendable, Equatable {
    let device: UInt64
    let inode: UInt64
    /// Without links.
    let path: String

    /// Nil when there is no such folder.
    init?(of path: String) {
        var information = stat()
        guard stat(path, &information) == 0 else { return nil }
        device = UInt64(information.st_dev)
        inode = UInt64(information.st_ino)
        self.path = realPath(path)
    }

    /// The device alone does not tell: it may have another number after the machine was started again.
    func isSame(as other: FolderIdentity) -> Bool {
        inode == other.inode && (device == other.device || path == other.path)
    }
}

extension FolderIdentity {
    /// Both numbers may be larger than a number in JSON.
    init(json: JSON) throws(JSONError) {
        var reader = try JSONReader(json, path: "home")
        func number(_ name: String) throws(JSONError) -> UInt64 {
            guard let number = UInt64(try reader.string(name)) else { throw reader.error(name, "is no number") }
            return number
        }
        device = try number("device")
        inode = try number("inode")
        path = try reader.string("path")
    }

    func write(to writer: inout JSONWriter) {
        writer.field("device", "\(device)")
        writer.field("inode", "\(inode)")
        writer.field("path", path)
    }
}

/// A path without links; the path itself where nothing is.
func realPath(_ path: String) -> String {
    guard let resolved = realpath(path, nil) else { return path }
    defer { free(resolved) }
    return String(cString: resolved)
}

public import Foundation

/// A new folder for one test, readable by every account (postgres may run as another user).
///
/// It is gone soon after this process, however that ends, with everything in it and whether or not somebody removed it
/// before.
public func temporaryFolder(_ name: String) throws -> URL {
    let folder = try TemporaryRoot.shared.get().appending(path: "\(name)-\(UUID().uuidString.prefix(8))")
    try FileManager.default.createDirectory(
        at: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755]
    )
    return folder
}

/// The one folder of this process, and who removes it: a shell that waits for this process to end, because servers that
/// a test has started write until they are killed with it.
private enum TemporaryRoot {
    static let shared = Result { try made() }

    private static func made() throws -> URL {
        let root = FileManager.default.temporaryDirectory.appending(
            path: "golden-tests-\(ProcessInfo.processInfo.processIdentifier)-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(
            at: root, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
        let remover = Process()
        // In a session of its own: whoever ends all of the tests' session, as scripts/test does, does not mean it.
        remover.executableURL = URL(filePath: "/usr/bin/setsid")
        // Servers die with this process and let go a moment later.
        remover.arguments = [
            "/bin/sh", "-c",
            """
            while kill -0 "$2" 2>/dev/null; do sleep 0.5; done
            for try in 1 2 3 4 5 6 7 8 9 10; do
                rm -rf "$1" 2>/dev/null && [ ! -e "$1" ] && exit 0
                sleep 0.5
            done
            """, "remover", root.path, "\(ProcessInfo.processInfo.processIdentifier)",
        ]
        remover.standardInput = FileHandle.nullDevice
        remover.standardOutput = FileHandle.nullDevice
        remover.standardError = FileHandle.nullDevice
        try Spawner.shared.start(remover)
        return root
    }
}

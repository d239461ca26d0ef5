import Foundation
import TestSupport

/// A server whose pages are files: what a target of a scrape says is what a test wrote last.
final class MetricsPages: Sendable {
    let url: String
    private let folder: URL
    private let server: ServerProcess

    static func started() async throws -> MetricsPages {
        try await blocking { try MetricsPages() }
    }

    private init() throws {
        let root = try temporaryFolder("metrics")
        folder = root.appending(path: "pages")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let port = freePort()
        url = "http://127.0.0.1:\(port)"
        server = ServerProcess(
            "/usr/bin/python3",
            ["-m", "http.server", "--bind", "127.0.0.1", "--directory", folder.path, "\(port)"],
            logFile: root.appending(path: "log"))
        try server.start(within: .seconds(30)) { accepts(port: port) }
    }

    /// Nil: the page is gone, and asking for it fails.
    func show(_ text: String?, at page: String) throws {
        let file = folder.appending(path: page)
        if let text {
            try Data(text.utf8).write(to: file)
        } else if FileManager.default.fileExists(atPath: file.path) {
            try FileManager.default.removeItem(at: file)
        }
    }
}

internal import FoundationEssentials

extension RedisConfiguration {
    /// From `redis://[user]:password@host:port/database`, or `rediss://` for TLS; nil for anything else. Several
    /// `host:port` separated by commas are a master and its replicas, in any order.
    ///
    /// - Parameter authorityFile: whom TLS trusts; the system's authorities when nil.
    package init?(url text: String, authorityFile: String? = nil) {
        var urls = Self.split(text)
        guard let first = URLComponents(string: urls.removeFirst()), let host = first.host, let scheme = first.scheme,
            ["redis", "rediss"].contains(scheme)
        else { return nil }
        let path = first.path.dropFirst()
        guard let database = path.isEmpty ? 0 : Int(path), database >= 0 else { return nil }
        self.init(
            host: host, port: first.port ?? 6379, username: first.user.flatMap { $0.isEmpty ? nil : $0 },
            password: first.password, database: database
        )
        if scheme == "rediss" { tls = RedisTLS(authorityFile: authorityFile) }
        for url in urls {
            guard let other = URLComponents(string: url), let host = other.host, !host.isEmpty else { return nil }
            alternatives.append(Endpoint(host: host, port: other.port ?? 6379))
        }
    }

    /// One URL for each server that the URL names.
    private static func split(_ text: String) -> [String] {
        guard let scheme = text.firstRange(of: "://") else { return [text] }
        let rest = text[scheme.upperBound...]
        let start = rest.lastIndex(of: "@").map { rest.index(after: $0) } ?? rest.startIndex
        let end = rest[start...].firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        return rest[start..<end].split(separator: ",", omittingEmptySubsequences: false).map {
            String(text[..<start] + $0 + text[end...])
        }
    }
}

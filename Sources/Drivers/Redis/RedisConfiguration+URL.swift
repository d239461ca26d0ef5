internal import FoundationEssentials

extension RedisConfiguration {
    /// From `redis://[user]:password@host:port/database`, or `rediss://` for TLS; nil for anything else.
    ///
    /// - Parameter authorityFile: whom TLS trusts; the system's authorities when nil.
    package init?(url text: String, authorityFile: String? = nil) {
        guard let url = URLComponents(string: text), let host = url.host, let scheme = url.scheme,
            ["redis", "rediss"].contains(scheme)
        else { return nil }
        self.init(
            host: host, port: url.port ?? 6379, username: url.user.flatMap { $0.isEmpty ? nil : $0 },
            password: url.password, database: Int(url.path.dropFirst()) ?? 0
        )
        if scheme == "rediss" { tls = RedisTLS(authorityFile: authorityFile) }
    }
}

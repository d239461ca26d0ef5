extension PreflightFacts {
    /// How hard a secret is to guess, without the secret.
    package struct Secret: Sendable, Equatable {
        package let name: String
        package let bytes: Int
        package let bytesMin: Int
        /// How many different bytes it has.
        package let distinct: Int
        /// It is one that everybody tries first, or holds such a word and little else.
        package let isWellKnown: Bool

        /// Fewer different bytes than this are a pattern, not chance.
        package static let distinctMin = 8
        /// For a store's password.
        package static let passwordBytesMin = 16
        /// For what signs tokens: as many bits as the signature's hash has.
        package static let signingBytesMin = 32
        /// Longer secrets that hold such a word have enough beside it.
        private static let wordCover = 8

        private static let wellKnown = [
            "password", "passwort", "secret", "changeme", "change-me", "golden", "postgres", "redis", "nats", "admin",
            "default", "example", "letmein", "qwerty", "12345678", "guest", "root", "test",
        ]

        package init(name: String, secret: String, bytesMin: Int) {
            let bytes = Array(secret.utf8)
            let lowered = secret.lowercased()
            self.name = name
            self.bytes = bytes.count
            self.bytesMin = bytesMin
            distinct = Set(bytes).count
            isWellKnown = Self.wellKnown.contains { word in
                lowered.contains(word) && bytes.count < word.utf8.count + Self.wordCover
            }
        }

        /// What is wrong with it; nil when nothing is.
        package var fault: String? {
            if bytes == 0 { return "is empty" }
            if isWellKnown { return "is one that everybody tries first" }
            if bytes < bytesMin { return "has \(bytes) bytes instead of at least \(bytesMin)" }
            if distinct < Self.distinctMin { return "repeats itself: \(distinct) different bytes" }
            return nil
        }
    }
}

/// Why a process cannot start.
package struct BootstrapError: Error, CustomStringConvertible {
    package enum Code: String, Sendable {
        /// A setting that has no default was not given.
        case missingSetting = "config_missing"
        /// A setting was given and cannot be used.
        case invalidSetting = "config_invalid"
        /// The file a setting names cannot be read.
        case unreadableFile = "config_unreadable_file"
        /// A setting and its `_FILE` were both given.
        case ambiguousSetting = "config_ambiguous"
    }

    package let code: Code
    /// Names the setting and what to do; never holds a secret's value.
    package let message: String
    /// Why, in the words of whoever failed; shown too, so nothing that quotes a setting's value.
    package let underlying: (any Error)?

    package init(_ code: Code, _ message: String, underlying: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.underlying = underlying
    }

    package var description: String {
        underlying.map { "\(code.rawValue): \(message) (\($0))" } ?? "\(code.rawValue): \(message)"
    }
}

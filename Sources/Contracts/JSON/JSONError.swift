/// Why a JSON text was refused. `path` names the place as a person would write it: `input.steps[2]`.
package struct JSONError: Error, Equatable, CustomStringConvertible {
    package enum Code: String, Sendable {
        /// The bytes are not JSON (RFC 8259).
        case malformed = "json_malformed"
        /// The bytes are not UTF-8, or a string escapes half of a surrogate pair.
        case badUTF8 = "json_bad_utf8"
        /// A string holds U+0000, which no store here can keep as text.
        case nulInText = "json_nul_in_text"
        /// One object names a field twice, so two readers could see two values.
        case duplicateKey = "json_duplicate_key"
        /// Nested deeper than `JSONScanner.maxDepth`.
        case tooDeep = "json_too_deep"
        /// A field is missing or of another type than its reader needs.
        case wrongShape = "json_wrong_shape"
    }

    package let code: Code
    package let path: String
    package let message: String

    package init(_ code: Code, path: String = "", _ message: String) {
        self.code = code
        self.path = path
        self.message = message
    }

    package var description: String { path.isEmpty ? message : "\(path): \(message)" }
}

package import Contracts

extension JSONReader {
    /// A text of 1 to so many characters (Unicode scalars, as JSON Schema counts); nil when it is absent.
    package mutating func optionalText(_ name: String, max: Int) throws(JSONError) -> String? {
        guard let text = try optionalString(name) else { return nil }
        guard (1...max).contains(text.unicodeScalars.count) else {
            throw error(name, "must be 1 to \(max) characters")
        }
        return text
    }
}

/// Reads the fields of one JSON object by name and type, with errors that name the field.
///
/// Unknown fields are kept apart: messages ignore them, API bodies refuse them through `refuseUnknown()`.
package struct JSONReader {
    private let fields: [String: JSON]
    private let path: String
    private var asked: Set<String> = []

    /// - Parameter path: where this object stands, for error messages; empty at the top.
    package init(_ json: JSON, path: String = "") throws(JSONError) {
        guard let fields = json.fields else {
            throw JSONError(.wrongShape, path: path, "expected an object, found \(json.kind.article)")
        }
        self.path = path
        self.fields = Dictionary(fields.map { ($0.name, $0.value) }) { first, _ in first }
    }

    /// The field's value; nil when it is absent or null.
    package mutating func optional(_ name: String) -> JSON? {
        asked.insert(name)
        guard let value = fields[name], value.kind != .null else { return nil }
        return value
    }

    /// The field's value as it stands, null included; nil when it is absent.
    package mutating func raw(_ name: String) -> JSON? {
        asked.insert(name)
        return fields[name]
    }

    package mutating func required(_ name: String) throws(JSONError) -> JSON {
        guard let value = optional(name) else { throw error(name, "is required") }
        return value
    }

    package mutating func string(_ name: String) throws(JSONError) -> String {
        try typed(name, required(name), "a string", \.string)
    }

    package mutating func optionalString(_ name: String) throws(JSONError) -> String? {
        guard let value = optional(name) else { return nil }
        return try typed(name, value, "a string", \.string)
    }

    package mutating func int(_ name: String) throws(JSONError) -> Int {
        try typed(name, required(name), "a whole number", \.int)
    }

    package mutating func optionalInt(_ name: String) throws(JSONError) -> Int? {
        guard let value = optional(name) else { return nil }
        return try typed(name, value, "a whole number", \.int)
    }

    package mutating func optionalDouble(_ name: String) throws(JSONError) -> Double? {
        guard let value = optional(name) else { return nil }
        return try typed(name, value, "a number", \.double)
    }

    package mutating func optionalBool(_ name: String) throws(JSONError) -> Bool? {
        guard let value = optional(name) else { return nil }
        return try typed(name, value, "true or false", \.bool)
    }

    package mutating func optionalArray(_ name: String) throws(JSONError) -> [JSON]? {
        guard let value = optional(name) else { return nil }
        return try typed(name, value, "a list", \.array)
    }

    package mutating func optionalStrings(_ name: String) throws(JSONError) -> [String]? {
        guard let array = try optionalArray(name) else { return nil }
        var strings: [String] = []
        for (index, element) in array.enumerated() {
            strings.append(try typed("\(name)[\(index)]", element, "a string", \.string))
        }
        return strings
    }

    package mutating func optionalObject(_ name: String) throws(JSONError) -> JSONReader? {
        guard let value = optional(name) else { return nil }
        return try JSONReader(value, path: full(name))
    }

    /// The objects of a list; of a longer one, one more than `countMax`.
    package mutating func optionalObjects(_ name: String, atMost countMax: Int) throws(JSONError) -> [JSONReader]? {
        guard let array = try optionalArray(name) else { return nil }
        var objects: [JSONReader] = []
        for (index, element) in array.prefix(countMax + 1).enumerated() {
            objects.append(try JSONReader(element, path: full("\(name)[\(index)]")))
        }
        return objects
    }

    /// Throws when the object holds a field that no call above has asked for.
    package func refuseUnknown() throws(JSONError) {
        if let stranger = fields.keys.filter({ !asked.contains($0) }).min() {
            throw error(stranger, "is not a field of this body")
        }
    }

    /// An error about one field, worded as `<path>: <what>`.
    package func error(_ name: String, _ what: String) -> JSONError { JSONError(.wrongShape, path: full(name), what) }

    private func full(_ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }

    private func typed<Value>(
        _ name: String, _ json: JSON, _ wanted: String, _ read: (JSON) -> Value?
    ) throws(JSONError) -> Value {
        guard let value = read(json) else { throw error(name, "must be \(wanted), found \(json.kind.article)") }
        return value
    }
}

extension JSON.Kind {
    fileprivate var article: String {
        switch self {
        case .object, .array: "an \(rawValue)"
        case .string, .number: "a \(rawValue)"
        case .bool: "true or false"
        case .null: "null"
        }
    }
}

/// Reads the fields of one JSON object by name and type, with errors that name the field.
///
/// Unknown fields are kept apart: messages ignore them, API bodies refuse them through `refuseUnknown()`.
package struct JSONReader {
    private let fields: [(name: String, value: JSON)]
    /// Where each name stands; only objects with many fields have it, few are looked through.
    private let places: [String: Int]?
    private let path: String
    private var isAsked: [Bool]

    private static let fewMax = 24

    /// - Parameter path: where this object stands, for error messages; empty at the top.
    package init(_ json: JSON, path: String = "") throws(JSONError) {
        guard let fields = json.fields else {
            throw JSONError(.wrongShape, path: path, "expected an object, found \(json.kind.article)")
        }
        self.path = path
        self.fields = fields
        places =
            fields.count <= Self.fewMax
            ? nil : Dictionary(zip(fields.map(\.name), fields.indices)) { first, _ in first }
        isAsked = Array(repeating: false, count: fields.count)
    }

    private func place(of name: String) -> Int? {
        if let places { return places[name] }
        return fields.firstIndex { $0.name == name }
    }

    /// The field's value; nil when it is absent or null.
    package mutating func optional(_ name: String) -> JSON? {
        guard let value = raw(name), value.kind != .null else { return nil }
        return value
    }

    /// The field's value as it stands, null included; nil when it is absent.
    package mutating func raw(_ name: String) -> JSON? {
        guard let place = place(of: name) else { return nil }
        isAsked[place] = true
        return fields[place].value
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
        guard isAsked.contains(false) else { return }
        let strangers = zip(fields, isAsked).filter { !$0.1 }.map(\.0.name)
        if let stranger = strangers.min() { throw error(stranger, "is not a field of this body") }
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

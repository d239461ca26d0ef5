package import Contracts

/// The part of JSON Schema by which a model's answer is checked: types, enums, bounds, required and closed objects.
///
/// A schema that uses more is refused, because an unchecked rule would be a promise not kept. `title`, `description`,
/// `default`, `examples` and `$schema` say nothing that could be checked. Source: JSON Schema 2020-12.
package struct AnswerSchema: Sendable, Equatable {
    package static let bytesMax = 64 << 10
    package static let depthMax = 16

    /// As the tenant wrote it; it goes to the model unchanged.
    package let json: JSON
    private let root: Node

    /// Throws, naming the place, for what is no schema or uses more than is checked here.
    package init(_ json: JSON) throws(JSONError) {
        guard json.bytes.count <= Self.bytesMax else {
            throw JSONError(.wrongShape, path: "output_schema", "must not be longer than \(Self.bytesMax) bytes")
        }
        self.json = json
        root = try Node(json, path: "output_schema", depth: 0)
    }

    package static func == (left: AnswerSchema, right: AnswerSchema) -> Bool { left.json == right.json }

    /// Throws, naming the place, when `value` does not fit.
    package func check(_ value: JSON) throws(JSONError) { try root.check(value, path: "") }
}

/// One schema of the tree; an absent rule allows everything.
private final class Node: Sendable {
    private static let types = ["object", "array", "string", "number", "integer", "boolean", "null"]

    private let types: [String]
    private let constants: [[UInt8]]?
    private let properties: [String: Node]
    private let required: [String]
    private let isClosed: Bool
    private let items: Node?
    private let itemCount: ClosedRange<Int>
    private let length: ClosedRange<Int>
    private let size: ClosedRange<Double>

    init(_ json: JSON, path: String, depth: Int) throws(JSONError) {
        guard depth <= AnswerSchema.depthMax else {
            throw JSONError(.tooDeep, path: path, "is nested deeper than \(AnswerSchema.depthMax) levels")
        }
        var reader = try JSONReader(json, path: path)
        types = try Self.types(&reader)
        constants = try Self.constants(&reader)
        var properties: [String: Node] = [:]
        for field in reader.optional("properties")?.fields ?? [] {
            properties[field.name] = try Node(field.value, path: "\(path).properties.\(field.name)", depth: depth + 1)
        }
        self.properties = properties
        required = try reader.optionalStrings("required") ?? []
        isClosed = try reader.optionalBool("additionalProperties") == false
        items = try reader.optional("items").map { json throws(JSONError) in
            try Node(json, path: "\(path).items", depth: depth + 1)
        }
        itemCount = try Self.range(&reader, "minItems", "maxItems")
        length = try Self.range(&reader, "minLength", "maxLength")
        let least = try reader.optionalDouble("minimum") ?? -.infinity
        let most = try reader.optionalDouble("maximum") ?? .infinity
        guard least <= most else { throw reader.error("minimum", "must not be above maximum") }
        size = least...most
        for annotation in ["title", "description", "default", "examples", "$schema"] {
            _ = reader.raw(annotation)
        }
        do throws(JSONError) { try reader.refuseUnknown() } catch {
            throw JSONError(.wrongShape, path: error.path, "is a rule that this agent does not check")
        }
    }

    private static func types(_ reader: inout JSONReader) throws(JSONError) -> [String] {
        guard let json = reader.optional("type") else { return [] }
        let names = json.string.map { [$0] } ?? json.array?.compactMap(\.string) ?? []
        guard !names.isEmpty, names.allSatisfy(types.contains) else {
            throw reader.error("type", "must be one or more of \(types.joined(separator: ", "))")
        }
        return names
    }

    private static func constants(_ reader: inout JSONReader) throws(JSONError) -> [[UInt8]]? {
        if let constant = reader.raw("const") { return [constant.canonical] }
        return try reader.optionalArray("enum")?.map(\.canonical)
    }

    private static func range(
        _ reader: inout JSONReader, _ least: String, _ most: String
    ) throws(JSONError) -> ClosedRange<Int> {
        let lower = try reader.optionalInt(least) ?? 0
        let upper = try reader.optionalInt(most) ?? .max
        guard 0 <= lower, lower <= upper else { throw reader.error(least, "must be from 0 to \(most)") }
        return lower...upper
    }

    func check(_ value: JSON, path: String) throws(JSONError) {
        guard types.isEmpty || types.contains(where: { Self.is(value, $0) }) else {
            throw Self.misfit(path, "must be \(types.joined(separator: " or ")), is \(value.kind.rawValue)")
        }
        if let constants, !constants.contains(value.canonical) {
            let texts = constants.prefix(20).map { String(decoding: $0, as: UTF8.self) }
            throw Self.misfit(path, "must be one of \(texts.joined(separator: ", "))")
        }
        switch value.kind {
        case .object: try checkObject(value, path)
        case .array: try checkArray(value, path)
        case .string:
            let count = value.string?.unicodeScalars.count ?? 0
            guard length.contains(count) else {
                throw Self.misfit(path, "must be \(Self.words(length)) characters long, is \(count)")
            }
        case .number:
            guard let number = value.double, size.contains(number) else {
                throw Self.misfit(path, "must be from \(size.lowerBound) to \(size.upperBound)")
            }
        case .bool, .null: break
        }
    }

    private func checkObject(_ value: JSON, _ path: String) throws(JSONError) {
        let fields = value.fields ?? []
        for name in required where !fields.contains(where: { $0.name == name }) {
            throw Self.misfit(path + (path.isEmpty ? "" : ".") + name, "is required")
        }
        for field in fields {
            let place = path + (path.isEmpty ? "" : ".") + field.name
            if let property = properties[field.name] {
                try property.check(field.value, path: place)
            } else if isClosed {
                throw Self.misfit(place, "is not a field of this answer")
            }
        }
    }

    private func checkArray(_ value: JSON, _ path: String) throws(JSONError) {
        let elements = value.array ?? []
        guard itemCount.contains(elements.count) else {
            throw Self.misfit(path, "must have \(Self.words(itemCount)) elements, has \(elements.count)")
        }
        guard let items else { return }
        for (index, element) in elements.enumerated() { try items.check(element, path: "\(path)[\(index)]") }
    }

    private static func `is`(_ value: JSON, _ type: String) -> Bool {
        switch value.kind {
        case .object, .array, .string, .null: type == value.kind.rawValue
        case .bool: type == "boolean"
        case .number: type == "number" || type == "integer" && value.double.map { $0 == $0.rounded() } ?? false
        }
    }

    private static func words(_ range: ClosedRange<Int>) -> String {
        range.upperBound == .max ? "\(range.lowerBound) or more" : "\(range.lowerBound) to \(range.upperBound)"
    }

    private static func misfit(_ path: String, _ what: String) -> JSONError { JSONError(.wrongShape, path: path, what) }
}

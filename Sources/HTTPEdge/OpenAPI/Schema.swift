package import Contracts

/// The shape of one JSON value, as JSON Schema 2020-12 (the dialect of OpenAPI 3.1).
package indirect enum Schema: Sendable {
    /// Any JSON value.
    case anything
    case text(min: Int? = nil, max: Int? = nil, pattern: String? = nil, format: String? = nil)
    case choice([String])
    case integer(ClosedRange<Int>? = nil)
    case number
    case boolean
    case array(of: Schema, max: Int? = nil)
    /// An object with free names.
    case map(of: Schema, names: String? = nil, max: Int? = nil)
    /// An object with these fields; others are refused unless `isOpen`.
    case object([Field], isOpen: Bool = false)
    /// This, or null, which counts as absent.
    case nullable(Schema)
    /// One of the document's named schemas.
    case named(String)

    /// A text of the API's name pattern.
    package static let name = Schema.text(min: 1, max: 63, pattern: "^[A-Za-z0-9][A-Za-z0-9_-]*$")
    package static let uuid = Schema.text(format: "uuid")
    package static let time = Schema.text(format: "date-time")

    package struct Field: Sendable {
        package let name: String
        package let schema: Schema
        package let isRequired: Bool
        package let note: String?

        package static func required(_ name: String, _ schema: Schema, _ note: String? = nil) -> Field {
            Field(name: name, schema: schema, isRequired: true, note: note)
        }

        package static func optional(_ name: String, _ schema: Schema, _ note: String? = nil) -> Field {
            Field(name: name, schema: schema, isRequired: false, note: note)
        }
    }

    package var json: JSON { JSONWriter.object { write(to: &$0) } }

    private func write(to writer: inout JSONWriter) {
        switch self {
        case .anything: break
        case .text(let min, let max, let pattern, let format):
            writer.field("type", "string")
            writer.field(ifPresent: "minLength", min)
            writer.field(ifPresent: "maxLength", max)
            writer.field(ifPresent: "pattern", pattern)
            writer.field(ifPresent: "format", format)
        case .choice(let values):
            writer.field("type", "string")
            writer.field("enum", values)
        case .integer(let range):
            writer.field("type", "integer")
            writer.field(ifPresent: "minimum", range?.lowerBound)
            writer.field(ifPresent: "maximum", range?.upperBound)
        case .number: writer.field("type", "number")
        case .boolean: writer.field("type", "boolean")
        case .array(let element, let max):
            writer.field("type", "array")
            writer.field("items", element.json)
            writer.field(ifPresent: "maxItems", max)
        case .map(let value, let names, let max):
            writer.field("type", "object")
            writer.field("additionalProperties", value.json)
            if let names { writer.field("propertyNames", object: { $0.field("pattern", names) }) }
            writer.field(ifPresent: "maxProperties", max)
        case .object(let fields, let isOpen): Self.write(fields, isOpen, to: &writer)
        case .nullable(let schema):
            writer.field(
                "anyOf",
                array: { writer in
                    writer.element(schema.json)
                    writer.element(object: { $0.field("type", "null") })
                })
        case .named(let name): writer.field("$ref", "#/components/schemas/\(name)")
        }
    }

    private static func write(_ fields: [Field], _ isOpen: Bool, to writer: inout JSONWriter) {
        writer.field("type", "object")
        let required = fields.filter(\.isRequired).map(\.name)
        if !required.isEmpty { writer.field("required", required) }
        writer.field(
            "properties",
            object: { writer in
                for field in fields { writer.field(field.name, field.schema.described(field.note)) }
            })
        if !isOpen { writer.field("additionalProperties", false) }
    }

    private func described(_ note: String?) -> JSON {
        JSONWriter.object { writer in
            writer.field(ifPresent: "description", note)
            write(to: &writer)
        }
    }
}

import AgentWorkerCore
import Contracts
import Testing

@Suite
struct AnswerSchemaTests {
    private static func schema(_ text: String) throws -> AnswerSchema { try AnswerSchema(JSON(parsing: text.utf8)) }

    private static let person = """
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Person", "type": "object",
         "required": ["name", "age"], "additionalProperties": false,
         "properties": {"name": {"type": "string", "minLength": 2, "maxLength": 3, "description": "short"},
                        "age": {"type": "integer", "minimum": 0, "maximum": 150},
                        "height": {"type": ["number", "null"], "minimum": 0.5},
                        "colour": {"enum": ["red", "green", 7, null]}, "kind": {"const": "person"},
                        "tags": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "string"}},
                        "free": {}, "flag": {"type": "boolean"}}}
        """

    @Test(
        arguments: [
            "{\"name\":\"Bo\",\"age\":0}", "{\"name\":\"éàü\",\"age\":150}", "{\"name\":\"Bo\",\"age\":7.0}",
            "{\"name\":\"Bo\",\"age\":1e1}", "{\"name\":\"Bo\",\"age\":1,\"height\":null}",
            "{\"name\":\"Bo\",\"age\":1,\"height\":0.5}", "{\"name\":\"Bo\",\"age\":1,\"colour\":7.0}",
            "{\"name\":\"Bo\",\"age\":1,\"colour\":null}", "{\"name\":\"Bo\",\"age\":1,\"kind\":\"person\"}",
            "{\"name\":\"Bo\",\"age\":1,\"tags\":[\"a\",\"b\"]}", "{\"name\":\"Bo\",\"age\":1,\"free\":[[{}]]}",
            "{\"name\":\"Bo\",\"age\":1,\"flag\":false}",
        ]
    )
    func `what fits is let through`(_ text: String) throws {
        try Self.schema(Self.person).check(JSON(parsing: text.utf8))
    }

    @Test(
        arguments: [
            ("[]", ""), ("{\"age\":1}", "name"), ("{\"name\":\"Bo\"}", "age"), ("{\"name\":\"B\",\"age\":1}", "name"),
            ("{\"name\":\"Boris\",\"age\":1}", "name"), ("{\"name\":\"Bo\",\"age\":-1}", "age"),
            ("{\"name\":\"Bo\",\"age\":151}", "age"), ("{\"name\":\"Bo\",\"age\":1.5}", "age"),
            ("{\"name\":\"Bo\",\"age\":\"1\"}", "age"), ("{\"name\":\"Bo\",\"age\":null}", "age"),
            ("{\"name\":\"Bo\",\"age\":1,\"height\":0.4}", "height"),
            ("{\"name\":\"Bo\",\"age\":1,\"height\":true}", "height"),
            ("{\"name\":\"Bo\",\"age\":1,\"colour\":\"blue\"}", "colour"),
            ("{\"name\":\"Bo\",\"age\":1,\"kind\":\"dog\"}", "kind"),
            ("{\"name\":\"Bo\",\"age\":1,\"tags\":[]}", "tags"),
            ("{\"name\":\"Bo\",\"age\":1,\"tags\":[\"a\",\"b\",\"c\"]}", "tags"),
            ("{\"name\":\"Bo\",\"age\":1,\"tags\":[\"a\",2]}", "tags[1]"),
            ("{\"name\":\"Bo\",\"age\":1,\"flag\":0}", "flag"), ("{\"name\":\"Bo\",\"age\":1,\"more\":0}", "more"),
        ]
    )
    func `what does not fit is refused, and the place is named`(_ text: String, _ path: String) throws {
        let schema = try Self.schema(Self.person)
        let error = #expect(throws: JSONError.self) { try schema.check(JSON(parsing: text.utf8)) }
        #expect(error?.path == path)
    }

    @Test(
        arguments: [
            ("[]", "output_schema"), ("true", "output_schema"),
            ("{\"type\":\"text\"}", "output_schema.type"), ("{\"type\":[]}", "output_schema.type"),
            ("{\"pattern\":\"a*\"}", "output_schema.pattern"), ("{\"$ref\":\"#\"}", "output_schema.$ref"),
            ("{\"properties\":{\"a\":{\"anyOf\":[]}}}", "output_schema.properties.a.anyOf"),
            ("{\"items\":{\"format\":\"date\"}}", "output_schema.items.format"),
            ("{\"additionalProperties\":{}}", "output_schema.additionalProperties"),
            ("{\"minLength\":-1}", "output_schema.minLength"),
            ("{\"minItems\":3,\"maxItems\":2}", "output_schema.minItems"),
            ("{\"minimum\":2,\"maximum\":1}", "output_schema.minimum"),
            ("{\"required\":\"a\"}", "output_schema.required"),
        ]
    )
    func `a rule that is not checked is refused, not ignored`(_ text: String, _ path: String) throws {
        let error = #expect(throws: JSONError.self) { try Self.schema(text) }
        #expect(error?.path == path)
    }

    @Test func `size and depth are bounded`() throws {
        let deep = String(repeating: "{\"items\":", count: 17) + "{}" + String(repeating: "}", count: 17)
        #expect(throws: JSONError.self) { try Self.schema(deep) }
        let long = "{\"description\":\"\(String(repeating: "x", count: AnswerSchema.bytesMax))\"}"
        #expect(throws: JSONError.self) { try Self.schema(long) }
    }
}

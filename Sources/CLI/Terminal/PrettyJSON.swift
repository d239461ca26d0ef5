internal import Contracts

/// JSON with two spaces of indent a level; short arrays and objects of plain values stay on one line.
enum PrettyJSON {
    static let columnsMax = 96

    static func text(_ json: JSON) -> String {
        var out = ""
        write(json, indent: 0, into: &out)
        return out
    }

    private static func write(_ json: JSON, indent: Int, into out: inout String) {
        let flat = flatText(json)
        guard json.kind == .object || json.kind == .array, flat.count + indent > columnsMax || isDeep(json) else {
            out += flat
            return
        }
        let inner = String(repeating: " ", count: indent + 2)
        let (open, close) = json.kind == .object ? ("{", "}") : ("[", "]")
        out += open
        var isFirst = true
        for (name, value) in children(json) {
            out += (isFirst ? "\n" : ",\n") + inner + (name.map { "\($0): " } ?? "")
            write(value, indent: indent + 2, into: &out)
            isFirst = false
        }
        out += (isFirst ? "" : "\n" + String(repeating: " ", count: indent)) + close
    }

    private static func flatText(_ json: JSON) -> String {
        guard json.kind == .object || json.kind == .array else { return json.text }
        let parts = children(json).map { name, value in (name.map { "\($0): " } ?? "") + flatText(value) }
        let text = parts.joined(separator: ", ")
        return json.kind == .object ? (parts.isEmpty ? "{}" : "{ \(text) }") : "[\(text)]"
    }

    /// True when a child holds children of its own.
    private static func isDeep(_ json: JSON) -> Bool {
        children(json).contains { _, value in
            (value.kind == .object || value.kind == .array) && !children(value).isEmpty
        }
    }

    private static func children(_ json: JSON) -> [(name: String?, value: JSON)] {
        if let fields = json.fields { return fields.map { (JSONWriter.text($0.name), $0.value) } }
        return (json.array ?? []).map { (nil, $0) }
    }
}

extension JSONWriter {
    /// A string as JSON text, quotes and all.
    fileprivate static func text(_ string: String) -> String {
        let array = JSONWriter.array { $0.element(string) }
        return String(array.text.dropFirst().dropLast())
    }
}

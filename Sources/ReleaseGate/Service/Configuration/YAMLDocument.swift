package import Contracts
internal import Yams

/// A YAML file's documents as JSON: the gate's files are written in YAML and read like everything else.
package enum YAMLDocument {
    /// - Throws: `invalid` naming the file; also for aliases that multiply and for what JSON cannot say.
    package static func all(in path: String) throws(GateError) -> [JSON] {
        try parse(try GateFiles.text(path), from: path)
    }

    package static func one(in path: String) throws(GateError) -> JSON {
        let documents = try all(in: path)
        guard documents.count == 1 else {
            throw GateError(.invalid, "\(path) holds \(documents.count) documents instead of one.")
        }
        return documents[0]
    }

    package static func parse(_ text: String, from path: String) throws(GateError) -> [JSON] {
        var documents: [JSON] = []
        do {
            var nodes = try Yams.compose_all(yaml: text)
            while let node = nodes.next() {
                if case .scalar(let scalar) = node, scalar.string.isEmpty { continue }
                var text = ""
                var budget = nodesMax
                try write(node, to: &text, budget: &budget)
                documents.append(try JSON(parsing: text.utf8))
            }
            // What cannot be read ends the sequence without a word.
            if let error = nodes.error { throw error }
        } catch let error as GateError {
            throw GateError(error.code, "\(path): \(error.message)")
        } catch {
            throw GateError(.invalid, "\(path) is no YAML that can be read.", underlying: error)
        }
        return documents
    }

    /// Aliases can make a small file large.
    private static let nodesMax = 200_000

    private static func write(_ node: Node, to text: inout String, budget: inout Int) throws {
        budget -= 1
        guard budget > 0 else { throw GateError(.invalid, "it is too large") }
        switch node {
        case .scalar(let scalar): text += self.scalar(node, scalar)
        case .sequence(let elements):
            text += "["
            for (index, element) in elements.enumerated() {
                if index > 0 { text += "," }
                try write(element, to: &text, budget: &budget)
            }
            text += "]"
        case .mapping(let pairs):
            text += "{"
            for (index, pair) in pairs.enumerated() {
                guard case .scalar(let key) = pair.key else { throw GateError(.invalid, "a key is no text") }
                text += (index > 0 ? "," : "") + JSONWriter.string(key.string).text + ":"
                try write(pair.value, to: &text, budget: &budget)
            }
            text += "}"
        case .alias: throw GateError(.invalid, "an alias names nothing")
        }
    }

    private static func scalar(_ node: Node, _ scalar: Node.Scalar) -> String {
        guard scalar.style == .any || scalar.style == .plain else { return JSONWriter.string(scalar.string).text }
        if node.null != nil { return "null" }
        if scalar.string == "true" || scalar.string == "false" { return scalar.string }
        if let number = node.int { return String(number) }
        if let number = node.float, number.isFinite { return "\(number)" }
        return JSONWriter.string(scalar.string).text
    }
}

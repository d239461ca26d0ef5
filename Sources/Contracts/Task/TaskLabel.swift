/// One label of a task and its value, written `name=value`: what limits on labels speak of.
package struct TaskLabel: Sendable, Hashable, Comparable, CustomStringConvertible {
    package static let valueScalarsMax = 200

    package let name: String
    package let value: String

    package init(name: String, value: String) {
        self.name = name
        self.value = value
    }

    /// Nil when no task could have such a label. The first `=` ends the name; a value may hold more of them.
    package init?(_ text: some StringProtocol) {
        guard let split = text.firstIndex(of: "=") else { return nil }
        let name = String(text[..<split])
        let value = String(text[text.index(after: split)...])
        guard Self.isName(name), value.unicodeScalars.count <= Self.valueScalarsMax else { return nil }
        self.init(name: name, value: value)
    }

    package var description: String { "\(name)=\(value)" }

    package static func isName(_ text: String) -> Bool { Name<Workflow>(text) != nil }

    package static func < (left: Self, right: Self) -> Bool {
        (left.name, left.value) < (right.name, right.value)
    }
}

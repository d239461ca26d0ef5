/// Names one proposed version of one role's prompt, for life.
package struct PromptID: Sendable, Hashable, CustomStringConvertible {
    package static let range: ClosedRange<Int> = 1...Int(Int32.max)

    package let number: Int

    /// Nil unless the number is one the database could have given.
    package init?(_ number: Int) {
        guard Self.range.contains(number) else { return nil }
        self.number = number
    }

    /// Nil unless the text is such a number in plain decimal digits.
    package init?(_ text: String) {
        guard let number = Int(text), String(number) == text else { return nil }
        self.init(number)
    }

    package var description: String { String(number) }
}

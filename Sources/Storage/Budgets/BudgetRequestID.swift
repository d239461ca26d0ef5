internal import Contracts

/// A caller's name for one reservation, unique within tenant and project: it makes every budget call safe to repeat.
///
/// 1 to 200 visible ASCII characters.
package struct BudgetRequestID: Hashable, Sendable, CustomStringConvertible {
    package static let lengthMax = 200
    /// How the ids of the holds begin that belong to tasks. Callers may not settle those.
    private static let taskPrefix = "task:"

    package let text: String

    /// Nil when `text` does not follow the pattern.
    package init?(_ text: String) {
        guard (1...Self.lengthMax).contains(text.utf8.count), text.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
        else { return nil }
        self.text = text
    }

    /// Names the hold of a task.
    init(of task: TaskID) {
        text = Self.taskPrefix + task.description
    }

    /// True for the hold of a task, which the task's end settles.
    package var isTasks: Bool { text.hasPrefix(Self.taskPrefix) }

    package var description: String { text }
}

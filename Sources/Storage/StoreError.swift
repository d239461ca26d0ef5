/// Why a store could not answer. Business outcomes (a reused key, a stale attempt) are values, never this.
package struct StoreError: Error, Sendable, CustomStringConvertible {
    package enum Code: String, Sendable {
        /// A row holds what this build cannot read.
        case unreadableRow = "store_unreadable_row"
        /// A guarded write found another row than it had just locked; nothing was written.
        case guardFailed = "store_guard_failed"
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { "\(code.rawValue): \(message)" }
}

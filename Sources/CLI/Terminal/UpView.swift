internal import Contracts

/// Tells people how the start of a stack goes.
struct UpView: Sendable {
    let console: Console
    let folder: StackFolder
    let isJSON: Bool
    private let started = ContinuousClock.now

    init(console: Console, folder: StackFolder, isJSON: Bool) {
        self.console = console
        self.folder = folder
        self.isJSON = isJSON
    }

    func show(_ event: UpEvent, isForeground: Bool) {
        switch event {
        case .supervisor: break
        case .step(let words): console.step(words)
        case .note(let words): console.note(Table.printable(words))
        case .firstAdmin(let user, let password):
            console.note("The first admin is \(user). The password is shown this once: \(password)")
        case .running(let name): console.step("\(name) is ready")
        case .stopping(let name): console.step("stopping \(name)")
        case .failed: console.clearStatus()
        case .stopped:
            console.clearStatus()
            if isForeground { console.note("The stack is stopped.") }
        case .ready(let record):
            console.clearStatus()
            showReady(record, isForeground: isForeground)
        }
    }

    private func showReady(_ record: StackRecord, isForeground: Bool) {
        if isJSON { return console.print(record.json.text) }
        let seconds = Double((ContinuousClock.now - started) / .milliseconds(1)) / 1000
        console.print(console.styled("Golden is ready", .green) + " after \(Spans.text(seconds: seconds)).")
        console.print("  API    \(record.apiURL)")
        console.print("  data   \(folder.path)")
        console.print("  logs   \(folder.logs)")
        let option = folder.option
        console.print("Next: golden status\(option) · golden submit\(option) FILE --follow · golden down\(option)")
        if isForeground { console.note("Ctrl-C stops it.") }
    }
}

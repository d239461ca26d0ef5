internal import ArgumentParser
internal import Contracts

/// A task's id on the command line.
struct TaskArgument: ExpressibleByArgument, Sendable {
    let id: TaskID

    init?(argument: String) {
        guard let id = TaskID(argument) else { return nil }
        self.id = id
    }
}

import Contracts
import Testing

@testable import OrchestratorCore

/// Which prompt an attempt works by, and where that is kept.
@Suite struct `Task prompts` {
    static let third = RolePrompt(version: 3, content: "Be brief.")

    private func items(_ effects: [TaskMachine.Effect]) -> [WorkItem] {
        effects.compactMap { if case .hand(let item) = $0 { item } else { nil } }
    }

    private func told(_ effects: [TaskMachine.Effect]) -> [String] {
        effects.compactMap { effect in
            guard case .record(let event) = effect else { return nil }
            let version = event.data.fields?.first { $0.name == "prompt_version" }?.value.int
            return "\(event.kind.rawValue) \(version.map(String.init) ?? "-")"
        }
    }

    @Test func `an attempt is handed the prompt it was dispatched with, and so is its repetition`() {
        let (task, effects) = TaskMachine.admit(
            newTask(), lease: ("l", .null), prompt: Self.third, context: context())
        #expect(task.promptVersion == 3)
        #expect(items(effects).map(\.prompt) == ["Be brief."] && items(effects).map(\.promptVersion) == [3])
        #expect(told(effects) == ["task.created -", "task.dispatched 3"])
        let again = TaskMachine.workItem(
            of: task, input: .null, prompt: Self.third, previous: nil, workflow: context().workflow)
        #expect(again == items(effects).first)
    }

    @Test func `a retry is handed the prompt of its own time`() throws {
        let (task, _) = TaskMachine.admit(newTask(), lease: ("lease-1", .null), prompt: Self.third, context: context())
        let failure = AgentReport.Body.failed(.init(code: "busy", message: "m", isRetryable: true))
        let (waiting, effects) = try changed(task, report(failure), context(1))
        #expect(waiting.promptVersion == 3 && told(effects) == ["task.retrying 3"])
        let fourth = RolePrompt(version: 4, content: "Be brief and right.")
        let dispatch = TaskMachine.Event.dispatched(token: "lease-2", input: .null, prompt: fourth)
        let (second, more) = try changed(waiting, dispatch, context(100))
        #expect(second.promptVersion == 4 && items(more).map(\.prompt) == ["Be brief and right."])
        let done = report(success, attempt: 2, lease: "lease-2")
        let (ended, last) = try changed(second, done, context(101))
        #expect(ended.promptVersion == 4 && told(last) == ["task.completed 4"])
    }

    @Test func `another stage starts without the prompt of the one before`() throws {
        let (task, _) = TaskMachine.admit(
            newTask(), lease: ("lease-1", .null), prompt: Self.third, context: context(stages: 2))
        let (next, effects) = try changed(task, report(success), context(1, stages: 2))
        #expect(next.promptVersion == nil && told(effects) == ["task.stage_completed 3"])
    }

    private struct Unchanged: Error {}

    private func changed(
        _ task: TaskRecord, _ event: TaskMachine.Event, _ context: TaskMachine.Context
    ) throws -> (TaskRecord, [TaskMachine.Effect]) {
        guard case .changed(let next, let effects) = TaskMachine.decide(task, event, context: context) else {
            throw Unchanged()
        }
        return (next, effects)
    }
}

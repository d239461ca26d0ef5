package import Contracts

/// The program that runs the tests of a task's work.
package enum ExecutionPlan {
    /// Before the stage's name in what the sandbox knows as the caller.
    package static let callerPrefix = "stage:"
    /// The largest request: it travels in one message.
    static let requestBytesMax = WorkItem.bytesMax

    /// Why the work has nothing that could be run; the author's to mend.
    package struct Unrunnable: Error, Sendable, Equatable {
        package let message: String
    }

    /// What is asked of the sandbox while the task waits for it; nil when it does not. Asked again it is the same run.
    ///
    /// - Parameter artifact: the task's draft: `{"files": {"path": "text"}}`.
    package static func request(
        of task: TaskRecord, artifact: JSON, workflow: Workflow
    ) throws(Unrunnable) -> SandboxRequest? {
        guard case .waiting(.execution, let lease) = task.phase, let execution = ExecutionID(lease.token) else {
            return nil
        }
        let stage = workflow.stages[task.stage]
        guard case .execute(let terms) = stage.kind else { return nil }
        let request = SandboxRequest(
            execution: execution, tenant: task.tenant, caller: callerPrefix + stage.name, task: task.id,
            attempt: task.attempt, program: try program(of: artifact, terms)
        )
        guard request.json.bytes.count <= requestBytesMax else {
            throw Unrunnable(message: "The work's files are too large to be run.")
        }
        return request
    }

    /// Read by the same rules as a request of the API, from the same form.
    private static func program(of artifact: JSON, _ terms: ExecuteTerms) throws(Unrunnable) -> SandboxProgram {
        guard let files = artifact.fields?.first(where: { $0.name == "files" })?.value.fields, !files.isEmpty,
            files.allSatisfy({ $0.value.string != nil })
        else { throw Unrunnable(message: "The work has no files to run: {\"files\": {\"path\": \"text\"}}.") }
        let json = JSONWriter.object { writer in
            writer.field("language", terms.language)
            writer.field("test", true)
            writer.field(
                "files",
                array: { writer in
                    for file in files {
                        writer.element(object: {
                            $0.field("path", file.name)
                            $0.field("content", file.value)
                        })
                    }
                })
            if !terms.limits.isEmpty { writer.field("limits", object: terms.limits.write) }
        }
        do throws(JSONError) { return try SandboxProgram(json: json) } catch {
            throw Unrunnable(message: "The work's files cannot be run: \(error).")
        }
    }
}

/// The supervisor's hand on `stack.json`: every change is written down before the next step is taken.
actor StackJournal {
    private let folder: StackFolder
    private(set) var record: StackRecord

    init(folder: StackFolder, record: StackRecord) {
        self.folder = folder
        self.record = record
    }

    /// A full disk must not keep the supervisor from its work, so a failed write is only told.
    func update(_ change: @Sendable (inout StackRecord) -> Void) {
        change(&record)
        save()
    }

    /// Notes a change of one process.
    func note(_ process: StackRecord.Process) {
        if let index = record.processes.firstIndex(where: { $0.name == process.name }) {
            record.processes[index] = process
        } else {
            record.processes.append(process)
        }
        save()
    }

    private func save() {
        do {
            try record.save(to: folder)
        } catch {
            FileHandles.standardError.write("\(error)\n")
        }
    }
}

/// The supervisor's hand on `stack.json`: every change is written down before the next step is taken.
actor StackJournal {
    private let folder: StackFolder
    private(set) var record: StackRecord
    /// Of the record that was last forced to disk; the first one `StackPreparation` has.
    private var lasting: StackRecord.State

    init(folder: StackFolder, record: StackRecord) {
        self.folder = folder
        self.record = record
        lasting = record.state
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

    /// Notes that one process took another's place and name.
    func succeed(_ name: String, old: StackRecord.Process, new: StackRecord.Process) {
        record.processes.removeAll { $0.name == StackRecord.Process.following(name) || $0.name == old.name }
        if let index = record.processes.firstIndex(where: { $0.name == name }) { record.processes[index] = new }
        record.processes.append(old)
        save()
    }

    /// Notes that a process is no more.
    func forget(_ name: String) {
        record.processes.removeAll { $0.name == name }
        save()
    }

    /// Many a time while the stack starts; forced to disk when the whole stack's state is another.
    private func save() {
        do {
            try record.save(to: folder, isSynced: record.state != lasting)
            lasting = record.state
        } catch {
            FileHandles.standardError.write("\(error)\n")
        }
    }
}

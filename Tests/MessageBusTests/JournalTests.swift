import Testing

@Suite(.timeLimit(.minutes(1)))
struct JournalTests {
    @Test func `a wait ends with enough entries, and otherwise with its task`() async throws {
        let journal = Journal<Int>()
        async let first = journal.wait(for: 2)
        for number in 1...3 { journal.add(number) }
        let entries = try await first
        #expect(entries.starts(with: [1, 2]))
        let waiting = Task { try await journal.wait(for: 4) }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
    }
}

import AgentWorkerCore
import Contracts
import Foundation
import Testing

@Suite
struct LeaseBookTests {
    private static let start = Date(timeIntervalSince1970: 1_800_000_000)
    private let one = LeaseBook.Key(task: taskID(1), attempt: 1)
    private let retried = LeaseBook.Key(task: taskID(1), attempt: 2)
    private let other = LeaseBook.Key(task: taskID(2), attempt: 1)

    private func received(_ key: LeaseBook.Key, in seconds: TimeInterval = 100) -> LeaseBook.Event {
        .received(key, deadline: Self.start.addingTimeInterval(seconds), now: Self.start)
    }

    private func book(_ events: LeaseBook.Event...) -> LeaseBook {
        var book = LeaseBook()
        for event in events { _ = book.apply(event) }
        return book
    }

    @Test func `new work starts and is acknowledged when done`() {
        var book = LeaseBook()
        #expect(book.apply(received(one)) == [.start(one)])
        #expect(book.apply(.finished(one, isReported: true)) == [.acknowledge(one)])
        #expect(book == LeaseBook())
    }

    @Test func `work that comes too late is dropped`() {
        var book = LeaseBook()
        #expect(book.apply(received(one, in: 0)) == [.drop(one)])
        #expect(book.apply(received(one, in: -5)) == [.drop(one)])
        #expect(book.entries.isEmpty)
    }

    @Test func `the same attempt again is adopted, not run twice`() {
        var book = book(received(one))
        #expect(book.apply(received(one)) == [.adopt(one)])
        _ = book.apply(.canceled(one.task, upTo: 1))
        #expect(book.apply(received(one)) == [.adopt(one)])
        #expect(book.entries.count == 1)
    }

    @Test func `a newer attempt supersedes an older one, and an older one is dropped`() {
        var newer = book(received(one))
        #expect(newer.apply(received(retried)) == [.stop(one, .superseded), .start(retried)])
        #expect(newer.apply(.finished(one, isReported: false)) == [.acknowledge(one)])
        #expect(newer.apply(received(one)) == [.drop(one)])
        #expect(newer.apply(.finished(retried, isReported: true)) == [.acknowledge(retried)])
        #expect(newer.apply(received(one)) == [.start(one)])
    }

    @Test func `work that was canceled before it arrived is not begun, its next attempt is`() {
        var book = book(.canceled(one.task, upTo: 1))
        #expect(book.apply(received(one)) == [.drop(one)])
        #expect(book.apply(received(retried)) == [.start(retried)])
    }

    @Test(arguments: [(1, true), (2, true), (0, false)])
    func `a cancel stops attempts up to the one it names`(_ upTo: Int, _ stops: Bool) {
        var book = book(received(one), received(other))
        #expect(book.apply(.canceled(one.task, upTo: upTo)) == (stops ? [.stop(one, .canceled)] : []))
        #expect(book.apply(.canceled(one.task, upTo: upTo)) == [])
        #expect(book.entries[other]?.phase == .running)
    }

    @Test func `work is stopped a margin before its deadline, once`() {
        var book = book(received(one, in: 100), received(other, in: 2))
        #expect(book.apply(.tick(now: Self.start.addingTimeInterval(1.7))) == [])
        #expect(book.apply(.tick(now: Self.start.addingTimeInterval(1.8))) == [.stop(other, .deadline)])
        #expect(book.apply(.tick(now: Self.start.addingTimeInterval(5))) == [])
        #expect(book.apply(.tick(now: Self.start.addingTimeInterval(99))) == [.stop(one, .deadline)])
        #expect(book.apply(.finished(one, isReported: false)) == [.acknowledge(one)])
    }

    @Test func `a draining agent takes nothing, finishes what it has, and hands back the rest`() {
        var book = book(received(one), received(other), .drainBegan)
        let late = LeaseBook.Key(task: taskID(3), attempt: 1)
        #expect(book.apply(received(late)) == [.giveBack(late)])
        #expect(book.apply(received(one)) == [.adopt(one)])
        #expect(book.apply(.finished(one, isReported: true)) == [.acknowledge(one)])
        #expect(book.apply(.drainEnded) == [.stop(other, .shutdown)])
        #expect(book.apply(.finished(other, isReported: false)) == [.giveBack(other)])
        #expect(book.entries.isEmpty)
    }

    @Test func `what was reported just before the end is not handed back`() {
        var book = book(received(one), .drainBegan, .drainEnded)
        #expect(book.apply(.finished(one, isReported: true)) == [.acknowledge(one)])
    }

    @Test func `an end that nobody waits for changes nothing`() {
        var book = book(received(one))
        let before = book
        #expect(book.apply(.finished(other, isReported: true)) == [])
        #expect(book == before)
    }
}

/// The task of that number.
func taskID(_ number: UInt64) -> TaskID {
    TaskID(at: Date(timeIntervalSince1970: 1_800_000_000), random: (0, number << 2))
}

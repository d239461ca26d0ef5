import Contracts
import HTTPEdge
import Testing

@testable import OrchestratorService

/// Who may wait for news, and what reaches whom.
@Suite(.timeLimit(.minutes(1))) struct `Watchers of events` {
    private static let acme = TenantID(literal: "acme")
    private static let beta = TenantID(literal: "beta")

    @Test func `a tenant that takes all it can get leaves places to others`() {
        for max in [EventHub.watchersMax, SandboxHub.watchersMax] {
            let watchers = Watchers<Int, Int>(max: max, bufferMax: 1)
            let greedy = (0..<max + 1).compactMap { watchers.watch($0, for: Self.acme) }
            let other = watchers.watch(0, for: Self.beta)
            withExtendedLifetime((greedy, other)) {
                #expect(greedy.count == max / 2)
                #expect(watchers.count == max / 2 + 1)
            }
        }
    }

    @Test func `all of them leave connections to requests that wait for nothing`() {
        let watching = EventHub.watchersMax + SandboxHub.watchersMax + ReplayFeed.followersMax
        #expect(watching <= EdgeServerConfiguration().connectionsMax * 3 / 4)
    }

    @Test func `a tenant that follows all replays it can leaves places to others, and gives its own back`() {
        let followers = ReplayFollowers(max: 4)
        var places = (0..<4).compactMap { _ in followers.place(for: Self.acme) }
        #expect(places.count == 2)
        let other = followers.place(for: Self.beta)
        #expect(other != nil)
        let refused = followers.place(for: Self.acme)
        #expect(refused == nil)
        places.removeAll()
        withExtendedLifetime(other) {
            places = (0..<4).compactMap { _ in followers.place(for: Self.acme) }
            #expect(places.count == 2)
        }
    }

    @Test func `who goes gives its place back`() {
        let watchers = Watchers<Int, Int>(max: 2, bufferMax: 1)
        var streams = [watchers.watch(1, for: Self.acme)]
        let refused = watchers.watch(2, for: Self.acme)
        withExtendedLifetime((streams, refused)) {
            #expect(watchers.keys == [1] && watchers.isWatched(1) && watchers.count == 1)
        }
        streams.removeAll()
        #expect(watchers.keys.isEmpty && !watchers.isWatched(1) && watchers.count == 0)
        let next = watchers.watch(2, for: Self.acme)
        withExtendedLifetime(next) { #expect(watchers.keys == [2]) }
    }

    @Test func `news reaches all who watch what it is about, and nobody else`() async {
        let watchers = Watchers<String, Int>(max: 10, bufferMax: 4)
        let streams = ["a", "a", "b"].compactMap { watchers.watch($0, for: Self.acme) }
        #expect(streams.count == 3)
        watchers.tell(1, about: "a")
        watchers.tell(2, about: "b")
        watchers.tell(3, about: "c")
        watchers.tell(4) { $0 == 1 }
        watchers.tell(5) { _ in true }
        var heard: [[Int]] = []
        for stream in streams {
            var signals: [Int] = []
            for await signal in stream {
                signals.append(signal)
                if signal == 5 { break }
            }
            heard.append(signals)
        }
        #expect(heard == [[1, 4, 5], [1, 5], [2, 5]])
    }
}

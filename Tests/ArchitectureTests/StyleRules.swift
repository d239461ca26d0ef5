import Foundation
import Testing

/// The rules of style that a program can check.
@Suite struct `Style rules` {
    static let fileLinesMax = 400
    static let functionLinesMax = 60
    static let mainLinesMax = 150
    static let columnsMax = 120

    @Test func `files, lines and functions stay short`() throws {
        for file in try SourceFile.swift(below: "Sources", "Tests") {
            #expect(file.lines.count <= Self.fileLinesMax, "\(file.path) has \(file.lines.count) lines")
            for (number, line) in file.lines.enumerated() where file.path.hasPrefix("Sources/") {
                #expect(line.count <= Self.columnsMax, "\(file.path):\(number + 1) has \(line.count) columns")
            }
            for function in Self.functions(of: file) {
                #expect(function.length <= Self.functionLinesMax, "\(file.path): \(function.name) is too long")
            }
        }
    }

    @Test func `a Main is thin`() throws {
        for file in try SourceFile.swift(below: "Sources/Services") where file.path.contains("/Main/") {
            #expect(file.lines.count <= Self.mainLinesMax, "\(file.path) has \(file.lines.count) lines")
        }
    }

    @Test func `failures are never hidden`() throws {
        let banned = /\btry[?!]|\bas!|catch\s*\{\s*\}|Task\.detached|(?:^|[^\w.])Task\s*\{|\b(?:TODO|FIXME)\b/
        for file in try SourceFile.swift(below: "Sources") {
            for (number, line) in file.lines.enumerated() where !line.drop(while: { $0 == " " }).hasPrefix("//") {
                #expect(line.firstMatch(of: banned) == nil, "\(file.path):\(number + 1): \(line)")
            }
        }
    }

    @Test func `only drivers vouch for Sendable themselves`() throws {
        for file in try SourceFile.swift(below: "Sources") where !file.path.hasPrefix("Sources/Drivers/") {
            #expect(!file.text.contains("@unchecked Sendable"), "\(file.path)")
        }
    }

    @Test func `SQL stands in Storage and migrations, and is never put together from values`() throws {
        // About the embedded stack's servers, not about what is stored in them.
        let replication = "Sources/CLI/Cluster/ReplicationQuestion.swift"
        let verbs = /"\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM)\s/
        for file in try SourceFile.swift(below: "Sources") {
            if file.path.hasPrefix("Sources/Storage/") {
                for literal in Self.sqlLiterals(of: file) {
                    #expect(!literal.contains("\\("), "\(file.path) interpolates into SQL")
                }
            } else if !file.path.hasPrefix("Sources/Drivers/Postgres/"), file.path != replication {
                #expect(file.text.firstMatch(of: verbs) == nil, "\(file.path) holds SQL")
            }
        }
    }

    /// Whoever takes messages from a stream does so by `MessageBus.consume` or `WorkLeases`, which give up alike: after so
    /// many deliveries, or at once on what cannot be read, into a dead letter, and only then off the stream.
    @Test func `streams are consumed in MessageBus alone`() throws {
        let pulls = /\b(?:pullConsumer|PullConsumer|openPull)\b/
        for file in try SourceFile.swift(below: "Sources")
        where !file.path.hasPrefix("Sources/MessageBus/") && !file.path.hasPrefix("Sources/Drivers/NATS/") {
            #expect(file.text.firstMatch(of: pulls) == nil, "\(file.path) takes messages past the giving-up policy")
        }
        let bus = try SourceFile.swift(below: "Sources/MessageBus")
        let openers = bus.filter { $0.text.contains("try openPull(") || $0.text.contains("bus.openPull(") }
        #expect(openers.map(\.path).sorted() == Self.consuming)
        for file in bus where file.text.contains("decode(") && file.path != "Sources/MessageBus/Received.swift" {
            #expect(file.text.contains("giveUp("), "\(file.path) reads messages and never gives up on any")
        }
    }

    private static let consuming = [
        "Sources/MessageBus/MessageBus+Consume.swift", "Sources/MessageBus/WorkLeases.swift",
    ]

    /// Each service sets the streams up when it starts: one that were told less than the others would shrink them, and
    /// what no longer fits is lost. Agents only use streams.
    @Test func `services are told how the streams are kept by BusSettings alone`() throws {
        let made = /\bBusConfiguration\(/
        for file in try SourceFile.swift(below: "Sources/Services")
        where !file.path.hasPrefix("Sources/Services/AgentWorker/") {
            #expect(file.text.firstMatch(of: made) == nil, "\(file.path) decides about the streams by itself")
        }
    }

    @Test func `subjects are spelled in Contracts alone`() throws {
        let literal = /"(work|results|events|prc|supervisor|sandbox|dlq|control|alerts|rpc|agents)\.[^"]*"/
        for file in try SourceFile.swift(below: "Sources") where file.path != "Sources/Contracts/Subject.swift" {
            for line in file.lines where !line.drop(while: { $0 == " " }).hasPrefix("//") {
                guard let match = line.firstMatch(of: literal) else { continue }
                #expect(Self.isMetricOrKey(String(match.0)), "\(file.path): \(match.0)")
            }
        }
    }

    /// Dotted words that are no subjects: permissions such as "agents.read", columns such as "tasks.state".
    private static func isMetricOrKey(_ literal: String) -> Bool {
        literal.firstMatch(of: /^"[a-z]+\.(read|write|create|cancel|replay|resolve|execute|configure|approve)"$/) != nil
    }

    /// The text of every `static let sql` of a file.
    static func sqlLiterals(of file: SourceFile) -> [Substring] {
        file.text.matches(of: /static let sql\s*=\s*([\s\S]*?)\n\n/).map(\.1)
    }

    /// Functions and initialisers with their lengths, found by indentation.
    static func functions(of file: SourceFile) -> [(name: String, length: Int)] {
        let start =
            /^( *)(?:@\w+(?:\([^)]*\))? )*(?:(?:public|package|internal|private|fileprivate|static|mutating|override|borrowing|consuming|convenience|nonisolated) )*(func [^(<]+|init[?(])/
        var found: [(name: String, length: Int)] = []
        let lines = file.lines
        for (number, line) in lines.enumerated() {
            guard let match = line.firstMatch(of: start) else { continue }
            let end = "\(match.1)}"
            guard let last = lines[number...].firstIndex(where: { $0 == end }) else { continue }
            let next = lines[(number + 1)...].firstIndex { $0.firstMatch(of: start)?.1 == match.1 } ?? Int.max
            if last < next { found.append((String(match.2), last - number + 1)) }
        }
        return found
    }
}

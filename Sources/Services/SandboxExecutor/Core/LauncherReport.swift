package import Contracts

/// What the launcher said on its status pipe. Lines it does not know are passed over, as its protocol asks.
package struct LauncherReport: Sendable, Equatable {
    /// The longest line that is read; a longer one is no record.
    package static let lineBytesMax = 512
    /// Lines kept of one launcher; it sends about ten.
    package static let linesMax = 1000

    package enum Step: String, Sendable { case compile, run }

    package enum End: Sendable, Equatable {
        case code(Int)
        case signal(Int)
    }

    package struct Exit: Sendable, Equatable {
        package let end: End
        package let cpuMicroseconds: Int
        package let memoryPeakBytes: Int
    }

    /// Whose network namespace it is.
    package enum Network: String, Sendable {
        /// Made with the sandbox.
        case new
        /// Its slot's.
        case slot
        /// Made with the sandbox, because something was found in its slot's.
        case unclean
        /// No namespace at all, in the restricted tier.
        case host
    }

    package struct Layers: Sendable, Equatable {
        package let tier: SandboxTier
        package let cgroup: String
        package let landlock: Int
        package let network: Network
    }

    package struct Fault: Sendable, Equatable {
        package let stage: String
        package let errno: Int
        package let place: String
    }

    package struct Artifacts: Sendable, Equatable {
        package let count: Int
        package let skipped: Int
        package let isTruncated: Bool
    }

    package private(set) var version: Int?
    package private(set) var initPID: Int?
    package private(set) var layers: Layers?
    package private(set) var started: [Step] = []
    package private(set) var exits: [Step: Exit] = [:]
    package private(set) var artifacts: Artifacts?
    package private(set) var usage: Exit?
    package private(set) var fault: Fault?
    private var lines = 0
    private var partial: [UInt8] = []

    package init() {}

    /// How the main process of the last step ended: the program's, or that of a compiler that refused it. Nil while it
    /// has not: a compiler that was content says nothing of the program.
    package var lastExit: Exit? { exits[.run] ?? exits[.compile].flatMap { $0.end == .code(0) ? nil : $0 } }

    package mutating func feed(_ bytes: ArraySlice<UInt8>) {
        for byte in bytes {
            if byte == UInt8(ascii: "\n") {
                if partial.count <= Self.lineBytesMax { read(String(decoding: partial, as: UTF8.self)) }
                partial.removeAll(keepingCapacity: true)
            } else if partial.count <= Self.lineBytesMax {
                partial.append(byte)
            }
        }
    }

    private mutating func read(_ line: String) {
        guard lines < Self.linesMax else { return }
        lines += 1
        let words = line.split(separator: " ")
        guard let record = words.first else { return }
        let pairs = words.dropFirst().compactMap { word -> (String, String)? in
            guard let equals = word.firstIndex(of: "=") else { return nil }
            return (String(word[..<equals]), String(word[word.index(after: equals)...]))
        }
        let fields = Dictionary(pairs) { first, _ in first }
        func number(_ name: String) -> Int { fields[name].flatMap { Int($0) } ?? 0 }
        switch record {
        case "version": version = number("protocol")
        case "init": initPID = fields["pid"].flatMap { Int($0) }
        case "layers":
            layers = Layers(
                tier: fields["tier"].flatMap(SandboxTier.init) ?? .restricted, cgroup: fields["cgroup"] ?? "none",
                landlock: number("landlock"), network: fields["network"].flatMap(Network.init) ?? .unclean
            )
        case "started": if let step = fields["step"].flatMap(Step.init) { started.append(step) }
        case "exit": if let step = fields["step"].flatMap(Step.init) { exits[step] = Self.exit(fields) }
        case "artifacts":
            artifacts = Artifacts(
                count: number("count"), skipped: number("skipped"), isTruncated: number("truncated") == 1)
        case "usage": usage = Self.exit(fields)
        case "error":
            // The first is the cause; what follows is what came of it.
            if fault == nil {
                fault = Fault(stage: fields["stage"] ?? "", errno: number("errno"), place: fields["at"] ?? "")
            }
        default: break
        }
    }

    private static func exit(_ fields: [String: String]) -> Exit {
        func number(_ name: String) -> Int { max(0, fields[name].flatMap { Int($0) } ?? 0) }
        return Exit(
            end: fields["kind"] == "signal" ? .signal(number("value")) : .code(number("value")),
            cpuMicroseconds: number("user_us") + number("system_us"), memoryPeakBytes: number("maxrss_kib") << 10
        )
    }
}

internal import FoundationEssentials

/// How one run ended and all that is known about it.
package struct SandboxOutcome: Sendable, Equatable {
    /// What a program wrote to one of its streams: the beginning, the end, and how much there was.
    package struct Output: Sendable, Equatable {
        package var head: [UInt8]
        /// Empty unless something was cut before it.
        package var tail: [UInt8]
        package var bytesTotal: Int

        package init(head: [UInt8] = [], tail: [UInt8] = [], bytesTotal: Int = 0) {
            self.head = head
            self.tail = tail
            self.bytesTotal = bytesTotal
        }

        package var bytesCut: Int { bytesTotal - head.count - tail.count }
    }

    /// A file the run left behind and was asked for.
    package struct Artifact: Sendable, Equatable {
        /// Relative to `/box`; the program's own words otherwise.
        package let name: String
        package let bytes: Int
        /// Of the content, in hexadecimal.
        package let sha256: String
        /// Nil where the message that carries it has no room.
        package var content: [UInt8]?

        package init(name: String, bytes: Int, sha256: String, content: [UInt8]?) {
            self.name = name
            self.bytes = bytes
            self.sha256 = sha256
            self.content = content
        }
    }

    /// Why it is a `sandbox_error`.
    package struct Failure: Sendable, Equatable {
        /// A stable word.
        package let code: String
        package let message: String

        package init(code: String, message: String) {
            self.code = code
            self.message = message
        }

        /// The request asks for what is not to be had: the caller's to mend.
        package static let invalidRequest = "invalid_request"
    }

    package struct Usage: Sendable, Equatable {
        package var wallMicroseconds = 0
        package var cpuMicroseconds = 0
        package var memoryPeakBytes = 0

        package init() {}
    }

    /// What held while it ran, from the launcher's own report.
    package struct Isolation: Sendable, Equatable {
        package var tier: SandboxTier
        package var cgroup: String
        /// The ABI in use; 0 for none.
        package var landlock: Int
        package var isWarm: Bool

        package init(tier: SandboxTier, cgroup: String, landlock: Int, isWarm: Bool) {
            self.tier = tier
            self.cgroup = cgroup
            self.landlock = landlock
            self.isWarm = isWarm
        }
    }

    package var status: SandboxStatus
    package var exitCode: Int?
    package var signal: Int?
    /// True when it never came to the program: the compiler refused it, and its words are in `stderr`.
    package var failedToCompile = false
    package var failure: Failure?
    package var stdout = Output()
    package var stderr = Output()
    package var artifacts: [Artifact] = []
    /// What was asked for and could not be brought back: no regular file, or not readable.
    package var artifactsSkipped = 0
    /// A bound cut the list short, or the run was killed before all of them had come.
    package var artifactsTruncated = false
    package var usage = Usage()
    /// Nil when nothing was run.
    package var isolation: Isolation?
    /// The number of processes was at its limit once.
    package var hitProcessLimit = false

    package init(status: SandboxStatus) {
        self.status = status
    }

    package static func failed(_ code: String, _ message: String) -> SandboxOutcome {
        var outcome = SandboxOutcome(status: .sandboxError)
        outcome.failure = Failure(code: code, message: message)
        return outcome
    }
}

// MARK: As JSON

extension SandboxOutcome {
    /// With at most so much of each stream and of all artifacts together, for a message that has no room for more.
    package func clipped(outputBytesMax: Int, artifactBytesMax: Int) -> SandboxOutcome {
        var outcome = self
        for path in [\SandboxOutcome.stdout, \.stderr] {
            let kept = outcome[keyPath: path]
            guard kept.head.count + kept.tail.count > outputBytesMax else { continue }
            let tail = outputBytesMax / 4
            let all = kept.tail.isEmpty ? kept.head : kept.tail
            outcome[keyPath: path].head = OutputText.wholeScalars(kept.head.prefix(outputBytesMax - tail), atEnd: true)
            outcome[keyPath: path].tail = OutputText.wholeScalars(all.suffix(tail), atEnd: false)
        }
        var room = artifactBytesMax
        for index in outcome.artifacts.indices {
            room -= outcome.artifacts[index].bytes
            if room < 0 { outcome.artifacts[index].content = nil }
        }
        return outcome
    }

    package func write(to writer: inout JSONWriter) {
        writer.field("status", status.rawValue)
        writer.field(ifPresent: "exit_code", exitCode)
        writer.field(ifPresent: "signal", signal)
        if failedToCompile { writer.field("step", "compile") }
        if let failure {
            writer.field(
                "error",
                object: {
                    $0.field("code", failure.code)
                    $0.field("message", failure.message)
                })
        }
        writer.field("stdout", object: stdout.write)
        writer.field("stderr", object: stderr.write)
        writer.field(
            "artifacts", array: { writer in for artifact in artifacts { writer.element(object: artifact.write) } })
        writer.field("artifacts_skipped", artifactsSkipped)
        writer.field("artifacts_truncated", artifactsTruncated)
        writer.field(
            "usage",
            object: {
                $0.field("wall_ms", Double(usage.wallMicroseconds) / 1000)
                $0.field("cpu_ms", Double(usage.cpuMicroseconds) / 1000)
                $0.field("memory_peak_bytes", usage.memoryPeakBytes)
            })
        writer.field("processes_limit_hit", hitProcessLimit)
        if let isolation {
            writer.field("isolation", isolation.tier.rawValue)
            writer.field(
                "layers",
                object: {
                    $0.field("cgroup", isolation.cgroup)
                    $0.field("landlock", isolation.landlock)
                    $0.field("warm", isolation.isWarm)
                })
        }
    }

    package init(from body: inout JSONReader) throws(JSONError) {
        guard let status = SandboxStatus(rawValue: try body.string("status")) else {
            throw body.error("status", "is unknown")
        }
        self.status = status
        exitCode = try body.optionalInt("exit_code")
        signal = try body.optionalInt("signal")
        failedToCompile = try body.optionalString("step") == "compile"
        if var reader = try body.optionalObject("error") {
            failure = Failure(code: try reader.string("code"), message: try reader.string("message"))
        }
        if var reader = try body.optionalObject("stdout") { stdout = try Output(from: &reader) }
        if var reader = try body.optionalObject("stderr") { stderr = try Output(from: &reader) }
        for (index, json) in (try body.optionalArray("artifacts") ?? []).enumerated() {
            var reader = try JSONReader(json, path: "artifacts[\(index)]")
            artifacts.append(try Artifact(from: &reader))
        }
        artifactsSkipped = try body.optionalInt("artifacts_skipped") ?? 0
        artifactsTruncated = try body.optionalBool("artifacts_truncated") ?? false
        if var reader = try body.optionalObject("usage") {
            usage.wallMicroseconds = try Self.microseconds("wall_ms", of: &reader)
            usage.cpuMicroseconds = try Self.microseconds("cpu_ms", of: &reader)
            usage.memoryPeakBytes = try reader.optionalInt("memory_peak_bytes") ?? 0
        }
        hitProcessLimit = try body.optionalBool("processes_limit_hit") ?? false
        if let tier = try body.optionalString("isolation").flatMap(SandboxTier.init),
            var layers = try body.optionalObject("layers")
        {
            isolation = Isolation(
                tier: tier, cgroup: try layers.string("cgroup"), landlock: try layers.int("landlock"),
                isWarm: try layers.optionalBool("warm") ?? false
            )
        }
    }
}

extension SandboxOutcome {
    /// A year; no run takes longer, and what was not measured is no time.
    private static let millisecondsMax = 31_536_000_000.0

    private static func microseconds(_ field: String, of usage: inout JSONReader) throws(JSONError) -> Int {
        let milliseconds = try usage.optionalDouble(field) ?? 0
        guard (0...millisecondsMax).contains(milliseconds) else {
            throw usage.error(field, "must be a time from 0 to a year, in milliseconds")
        }
        return Int((milliseconds * 1000).rounded())
    }
}

extension SandboxOutcome.Output {
    /// One encoding for both parts, so that a reader has one thing to look at.
    fileprivate func write(to writer: inout JSONWriter) {
        let texts = (OutputText.text(head), OutputText.text(tail))
        if let head = texts.0, let tail = texts.1 {
            writer.field("encoding", "utf8")
            writer.field("data", head)
            if !self.tail.isEmpty { writer.field("tail", tail) }
        } else {
            writer.field("encoding", "base64")
            writer.field("data", OutputText.base64(head))
            if !tail.isEmpty { writer.field("tail", OutputText.base64(tail)) }
        }
        writer.field("bytes_total", bytesTotal)
        writer.field("bytes_cut", bytesCut)
        writer.field("truncated", bytesCut > 0)
    }

    fileprivate init(from reader: inout JSONReader) throws(JSONError) {
        let isText = try reader.string("encoding") == "utf8"
        func bytes(_ field: String, _ text: String?) throws(JSONError) -> [UInt8] {
            guard let text else { return [] }
            if isText { return Array(text.utf8) }
            guard let data = Data(base64Encoded: text) else { throw reader.error(field, "is not base64") }
            return Array(data)
        }
        let (data, tail) = (try reader.optionalString("data"), try reader.optionalString("tail"))
        self.init(
            head: try bytes("data", data), tail: try bytes("tail", tail), bytesTotal: try reader.int("bytes_total"))
    }
}

extension SandboxOutcome.Artifact {
    fileprivate func write(to writer: inout JSONWriter) {
        writer.field("name", name)
        writer.field("bytes", bytes)
        writer.field("sha256", sha256)
        if let content { OutputText.write(content, text: "content", base64: "base64", to: &writer) }
    }

    fileprivate init(from reader: inout JSONReader) throws(JSONError) {
        let content = try reader.optionalBytes(text: "content", base64: "base64")
        self.init(
            name: try reader.string("name"), bytes: try reader.int("bytes"), sha256: try reader.string("sha256"),
            content: content
        )
    }
}

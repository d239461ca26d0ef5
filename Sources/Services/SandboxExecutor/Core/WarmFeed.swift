internal import Contracts

/// What a warm interpreter is told, once: the header and the files, as its prelude reads them. The header also has the
/// command of a cold start, for a program that a warm interpreter would serve differently.
package enum WarmFeed {
    package static func bytes(of plan: RunPlan) -> [UInt8] {
        let header = JSONWriter.object { writer in
            writer.field("argv", plan.program.arguments)
            writer.field(
                "env",
                object: { writer in
                    for (name, value) in plan.program.environment.sorted(by: { $0.key < $1.key }) {
                        writer.field(name, value)
                    }
                })
            writer.field(
                "files",
                array: { writer in
                    for file in plan.files {
                        writer.element(
                            JSONWriter.array {
                                $0.element(file.path)
                                $0.element(file.content.count)
                            })
                    }
                })
            writer.field("run", LaunchSpec.filled(plan.command) + plan.program.arguments)
        }
        let length = UInt32(clamping: header.bytes.count)
        var bytes = (0..<4).map { UInt8(truncatingIfNeeded: length >> (24 - 8 * UInt32($0))) }
        bytes += header.bytes
        for file in plan.files { bytes += file.content }
        return bytes
    }
}

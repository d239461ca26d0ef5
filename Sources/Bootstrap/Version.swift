internal import FoundationEssentials

/// Which Golden this is.
package enum Version {
    /// The file `VERSION` holds the same text; a test keeps the two equal.
    package static let release = "0.1.0"

    /// The release, and after a `+` what the file `BUILD` beside the program calls this build, where there is one: two
    /// builds of one release can be told apart by it (semver's build metadata, which changes no order).
    package static let current: String = {
        do {
            let program = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
            let folder = program.prefix(upTo: program.lastIndex(of: "/") ?? program.startIndex)
            return named(by: try String(contentsOfFile: "\(folder)/BUILD", encoding: .utf8))
        } catch {
            return release
        }
    }()

    static let buildBytesMax = 64

    /// The release with a build's name; whatever semver does not allow in one becomes a hyphen.
    static func named(by text: String) -> String {
        let name = text.split(whereSeparator: \.isWhitespace).joined(separator: "-").utf8.prefix(buildBytesMax).map {
            byte in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "."):
                byte
            default: UInt8(ascii: "-")
            }
        }
        return name.isEmpty ? release : "\(release)+\(String(decoding: name, as: UTF8.self))"
    }
}

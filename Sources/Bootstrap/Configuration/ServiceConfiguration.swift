internal import Configuration
internal import FoundationEssentials
internal import Synchronization

/// One process's settings, read from its environment by their full names (`GOLDEN_HTTP_PORT`).
///
/// Every setting `X` may be given as `X_FILE` instead: the path of a file that holds the value, as secrets are
/// mounted. What was read can be shown (`redacted`), secrets and passwords in URLs blacked out.
package final class ServiceConfiguration: Sendable {
    /// The largest value, given either way.
    package static let valueBytesMax = 64 * 1024
    static let prefix = "GOLDEN_"
    static let blackedOut = "<redacted>"

    private let reader: ConfigReader
    private let names: [String]
    private let shown = Mutex<[String: String]>([:])

    package init(environment: [String: String]) {
        reader = ConfigReader(provider: EnvironmentVariablesProvider(environmentVariables: environment))
        names = environment.keys.filter { $0.hasPrefix(Self.prefix) }.sorted()
    }

    /// The settings of this very process.
    package convenience init() {
        self.init(environment: ProcessInfo.processInfo.environment)
    }

    /// Nil when the setting is absent or empty.
    package func optionalString(_ key: String) throws(BootstrapError) -> String? {
        try value(key, show: Self.withoutURLPasswords)
    }

    package func string(_ key: String, default fallback: String) throws(BootstrapError) -> String {
        try optionalString(key) ?? defaulted(key, fallback)
    }

    package func string(_ key: String) throws(BootstrapError) -> String {
        guard let value = try optionalString(key) else { throw missing(key) }
        return value
    }

    /// A value that is never shown.
    package func optionalSecret(_ key: String) throws(BootstrapError) -> String? {
        try value(key, show: { _ in Self.blackedOut })
    }

    package func secret(_ key: String) throws(BootstrapError) -> String {
        guard let value = try optionalSecret(key) else { throw missing(key) }
        return value
    }

    /// A URL, shown without its password and query.
    package func optionalURL(_ key: String) throws(BootstrapError) -> String? {
        try value(key, show: Self.withoutPassword)
    }

    package func url(_ key: String) throws(BootstrapError) -> String {
        guard let value = try optionalURL(key) else { throw missing(key) }
        return value
    }

    package func int(_ key: String, default fallback: Int, in range: ClosedRange<Int>) throws(BootstrapError) -> Int {
        guard let text = try optionalString(key) else { return Int(defaulted(key, String(fallback))) ?? fallback }
        guard let value = Int(text), range.contains(value) else {
            throw invalid(key, "must be a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    /// A size: bytes, or a number with KiB, MiB, GiB or TiB after it.
    package func bytes(
        _ key: String, default fallback: String, in range: ClosedRange<Int>
    ) throws(BootstrapError) -> Int {
        guard let bytes = Self.bytes(try string(key, default: fallback)), range.contains(bytes) else {
            throw invalid(key, "must be a size like 512MiB, from \(range.lowerBound) to \(range.upperBound) bytes")
        }
        return bytes
    }

    private static func bytes(_ text: String) -> Int? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let number = Int(digits) else { return nil }
        let units = ["": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40]
        guard let shift = units[trimmed(text[digits.endIndex...])] else { return nil }
        let (bytes, isTooLarge) = number.multipliedReportingOverflow(by: 1 << shift)
        return isTooLarge ? nil : bytes
    }

    package func bool(_ key: String, default fallback: Bool) throws(BootstrapError) -> Bool {
        guard let text = try optionalString(key) else {
            _ = defaulted(key, String(fallback))
            return fallback
        }
        switch text.lowercased() {
        case "true", "yes", "1": return true
        case "false", "no", "0": return false
        default: throw invalid(key, "must be true or false")
        }
    }

    /// Seconds, with a fraction if wanted.
    package func seconds(
        _ key: String, default fallback: Duration, in range: ClosedRange<Double>
    ) throws(BootstrapError) -> Duration {
        guard let text = try optionalString(key) else {
            _ = defaulted(key, "\(fallback)")
            return fallback
        }
        guard let value = Double(text), range.contains(value) else {
            throw invalid(key, "must be seconds from \(range.lowerBound) to \(range.upperBound)")
        }
        return .seconds(value)
    }

    /// Texts separated by commas; empty ones do not count.
    package func list(_ key: String, default fallback: String) throws(BootstrapError) -> [String] {
        try string(key, default: fallback).split(separator: ",").map(Self.trimmed).filter { !$0.isEmpty }
    }

    /// `name=number` pairs separated by commas, laid over the default's.
    package func table(_ key: String, default fallback: String) throws(BootstrapError) -> [String: Int] {
        var table = try pairs(key, fallback)
        if let text = try optionalString(key) {
            table.merge(try pairs(key, text)) { $1 }
        } else {
            _ = defaulted(key, fallback)
        }
        return table
    }

    /// One of an enum's raw values.
    package func choice<Choice: RawRepresentable<String> & CaseIterable>(
        _ key: String, default fallback: Choice
    ) throws(BootstrapError) -> Choice {
        let text = try string(key, default: fallback.rawValue)
        guard let value = Choice(rawValue: text) else {
            throw invalid(key, "must be one of \(Choice.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return value
    }

    /// An error about one setting, for checks of the caller's own.
    package func invalid(_ key: String, _ what: String) -> BootstrapError {
        BootstrapError(.invalidSetting, "\(key) \(what).")
    }

    /// All that was read so far as `KEY=value` lines, sorted, without secrets.
    package var redacted: [String] { shown.withLock { $0 }.map { "\($0.key)=\($0.value)" }.sorted() }

    /// Settings in the environment that nothing has read: spelled wrong, or of another service.
    package var unread: [String] {
        let known = shown.withLock { Set($0.keys) }
        return names.filter { name in
            !known.contains(name) && !(name.hasSuffix("_FILE") && known.contains(String(name.dropLast(5))))
        }
    }

    private func value(_ key: String, show: (String) -> String) throws(BootstrapError) -> String? {
        let direct = lookUp(key)
        let file = lookUp(key + "_FILE")
        if direct != nil, file != nil {
            throw BootstrapError(.ambiguousSetting, "\(key) and \(key)_FILE are both set; keep one.")
        }
        guard let value = try file.map({ path throws(BootstrapError) in try contents(of: path, for: key) }) ?? direct
        else { return nil }
        guard value.utf8.count <= Self.valueBytesMax else {
            throw invalid(key, "must not be longer than \(Self.valueBytesMax) bytes")
        }
        shown.withLock { $0[key] = show(value) }
        return value
    }

    private func lookUp(_ key: String) -> String? {
        let parts = key.lowercased().split(separator: "_").map(String.init)
        guard let value = reader.string(forKey: ConfigKey(parts), isSecret: true), !value.isEmpty else { return nil }
        return value
    }

    private func contents(of path: String, for key: String) throws(BootstrapError) -> String {
        do {
            let data = try Data(contentsOf: URL(filePath: path))
            guard let text = String(validating: data, as: UTF8.self) else {
                throw invalid(key + "_FILE", "names a file that is not UTF-8")
            }
            // Editors and secret stores end files with a line break that is no part of the value.
            return String(text.reversed().drop { $0.isNewline }.reversed())
        } catch let error as BootstrapError {
            throw error
        } catch {
            throw BootstrapError(.unreadableFile, "\(key)_FILE: \(path) cannot be read.", underlying: error)
        }
    }

    private func pairs(_ key: String, _ text: String) throws(BootstrapError) -> [String: Int] {
        var table: [String: Int] = [:]
        for pair in text.split(separator: ",") {
            let halves = pair.split(separator: "=").map(Self.trimmed)
            guard halves.count == 2, let number = Int(halves[1]), number >= 0 else {
                throw invalid(key, "must be name=number pairs separated by commas")
            }
            table[halves[0]] = number
        }
        return table
    }

    private func defaulted(_ key: String, _ value: String) -> String {
        shown.withLock { $0[key] = value }
        return value
    }

    private func missing(_ key: String) -> BootstrapError {
        BootstrapError(.missingSetting, "\(key) is not set; set it, or \(key)_FILE to a file that holds it.")
    }

    private static func trimmed(_ text: Substring) -> String {
        text.split(separator: " ").joined(separator: " ")
    }

    /// Plain text as it is; a text that holds URLs, such as a list of servers, without their passwords.
    private static func withoutURLPasswords(_ text: String) -> String {
        text.contains("://") || text.contains("@") ? withoutPassword(text) : text
    }

    /// `scheme://user:<redacted>@host/path`; each of several URLs separated by commas. Nothing of a text that is not
    /// made of URLs alone, since a password may hold the commas.
    static func withoutPassword(_ text: String) -> String {
        let urls = text.split(separator: ",")
        guard urls.allSatisfy({ $0.contains("://") }) else { return blackedOut }
        return urls.map(shownURL).joined(separator: ",")
    }

    private static func shownURL(_ url: Substring) -> String {
        let plain = url.prefix { $0 != "?" }
        guard let scheme = plain.firstRange(of: "://"), let at = plain.lastIndex(of: "@"), scheme.upperBound <= at
        else {
            return url.contains("@") ? blackedOut : String(plain)
        }
        let user = plain[scheme.upperBound..<at]
        let name = user.prefix { $0 != ":" }
        return "\(plain[..<scheme.upperBound])\(name)\(name == user ? "" : ":\(blackedOut)")\(plain[at...])"
    }
}

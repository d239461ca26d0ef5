/// Where a webhook is sent: an `http` or `https` address in a form that no two readers could understand differently.
///
/// Refused are user names and passwords, fragments, names in any but plain ASCII, numbers that only some resolvers read
/// as addresses (`0x7f.1`, `2130706433`), and ports below 1024 other than 80 and 443, where other protocols live.
package struct WebhookURL: Sendable, Hashable, CustomStringConvertible {
    package static let bytesMax = 2048
    static let hostBytesMax = 253
    static let labelBytesMax = 63

    package enum Scheme: String, Sendable, Hashable { case http, https }

    package let scheme: Scheme
    /// Lower case; an IPv6 address without its brackets.
    package let host: String
    package let isIPv6: Bool
    package let port: Int
    /// Path and query as they were written; starts with a slash.
    package let target: String

    /// Says what is wrong with `text`, or nil.
    package static func fault(in text: String) -> String? {
        switch parse(text) {
        case .success: nil
        case .failure(let fault): fault.message
        }
    }

    /// Nil when `text` is not such an address; `fault(in:)` says why.
    package init?(_ text: String) {
        guard case .success(let url) = Self.parse(text) else { return nil }
        self = url
    }

    private init(scheme: Scheme, host: String, isIPv6: Bool, port: Int, target: String) {
        self.scheme = scheme
        self.host = host
        self.isIPv6 = isIPv6
        self.port = port
        self.target = target
    }

    /// Host and, unless it is the scheme's own, port: what limits and circuit breakers go by.
    package var authority: String {
        let name = isIPv6 ? "[\(host)]" : host
        return port == Self.defaultPort(scheme) ? name : "\(name):\(port)"
    }

    package var description: String { "\(scheme.rawValue)://\(authority)\(target)" }

    private struct Fault: Error { let message: String }

    private static func defaultPort(_ scheme: Scheme) -> Int { scheme == .https ? 443 : 80 }

    private static func parse(_ text: String) -> Result<WebhookURL, Fault> {
        guard (1...bytesMax).contains(text.utf8.count) else { return no("must be 1 to \(bytesMax) bytes") }
        guard let separator = text.firstRange(of: "://"),
            let scheme = Scheme(rawValue: text[..<separator.lowerBound].lowercased())
        else { return no("must start with https:// or http://") }
        let rest = text[separator.upperBound...]
        guard rest.utf8.allSatisfy(isAllowed) else { return no("holds a character that must be percent-encoded") }
        guard !rest.contains("#") else { return no("must not have a fragment") }
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        let authority = rest[..<end]
        guard !authority.contains("@") else { return no("must not hold a user name or password") }
        var target = String(rest[end...])
        if !target.hasPrefix("/") { target = "/" + target }
        guard isWellEscaped(target) else { return no("holds a character that must be percent-encoded") }
        return parse(authority: authority, scheme, target)
    }

    private static func parse(
        authority: Substring, _ scheme: Scheme, _ target: String
    ) -> Result<WebhookURL, Fault> {
        let isIPv6 = authority.hasPrefix("[")
        var host = authority
        var port = defaultPort(scheme)
        if isIPv6 {
            guard let close = authority.firstIndex(of: "]") else { return no("has a [ without a ]") }
            host = authority[authority.index(after: authority.startIndex)..<close]
        } else if let colon = authority.firstIndex(of: ":") {
            host = authority[..<colon]
        }
        let behind = authority[(isIPv6 ? authority.index(after: host.endIndex) : host.endIndex)...]
        if !behind.isEmpty {
            guard behind.hasPrefix(":"), behind.dropFirst().utf8.allSatisfy(isDigit),
                let number = Int(behind.dropFirst()), (1...65_535).contains(number)
            else { return no("has a port that is none") }
            port = number
        }
        guard port == 80 || port == 443 || port >= 1024 else { return no("must use port 80, 443 or one from 1024 on") }
        let name = host.lowercased()
        if isIPv6 {
            guard IPAddress(name)?.isIPv6 == true else { return no("holds no IPv6 address in its brackets") }
        } else if let fault = hostFault(name) {
            return no(fault)
        }
        return .success(WebhookURL(scheme: scheme, host: name, isIPv6: isIPv6, port: port, target: target))
    }

    private static func hostFault(_ host: String) -> String? {
        guard (1...hostBytesMax).contains(host.utf8.count) else { return "must name a host of at most 253 bytes" }
        let labels = host.split(separator: ".", omittingEmptySubsequences: false)
        for label in labels {
            guard (1...labelBytesMax).contains(label.utf8.count), label.first != "-", label.last != "-",
                label.utf8.allSatisfy({ isDigit($0) || isLetter($0) || "-_".utf8.contains($0) })
            else { return "must name a host of letters, digits, dots and hyphens" }
        }
        // What ends in a number is an address to resolvers, and then only the usual way of writing one is taken.
        guard let last = labels.last, last.utf8.allSatisfy(isDigit) || last.hasPrefix("0x") else { return nil }
        return IPAddress(host) == nil ? "holds a number where a host's name or an address should be" : nil
    }

    private static func no(_ message: String) -> Result<WebhookURL, Fault> { .failure(Fault(message: message)) }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }

    private static func isWellEscaped(_ target: String) -> Bool {
        let bytes = Array(target.utf8)
        return bytes.indices.allSatisfy { index in
            switch bytes[index] {
            case UInt8(ascii: "["), UInt8(ascii: "]"): false
            case UInt8(ascii: "%"):
                index + 2 < bytes.count && hexDigit(bytes[index + 1]) != nil && hexDigit(bytes[index + 2]) != nil
            default: true
            }
        }
    }

    /// What RFC 3986 allows in a reference, percent signs included.
    private static func isAllowed(_ byte: UInt8) -> Bool {
        isDigit(byte) || isLetter(byte) || "-._~:/?#[]@!$&'()*+,;=%".utf8.contains(byte)
    }
}

extension JSONReader {
    /// Reads the address of a webhook that may be absent.
    package mutating func optionalWebhookURL(_ field: String) throws(JSONError) -> WebhookURL? {
        guard let text = try optionalString(field) else { return nil }
        guard let url = WebhookURL(text) else { throw error(field, WebhookURL.fault(in: text) ?? "is no address") }
        return url
    }
}

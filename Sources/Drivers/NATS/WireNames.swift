/// What may stand in a subject, a name or a header; checked before the C library sees it.
enum WireNames {
    /// The server's default control line is 4096 bytes and also carries the reply subject.
    static let subjectBytesMax = 1024

    static func checkSubject(_ subject: String, allowsWildcards: Bool) throws(NATSError) {
        let dot = UInt8(ascii: "."), star = UInt8(ascii: "*"), rest = UInt8(ascii: ">")
        var length = 0
        var tokenLength = 0
        var wildcard: UInt8?
        var ended = false
        for byte in subject.utf8 {
            length += 1
            guard byte > 0x20, byte != 0x7F else { throw invalid(subject, "it holds a space or a control character") }
            guard byte != dot else {
                guard tokenLength > 0 else { throw invalid(subject, "it holds an empty token") }
                // A '>' followed by anything is no wildcard to the server, and surely a mistake.
                ended = ended || (wildcard == rest && tokenLength == 1)
                tokenLength = 0
                wildcard = nil
                continue
            }
            guard !ended else { throw invalid(subject, "'>' may only stand last") }
            tokenLength += 1
            if byte == star || byte == rest { wildcard = byte }
            guard wildcard == nil || (allowsWildcards && tokenLength == 1) else {
                throw invalid(subject, "a wildcard may only be a whole token of a subscription")
            }
        }
        guard tokenLength > 0, !ended, length <= subjectBytesMax else {
            throw invalid(subject, "it is empty, too long or ends in a dot")
        }
    }

    /// Stream, consumer and queue names: one token without wildcards.
    static func checkName(_ name: String, _ what: String) throws(NATSError) {
        let isGood =
            !name.isEmpty && name.utf8.count <= 255
            && name.utf8.allSatisfy { byte in
                byte > 0x20 && byte != 0x7F && !".*>/\\".utf8.contains(byte)
            }
        guard isGood else {
            throw NATSError(.invalidSubject, "\(what) '\(printable(name))' is no valid name. Nothing was sent.")
        }
    }

    static func checkHeaders(_ headers: [String: String]) throws(NATSError) {
        for (name, value) in headers {
            let goodName = !name.isEmpty && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ":") }
            guard goodName else {
                throw NATSError(.invalidHeader, "Header name '\(printable(name))' cannot be sent. Nothing was sent.")
            }
            guard isOneLine(value) else {
                throw NATSError(.invalidHeader, "Header '\(name)' holds a line break or NUL. Nothing was sent.")
            }
        }
    }

    private static func isOneLine(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { unsafe $0.allSatisfy { $0 != 0 && $0 != 10 && $0 != 13 } }
    }

    private static func invalid(_ subject: String, _ why: String) -> NATSError {
        NATSError(.invalidSubject, "Subject '\(printable(subject))' is refused: \(why). Nothing was sent.")
    }

    /// At most 128 bytes, with control characters escaped, so that a bad name cannot break a log line.
    private static func printable(_ text: String) -> String {
        String(text.prefix(128).flatMap { $0.isNewline || $0.asciiValue.map { $0 < 0x20 } == true ? "?" : String($0) })
    }
}

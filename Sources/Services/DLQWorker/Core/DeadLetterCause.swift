internal import Contracts

/// What alike letters have in common: 10,000 of one cause are one line.
package enum DeadLetterCause {
    /// The longest fingerprint, in bytes; what follows rarely tells causes apart.
    static let fingerprintBytesMax = 200

    /// The subject with every id replaced by `*`: `results.developer.*`.
    package static func family(of subject: String) -> String {
        subject.split(separator: ".", omittingEmptySubsequences: false)
            .map { TaskID($0) == nil ? String($0) : "*" }
            .joined(separator: ".")
    }

    /// An error's text with ids, numbers and quoted words taken out, which differ from message to message.
    package static func fingerprint(of error: String) -> String {
        var text = ""
        var word = ""
        var quote: Character?
        func flush() {
            if !word.isEmpty { text += TaskID(word) != nil ? "*" : number(word) }
            word = ""
        }
        for character in error {
            if text.utf8.count > fingerprintBytesMax { break }
            if let open = quote {
                if character == open {
                    quote = nil
                    text += "…\(open)"
                }
                continue
            }
            switch character {
            case "\"", "`", "“", "”":
                flush()
                text.append(character)
                quote = character == "“" ? "”" : character
            case _ where character.isLetter || character.isNumber || character == "-" || character == "_":
                word.append(character)
            default:
                flush()
                text.append(character)
            }
        }
        flush()
        return String(decoding: text.utf8.prefix(fingerprintBytesMax), as: UTF8.self)
    }

    /// A word with each run of digits as one `#`; letters stay, so that `v2` and `v3` are alike, `E` and `F` are not.
    private static func number(_ word: String) -> String {
        var text = ""
        for character in word {
            if character.isNumber {
                if text.last != "#" { text.append("#") }
            } else {
                text.append(character)
            }
        }
        return text
    }
}

internal import Contracts

extension EscalationCase {
    /// What like failures of one role have in common: the trouble, its class, and the reason without what differs from
    /// one failure to the next. Nil when it says nothing about a role's work.
    var signature: String? {
        switch trouble {
        case .nobodyApproved, .reviewersMissing, .agentAsked, .messageLost, .unknown: nil
        case .guardFailing, .tooSlow, .attemptsUsedUp, .gaveUp, .reviewersDisagree, .workRefused:
            "\(trouble.words)/\(classification.rawValue)/\(Fingerprint.text(reason))"
        }
    }
}

/// A text's hash without numbers, identifiers, quotations and the width of its gaps.
enum Fingerprint {
    /// Scalars that are looked at.
    static let scalarsMax = 400

    /// Source: Fowler, Noll, Vo, FNV-1a of 64 bits.
    static func text(_ reason: String) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in normalised(reason).utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return Hexadecimal.text(hash)
    }

    /// Words in lower case, one space apart; a word with a digit is `#`, a quotation is `""`.
    static func normalised(_ reason: String) -> String {
        var words: [String] = []
        var word = ""
        var quote: Unicode.Scalar?
        func end() {
            guard !word.isEmpty else { return }
            words.append(word.contains(where: \.isNumber) ? "#" : word)
            word = ""
        }
        for scalar in reason.lowercased().unicodeScalars.prefix(scalarsMax) {
            if let open = quote {
                if scalar == open { quote = nil }
                continue
            }
            if scalar == "\"" || scalar == "`" {
                end()
                quote = scalar
                words.append("\"\"")
            } else if scalar.properties.isAlphabetic || ("0"..."9").contains(scalar)
                || "_-./".unicodeScalars.contains(scalar)
            {
                word.unicodeScalars.append(scalar)
            } else {
                end()
            }
        }
        end()
        return words.joined(separator: " ")
    }
}

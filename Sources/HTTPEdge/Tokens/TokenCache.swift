internal import Crypto
internal import FoundationEssentials
internal import Synchronization

/// Tokens verified lately, by their SHA-256. Holds two generations: when the younger is full the elder is dropped, so
/// what is used stays and the whole never passes `max`.
final class TokenCache: Sendable {
    struct Entry: Sendable {
        let token: VerifiedToken
        let validUntil: Date
        /// Which of the installation's own keys signed it; nil for any other.
        let signer: String?
    }

    private struct Generations {
        var younger: [SHA256Digest: Entry] = [:]
        var elder: [SHA256Digest: Entry] = [:]
    }

    private let generationMax: Int
    private let generations = Mutex(Generations())

    init(max: Int) {
        generationMax = Swift.max(1, max / 2)
    }

    func find(_ key: SHA256Digest, now: Date) -> Entry? {
        generations.withLock { generations in
            if let entry = generations.younger[key] { return now < entry.validUntil ? entry : nil }
            guard let entry = generations.elder[key], now < entry.validUntil else { return nil }
            insert(entry, key, into: &generations)
            return entry
        }
    }

    func insert(_ entry: Entry, for key: SHA256Digest) {
        generations.withLock { insert(entry, key, into: &$0) }
    }

    func removeAll() {
        generations.withLock { $0 = Generations() }
    }

    var count: Int { generations.withLock { $0.younger.count + $0.elder.count } }

    private func insert(_ entry: Entry, _ key: SHA256Digest, into generations: inout Generations) {
        if generations.younger.count >= generationMax {
            generations.elder = generations.younger
            generations.younger = [:]
        }
        generations.younger[key] = entry
    }
}

import Contracts
import Foundation
import HTTPEdge
import Testing

@Suite(.timeLimit(.minutes(5))) struct Passwords {
    /// Quick, because these tests are not about the cost.
    private let hasher = PasswordHasher(parameters: .init(logRounds: 4, blockSize: 8, parallelism: 1), lanes: 2)

    @Test func `a password matches its own hash and no other does`() async throws {
        let hash = try await hasher.hash("correct horse", for: "ada")
        let again = try await hasher.hash("correct horse", for: "ada")
        #expect(hash.text != again.text && hash.text.hasPrefix("$scrypt$ln=4,r=8,p=1$"))
        let stored = try #require(PasswordHash(hash.text))
        #expect(stored == hash)
        #expect(try await hasher.check("correct horse", against: stored, for: "ada"))
        for wrong in ["correct horsf", "Correct horse", "correct horse ", "", "correct"] {
            #expect(try await !hasher.check(wrong, against: stored, for: "ada"))
        }
        #expect(try await !hasher.check("correct horse", against: nil, for: "ada"))
    }

    @Test func `a hash is checked with its own parameters`() async throws {
        let strong = PasswordHasher(parameters: .init(logRounds: 6, blockSize: 4, parallelism: 2), lanes: 1)
        let stored = try #require(PasswordHash(try await strong.hash("x", for: "ada").text))
        #expect(try await hasher.check("x", against: stored, for: "ada"))
    }

    /// The vector comes from another implementation (OpenSSL's).
    @Test func `it is the scrypt that others compute`() async throws {
        let known = try #require(
            PasswordHash("$scrypt$ln=10,r=8,p=1$bGVuZ3RoMTI4Yml0cw$\(Base64URL.encode(Self.vector))"))
        #expect(try await hasher.check("password", against: known, for: "ada"))
    }

    /// `hashlib.scrypt(b"password", salt=b"length128bits", n=1024, r=8, p=1, dklen=32)` of Python.
    private static let vector: [UInt8] = [
        0x38, 0xb1, 0xa6, 0xed, 0x6d, 0x81, 0x65, 0xe0,
        0x1a, 0xc0, 0xe1, 0x6c, 0x1d, 0xc7, 0x24, 0x1d,
        0x1c, 0x24, 0x4a, 0x11, 0xe2, 0x17, 0x48, 0x71,
        0x1c, 0x87, 0x6b, 0xf6, 0xad, 0xf2, 0xda, 0xe0,
    ]

    @Test(arguments: [
        "", "$scrypt$", "$scrypt$ln=4,r=8,p=1$AAAA$AAAA", "$argon2id$ln=4,r=8,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$ln=40,r=8,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$ln=18,r=16,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$ln=4,r=0,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$ln=4,r=8,p=99$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$ln=-4,r=8,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$r=8,ln=4,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
    ])
    func `a text that could not have been written here is no hash`(text: String) {
        #expect(PasswordHash(text) == nil)
    }

    @Test func `of one caller no more wait than leave room, and another finds it`() async throws {
        let slow = PasswordHasher(parameters: .init(logRounds: 14, blockSize: 8, parallelism: 1), lanes: 1)
        let places = 1 + PasswordHasher.waitingMax
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for _ in 0..<200 {
                group.addTask {
                    do {
                        _ = try await slow.check("x", against: nil, for: "2001:db8:0:1::/64")
                        return false
                    } catch {
                        return (error as? Problem)?.code == .unavailable
                    }
                }
            }
            var refused = 0
            while refused == 0, let isRefused = try await group.next() { refused += isRefused ? 1 : 0 }
            // From here on the one caller has all the places it gets.
            #expect(try await !slow.check("x", against: nil, for: "203.0.113.7"))
            for try await isRefused in group { refused += isRefused ? 1 : 0 }
            #expect((1...(200 - (places + 1) / 2)).contains(refused), "\(refused)")
        }
    }

    @Test func `keys and passwords are made of many random bits`() {
        let keys = (0..<200).map { _ in APIKeyText() }
        #expect(Set(keys.map(\.id)).count == 200 && Set(keys.map(\.text)).count == 200)
        for key in keys {
            #expect(key.text.count == 55 && key.text.hasPrefix(key.id + "_") && key.id.hasPrefix("gk_"))
            let read = APIKeyText(key.text)
            #expect(read?.id == key.id && read?.hash == key.hash && key.hash.count == 32)
        }
        for text in [
            "", "gk_", keys[0].id, keys[0].text + "A", String(keys[0].text.dropLast()),
            "xk" + keys[0].text.dropFirst(2),
        ] {
            #expect(APIKeyText(text) == nil, "\(text)")
        }
        let password = GeneratedPassword.make()
        #expect(password.count == 27 && password != GeneratedPassword.make())
    }
}

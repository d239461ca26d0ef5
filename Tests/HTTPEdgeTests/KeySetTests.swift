internal import Contracts
internal import Foundation
internal import HTTPEdge
internal import JWTKit
internal import Logging
internal import Synchronization
internal import TestSupport
import Testing

/// Tokens signed with the keys of a JWKS file.
@Suite(.timeLimit(.minutes(5))) struct KeySetTests {
    private static let logger = Logger(label: "tests") { _ in SwiftLogNoOpLogHandler() }

    /// A key pair of each kind, its public half written as a JWK.
    private struct Pair {
        let algorithm: any JWTAlgorithm
        let jwk: String

        static func es256(_ id: String) async throws -> Pair {
            let key = ES256PrivateKey()
            let point = try #require(key.publicKey.parameters)
            let algorithm = try await JWTKeyCollection().add(ecdsa: key).getKey()
            return Pair(
                algorithm: algorithm,
                jwk:
                    #"{"kty":"EC","crv":"P-256","use":"sig","kid":"\#(id)","#
                    + #""x":"\#(url(point.x))","y":"\#(url(point.y))"}"#
            )
        }

        static func eddsa(_ id: String) async throws -> Pair {
            let key = try EdDSA.PrivateKey(curve: .ed25519)
            let algorithm = try await JWTKeyCollection().add(eddsa: key).getKey()
            let x = Base64URL.encode(key.publicKey.rawRepresentation)
            return Pair(
                algorithm: algorithm, jwk: #"{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"\#(id)","x":"\#(x)"}"#)
        }

        static func rs256(_ id: String) async throws -> Pair {
            let key = try Insecure.RSA.PrivateKey(pem: rsaPEM)
            let algorithm = try await JWTKeyCollection().add(rsa: key, digestAlgorithm: .sha256).getKey()
            let parts = try key.publicKey.getKeyPrimitives()
            let (n, e) = (Base64URL.encode(parts.modulus), Base64URL.encode(parts.publicExponent))
            return Pair(algorithm: algorithm, jwk: #"{"kty":"RSA","kid":"\#(id)","n":"\#(n)","e":"\#(e)"}"#)
        }

        static func url(_ base64: String) -> String {
            base64.replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
        }

        func token(_ id: String?, alg: String? = nil, claims: String = Mint.claims()) throws -> String {
            let kid = id.map { #","kid":"\#($0)""# } ?? ""
            let header = #"{"alg":"\#(alg ?? algorithm.name)"\#(kid),"jku":"http://127.0.0.1:1/keys"}"#
            let signed = Base64URL.encode(header.utf8) + "." + Base64URL.encode(claims.utf8)
            return signed + "." + Base64URL.encode(try algorithm.sign(Array(signed.utf8)))
        }
    }

    // swift-format-ignore: NeverUseForceTry
    private static let rsaPEM = try! generateRSA()

    /// Tests need some RSA key; openssl makes one per run.
    private static func generateRSA() throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/openssl")
        process.arguments = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = FileHandle.nullDevice
        try Spawner.shared.start(process)
        let data = try pipe.fileHandleForReading.readToEnd() ?? Data()
        Spawner.shared.wait(for: process)
        return String(decoding: data, as: UTF8.self)
    }

    private func file(_ keys: [String]) throws -> String {
        let file = try temporaryFolder("jwks").appending(path: "jwks.json").path
        try write(keys, to: file)
        return file
    }

    private func write(_ keys: [String], to file: String) throws {
        try Data(#"{"keys":[\#(keys.joined(separator: ","))]}"#.utf8).write(to: URL(filePath: file))
    }

    private func verifier(
        _ file: String, secrets: [[UInt8]] = [], now: @escaping @Sendable () -> Date = { Date() }
    ) async throws -> TokenVerifier {
        try await TokenVerifier(
            TokenConfiguration(secrets: secrets, keySetFile: file), logger: Self.logger, now: now
        )
    }

    private func refusal(of token: String, by verifier: TokenVerifier) async -> ProblemCode? {
        do {
            _ = try await verifier.verify(token: token)
            return nil
        } catch {
            return error.code
        }
    }

    @Test func `each kind of key verifies its own tokens`() async throws {
        let (ec, ed, rsa) = (try await Pair.es256("a"), try await Pair.eddsa("b"), try await Pair.rs256("c"))
        let verifier = try await verifier(file([ec.jwk, ed.jwk, rsa.jwk]), secrets: [TestEdge.secret])
        #expect(await refusal(of: try ec.token("a"), by: verifier) == nil)
        #expect(await refusal(of: try ed.token("b"), by: verifier) == nil)
        #expect(await refusal(of: try rsa.token("c"), by: verifier) == nil)
        #expect(await refusal(of: Mint.hs256(), by: verifier) == nil)
    }

    @Test func `a key verifies neither another key's token nor another algorithm`() async throws {
        let (ec, ed) = (try await Pair.es256("a"), try await Pair.eddsa("b"))
        let verifier = try await verifier(file([ec.jwk, ed.jwk]))
        #expect(await refusal(of: try ec.token("b"), by: verifier) == .tokenAlgorithm)
        #expect(await refusal(of: try ed.token("a", alg: "ES256"), by: verifier) == .tokenSignature)
        // The public key used as an HMAC secret: the classic confusion.
        let confused = Mint.hs256(header: #"{"alg":"HS256","kid":"a"}"#, secret: Array(ec.jwk.utf8))
        #expect(await refusal(of: confused, by: verifier) == .tokenAlgorithm)
        #expect(await refusal(of: Mint.hs256(), by: verifier) == .tokenUnknownKey)
    }

    @Test func `a token without a kid needs its algorithm's key to be the only one`() async throws {
        let (first, second) = (try await Pair.es256("a"), try await Pair.es256("b"))
        #expect(await refusal(of: try first.token(nil), by: try await verifier(file([first.jwk]))) == nil)
        let two = try await verifier(file([first.jwk, second.jwk]))
        #expect(await refusal(of: try first.token(nil), by: two) == .tokenUnknownKey)
    }

    @Test func `an unknown kid makes the file be read again, at most every ten seconds`() async throws {
        let (old, new) = (try await Pair.es256("old"), try await Pair.es256("new"))
        let clock = Mutex(Date())
        let path = try file([old.jwk])
        let verifier = try await verifier(path, now: { clock.withLock { $0 } })
        try write([old.jwk, new.jwk], to: path)
        #expect(await refusal(of: try new.token("new"), by: verifier) == .tokenUnknownKey)
        clock.withLock { $0 += 11 }
        #expect(await refusal(of: try new.token("new"), by: verifier) == nil)
    }

    @Test func `a key taken out of the file stops counting, a broken file changes nothing`() async throws {
        let (old, new) = (try await Pair.es256("old"), try await Pair.es256("new"))
        let clock = Mutex(Date())
        let path = try file([old.jwk])
        let verifier = try await verifier(path, now: { clock.withLock { $0 } })
        let token = try old.token("old", claims: Mint.claims(expiresIn: 3600))
        #expect(await refusal(of: token, by: verifier) == nil)
        try Data("{".utf8).write(to: URL(filePath: path))
        clock.withLock { $0 += 301 }
        #expect(await refusal(of: token, by: verifier) == nil)
        try write([new.jwk], to: path)
        clock.withLock { $0 += 301 }
        #expect(await refusal(of: token, by: verifier) == .tokenUnknownKey)
    }

    static let badSets = [
        #"{"keys":[]}"#, #"{}"#, "[]", "nonsense", #"{"keys":[{"kty":"oct","kid":"a","k":"c2VjcmV0"}]}"#,
        #"{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}"#,
        #"{"keys":[{"kty":"EC","crv":"P-256","kid":"a","x":"AA","y":"AA"}]}"#,
        #"{"keys":[{"kty":"EC","crv":"P-256","kid":"a","d":"AA","x":"AA","y":"AA"}]}"#,
        #"{"keys":[{"kty":"EC","crv":"P-256","kid":"a","use":"enc","x":"AA","y":"AA"}]}"#,
        #"{"keys":[{"kty":"RSA","kid":"a","alg":"none","n":"AA","e":"AQAB"}]}"#,
        #"{"keys":[{"kty":"RSA","kid":"a","n":"AAAA","e":"AQAB"}]}"#,
    ]

    @Test(arguments: badSets)
    func `a key set that cannot be used as it stands stops the start`(text: String) async throws {
        let path = try file([])
        try Data(text.utf8).write(to: URL(filePath: path))
        await #expect { _ = try await verifier(path) } throws: { ($0 as? EdgeError)?.code == .badKeys }
    }

    @Test func `a key set that is not there stops the start`() async throws {
        await #expect { _ = try await verifier("/nowhere/jwks.json") } throws: {
            guard let error = $0 as? EdgeError, let why = error.underlying else { return false }
            return error.code == .badKeys && "\(error)".hasSuffix("cannot be read. (\(why))")
        }
    }
}

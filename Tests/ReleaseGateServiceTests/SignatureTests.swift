import Contracts
import Foundation
import ReleaseGateService
import TestSupport
import Testing

/// Others can check what the gate signed without the gate.
@Suite(.timeLimit(.minutes(10))) struct `Signatures` {
    private func envelope(_ text: String = #"{"a":1}"#, keys: [ReleaseKey]) throws -> DSSEEnvelope {
        var envelope = DSSEEnvelope(payloadType: DSSEEnvelope.inToto, payload: Array(text.utf8))
        for key in keys { try envelope.sign(with: key) }
        return envelope
    }

    @Test func `the encoding is DSSE's own`() {
        // The example of the specification's protocol.md.
        let envelope = DSSEEnvelope(
            payloadType: "http://example.com/HelloWorld", payload: Array("hello world".utf8))
        #expect(
            String(decoding: envelope.preAuthentication, as: UTF8.self)
                == "DSSEv1 29 http://example.com/HelloWorld 11 hello world")
    }

    @Test func `a key's file is for its owner alone, and a pair is never overwritten`() throws {
        let path = try temporaryFolder("keys").appending(path: "sre").path
        let key = ReleaseKey()
        try key.write(to: path)
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        #expect(attributes[.posixPermissions].map { "\($0)" } == "\(0o600)")
        #expect(try ReleaseKey(file: path).publicKey == key.publicKey)
        #expect(try ReleasePublicKey(file: path + ".pub") == key.publicKey)
        #expect(throws: GateError.self) { try ReleaseKey().write(to: path) }
        #expect(try ReleaseKey(file: path).publicKey == key.publicKey)
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: path)
        #expect(throws: GateError.self) { try ReleaseKey(file: path) }
    }

    @Test func `a private key does not show itself`() throws {
        let path = try temporaryFolder("keys").appending(path: "sre").path
        let key = ReleaseKey()
        try key.write(to: path)
        let secret = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")[1].suffix(20)
        var dumped = ""
        dump(key, to: &dumped)
        for text in ["\(key)", String(reflecting: key), dumped] {
            #expect(!text.contains(secret) && !text.contains("rawRepresentation"))
        }
    }

    @Test func `openssl verifies with the public key alone`() throws {
        let folder = try temporaryFolder("openssl").path
        let key = ReleaseKey()
        try key.write(to: folder + "/key")
        let envelope = try envelope(keys: [key])
        try Data(envelope.preAuthentication).write(to: URL(filePath: folder + "/pae"))
        try Data(envelope.signatures[0].bytes).write(to: URL(filePath: folder + "/sig"))
        let verify = [
            "pkeyutl", "-verify", "-pubin", "-inkey", folder + "/key.pub", "-rawin", "-in", folder + "/pae",
            "-sigfile", folder + "/sig",
        ]
        let outcome = try Command.run("openssl", verify)
        #expect(outcome.status == 0 && outcome.output.contains("Signature Verified Successfully"), "\(outcome)")
        try Data(envelope.preAuthentication + [0x20]).write(to: URL(filePath: folder + "/pae"))
        #expect(try Command.run("openssl", verify).status != 0)
    }

    @Test func `keys that openssl made are read`() throws {
        let path = try temporaryFolder("openssl").path + "/key"
        #expect(try Command.run("openssl", ["genpkey", "-algorithm", "ed25519", "-out", path]).status == 0)
        #expect(try Command.run("openssl", ["pkey", "-in", path, "-pubout", "-out", path + ".pub"]).status == 0)
        #expect(try Command.run("chmod", ["600", path]).status == 0)
        let envelope = try envelope(keys: [try ReleaseKey(file: path)])
        #expect(envelope.signers(among: [try ReleasePublicKey(file: path + ".pub")]).count == 1)
    }

    @Test func `securesystemslib verifies the envelope, and refuses a changed one`() throws {
        let folder = try temporaryFolder("securesystemslib").path
        let keys = [ReleaseKey(), ReleaseKey()]
        for (index, key) in keys.enumerated() { try key.write(to: "\(folder)/\(index)") }
        let text = try envelope(keys: keys).json.text
        try Data(text.utf8).write(to: URL(filePath: folder + "/good.json"))
        let changed = try envelope(#"{"a":2}"#, keys: []).json.text
        let payload = try #require(try JSON(parsing: changed.utf8).fields?[1].value.text)
        let own = try #require(try JSON(parsing: text.utf8).fields?[1].value.text)
        try Data(text.replacingOccurrences(of: own, with: payload).utf8).write(to: URL(filePath: folder + "/bad.json"))
        let script = """
            import json, sys
            from cryptography.hazmat.primitives.serialization import load_pem_public_key
            from securesystemslib.dsse import Envelope
            from securesystemslib.signer import SSlibKey
            folder, name = sys.argv[1:]
            envelope = Envelope.from_dict(json.load(open(f"{folder}/{name}.json")))
            keys = []
            for index, keyid in enumerate(envelope.signatures):
                public = load_pem_public_key(open(f"{folder}/{index}.pub", "rb").read())
                keys.append(SSlibKey.from_crypto(public, keyid=keyid))
            print(len(envelope.verify(keys, 2)), envelope.payload.decode())
            """
        let python = try Self.python()
        let good = try Command.run(python, ["-c", script, folder, "good"])
        #expect(good.status == 0 && good.output == "2 {\"a\":1}\n", "\(good.output)")
        let bad = try Command.run(python, ["-c", script, folder, "bad"])
        #expect(bad.status != 0 && bad.output.contains("VerificationError"), "\(bad.output)")
    }

    /// The interpreter of scripts/test's environment with securesystemslib in it.
    static func python() throws -> String {
        let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..").standardizedFileURL
        let python = root.appending(path: ".build/python/securesystemslib/bin/python").path
        guard FileManager.default.isExecutableFile(atPath: python) else {
            throw TestFailure(description: "\(python) is missing: scripts/test installs securesystemslib.")
        }
        return python
    }

    @Test func `every letter of an envelope matters`() throws {
        let key = ReleaseKey()
        let text = Array(try envelope(#"{"release":"1.2.0"}"#, keys: [key]).json.bytes)
        var accepted: [Int] = []
        for index in text.indices {
            var changed = text
            changed[index] = changed[index] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            guard changed != text else { continue }
            do {
                let read = try DSSEEnvelope(json: try JSON(parsing: changed))
                if !read.signers(among: [key.publicKey]).isEmpty { accepted.append(index) }
            } catch { continue }
        }
        #expect(accepted.isEmpty, "\(accepted.map { String(decoding: text[max(0, $0 - 5)...$0], as: UTF8.self) })")
    }

    @Test func `a signature by another key, or none, is refused with the reason`() throws {
        let (ours, other) = (ReleaseKey(), ReleaseKey())
        let unknown = #expect(throws: GateError.self) {
            try envelope(keys: [other]).verify(with: [ours.publicKey], what: "the certificate")
        }
        #expect(unknown?.code == .tampered && unknown?.message.contains("no signature is by a key") == true)
        let signed = try envelope(keys: [ours])
        let forged = DSSEEnvelope(
            payloadType: signed.payloadType, payload: Array("{}".utf8), signatures: signed.signatures)
        let changed = #expect(throws: GateError.self) {
            try forged.verify(with: [ours.publicKey], what: "the certificate")
        }
        #expect(changed?.message.contains("does not fit the payload") == true)
    }
}

import Contracts
import Foundation
import ReleaseGateCore
import ReleaseGateService
import TestSupport
import Testing

/// Signatures and provenance as files, with keys of ours and of others.
@Suite(.timeLimit(.minutes(10))) struct `Attestations` {
    private static let version = "1.2.0-rc.1"

    private static func folder() throws -> ReleaseFolder {
        let folder = try ReleaseFolder()
        try folder.writeRelease(version)
        return folder
    }

    private static func verify(_ folder: ReleaseFolder) async throws {
        let release = try folder.release
        try await folder.gate { try $0.verifyAttestations(release) }
    }

    /// What the gate says against the release's attestations.
    private static func refusal(_ folder: ReleaseFolder) async throws -> GateError {
        do { try await verify(folder) } catch let error as GateError { return error }
        throw TestFailure(description: "It was accepted.")
    }

    private static func lines(_ folder: ReleaseFolder) throws -> [String] {
        try folder.read("attestations/release.jsonl").split(separator: "\n").map(String.init)
    }

    @Test func `what attest signed is in order`() async throws {
        let folder = try Self.folder()
        try await Self.verify(folder)
        #expect(try Self.lines(folder).count == ReleaseFolder.services.count + 1)
    }

    @Test func `one letter changed anywhere is refused by the file's name`() async throws {
        let folder = try Self.folder()
        let lines = try Self.lines(folder)
        for line in [0, lines.count - 1] {
            for field in line == 0 ? ["Base64Signature", "Payload"] : ["payload", "sig"] {
                var changed = lines
                let place = try #require(changed[line].firstRange(of: "\"\(field)\":\""))
                let index = changed[line].index(place.upperBound, offsetBy: 12)
                let letter = changed[line][index] == "A" ? "B" : "A"
                changed[line].replaceSubrange(index...index, with: letter)
                try folder.write("attestations/release.jsonl", changed.joined(separator: "\n"))
                let error = try await Self.refusal(folder)
                #expect([.tampered, .invalid].contains(error.code), "\(field): \(error)")
                #expect(error.message.contains("attestations/release.jsonl"), "\(field): \(error)")
            }
        }
    }

    @Test func `a stranger's key does not count`() async throws {
        let folder = try Self.folder()
        try folder.attest(ReleaseFolder.commit, key: "release")
        let error = try await Self.refusal(folder)
        #expect(error.code == .tampered && error.message.contains("no key of gate.yaml's supplyChain.signers"))
        let lines = try Self.lines(folder)
        try folder.write("attestations/release.jsonl", lines[lines.count - 1])
        let statement = try await Self.refusal(folder)
        #expect(statement.code == .tampered && statement.message.contains("supplyChain.builders"))
    }

    @Test func `a key speaks for its own builder alone`() async throws {
        let folder = try Self.folder()
        try folder.write("gate.yaml", try folder.read("gate.yaml").replacing(ReleaseFolder.builder, with: "https://b"))
        let error = try await Self.refusal(folder)
        #expect(error.code == .refused && error.message.contains("is not trusted to speak for the builder"))
    }

    @Test func `missing, of another commit, of another release: each is said`() async throws {
        let folder = try Self.folder()
        try folder.attest(String(repeating: "7", count: 40))
        #expect(try await Self.refusal(folder).message.contains("was built from 7777"))
        try folder.writeRelease("1.2.0-rc.2")
        try folder.writeRelease(Self.version, isAttested: false)
        let other = try await Self.refusal(folder).message
        #expect(other.contains("signature: registry/ledger@sha256:") && other.contains("provenance: chart@sha256:"))
        try FileManager.default.removeItem(atPath: folder.path + "/attestations")
        #expect(try await Self.refusal(folder).code == .fileUnusable)
        let settings = try folder.read("gate.yaml").split(separator: "supplyChain:\n")
        let rest = try #require(settings[1].firstRange(of: "adapters:"))
        try folder.write("gate.yaml", "\(settings[0])\(settings[1][rest.lowerBound...])")
        #expect(try await Self.refusal(folder).message.contains("no trusted key signed it"), "nobody is trusted")
    }

    @Test(arguments: ["", "{}", "[1]", "{\"payloadType\":1}", "{\"Base64Signature\":\"AA==\"}", "no\nJSON"])
    func `anything else is refused`(text: String) async throws {
        let folder = try Self.folder()
        try folder.write("attestations/stray.json", text)
        let error = try await Self.refusal(folder)
        #expect(error.code == .invalid && error.message.contains("stray.json"), "\(error)")
    }

    /// cosign's keys are of P-256, its payloads and lines as here; openssl makes what cosign would.
    @Test func `images signed as cosign signs them count`() async throws {
        let folder = try Self.folder()
        let path = folder.path
        func openssl(_ words: String...) throws {
            let outcome = try Command.run("openssl", words)
            guard outcome.status == 0 else { throw TestFailure(description: outcome.output) }
        }
        try openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path + "/cosign.key")
        try openssl("pkey", "-in", path + "/cosign.key", "-pubout", "-out", path + "/cosign.pub")
        try folder.write(
            "gate.yaml", try folder.read("gate.yaml").replacing("signers: [build.pub]", with: "signers: [cosign.pub]"))
        let ours = try await Self.refusal(folder)
        #expect(ours.code == .tampered)
        var lines: [String] = []
        for car in try folder.release.train.cars {
            let payload = """
                {"critical":{"identity":{"docker-reference":"\(car.image.name)"},\
                "image":{"docker-manifest-digest":"sha256:\(car.image.sha256)"},\
                "type":"cosign container image signature"},"optional":null}
                """
            try folder.write("payload", payload)
            try openssl("dgst", "-sha256", "-sign", path + "/cosign.key", "-out", path + "/sig", path + "/payload")
            let signature = try Data(contentsOf: URL(filePath: path + "/sig")).base64EncodedString()
            let body = Data(payload.utf8).base64EncodedString()
            lines.append(#"{"Base64Signature":"\#(signature)","Payload":"\#(body)","Cert":null,"Bundle":null}"#)
        }
        let provenance = try #require(try Self.lines(folder).last)
        try folder.write("attestations/release.jsonl", (lines + [provenance]).joined(separator: "\n"))
        try await Self.verify(folder)
        // The same signature over another image's payload.
        let halves = (lines[0].split(separator: "\"Payload\""), lines[1].split(separator: "\"Payload\""))
        let swapped = halves.0[0] + "\"Payload\"" + halves.1[1]
        try folder.write("attestations/release.jsonl", ([String(swapped)] + lines.dropFirst()).joined(separator: "\n"))
        #expect(try await Self.refusal(folder).code == .tampered)
    }

    @Test func `what the gate signed, openssl verifies`() throws {
        let folder = try Self.folder()
        let path = folder.path
        let json = try JSON(parsing: try Self.lines(folder)[0].utf8)
        for (field, file) in [("Payload", "payload"), ("Base64Signature", "sig")] {
            let text = try #require(json.fields?.first { $0.name == field }?.value.string)
            try #require(Data(base64Encoded: text)).write(to: URL(filePath: "\(path)/\(file)"))
        }
        let outcome = try Command.run(
            "openssl",
            [
                "pkeyutl", "-verify", "-pubin", "-inkey", path + "/build.pub", "-rawin", "-in", path + "/payload",
                "-sigfile", path + "/sig",
            ])
        #expect(outcome.status == 0, "\(outcome.output)")
        #expect(try folder.read("payload").contains("\"docker-reference\":\"registry/ledger\""))
    }

    @Test func `beyond dev, what was not promoted with these digests is not walked`() async throws {
        let folder = try Self.folder()
        let release = try folder.release
        for environment in ["staging", "prod"] {
            let error = await #expect(throws: GateError.self) {
                try await folder.gate { try await $0.canary(release, environment: environment, isArmed: true) }
            }
            #expect(error?.code == .refused && error?.message.contains("was not promoted to \(environment)") == true)
        }
        #expect(try folder.commands().isEmpty)
    }
}

package import Contracts
package import ReleaseGateCore

/// Reads and makes what shows where images and charts come from, in the forms of the tools that others use: a line of
/// `cosign download signature`, and in-toto statements of SLSA provenance in DSSE envelopes.
///
/// A file that holds anything else, or whose signature by one of the given keys does not fit, is no attestation but an
/// error: nothing is skipped in silence.
package struct SupplyChain: Sendable {
    package static let provenanceType = "https://slsa.dev/provenance/v1"
    package static let buildType = "urn:golden:build:v1"
    private static let statementTypes = ["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"]
    private static let signatureTypes = ["cosign container image signature", "atomic container signature"]
    private static let subjectsMax = 1000
    private static let sourcesMax = 1000

    private let signers: [AttestationKey]
    private let builders: [(key: AttestationKey, id: String)]

    package init(_ trust: GateConfiguration.SupplyChain, folder: String) throws(GateError) {
        var signers: [AttestationKey] = []
        for path in trust.signers ?? [] {
            signers.append(try AttestationKey(file: GateConfiguration.join(folder, path)))
        }
        var builders: [(key: AttestationKey, id: String)] = []
        for builder in trust.builders ?? [] {
            builders.append((try AttestationKey(file: GateConfiguration.join(folder, builder.file)), builder.id))
        }
        self.signers = signers
        self.builders = builders
    }

    /// What a file holds: one JSON object, or one a line.
    package static func documents(in path: String) throws(GateError) -> [JSON] {
        let bytes = try GateFiles.read(path)
        do { return [try JSON(parsing: bytes)] } catch {
            var documents: [JSON] = []
            for (index, line) in bytes.split(separator: UInt8(ascii: "\n")).enumerated() {
                do { documents.append(try JSON(parsing: line)) } catch {
                    throw GateError(.invalid, "\(path), line \(index + 1) is no JSON.", underlying: error)
                }
            }
            guard !documents.isEmpty else { throw GateError(.invalid, "\(path) is empty.") }
            return documents
        }
    }

    /// - Throws: `tampered` when no trusted key signed it, `invalid` when it is something else.
    package func read(_ json: JSON, from path: String) throws(GateError) -> [Attestation] {
        let names = Set((json.fields ?? []).map(\.name))
        do {
            if names.contains("Base64Signature") { return [try image(json, from: path)] }
            if names.contains("payloadType") { return try provenance(json, from: path) }
        } catch let error as GateError {
            throw error
        } catch {
            throw GateError(.invalid, "\(path) is not read as what it seems to be.", underlying: error)
        }
        throw GateError(
            .invalid, "\(path) is neither an image's signature nor a signed provenance.",
            next: "cosign download signature IMAGE, or release-gate attest.")
    }

    private func image(_ json: JSON, from path: String) throws -> Attestation {
        var reader = try JSONReader(json)
        guard let signature = Base64.decode(try reader.string("Base64Signature")) else {
            throw reader.error("Base64Signature", "is not base64")
        }
        guard let payload = Base64.decode(try reader.string("Payload")) else {
            throw reader.error("Payload", "is not base64")
        }
        guard let key = signers.first(where: { $0.verifies(signature, over: payload) }) else {
            throw GateError(.tampered, "\(path): no key of gate.yaml's supplyChain.signers signed this payload.")
        }
        var signed = try JSONReader(try JSON(parsing: payload))
        var critical = try JSONReader(try signed.required("critical"), path: "critical")
        guard Self.signatureTypes.contains(try critical.string("type")) else {
            throw critical.error("type", "is not of an image's signature")
        }
        var identity = try JSONReader(try critical.required("identity"), path: "identity")
        var image = try JSONReader(try critical.required("image"), path: "image")
        let name = ReleaseFile.repository(try identity.string("docker-reference")[...])
        guard let artifact = ArtifactDigest(name: name, sha256: try image.string("docker-manifest-digest")) else {
            throw image.error("docker-manifest-digest", "is no SHA-256")
        }
        return Attestation(.image, artifact: artifact, keyID: key.id)
    }

    private func provenance(_ json: JSON, from path: String) throws -> [Attestation] {
        let envelope = try DSSEEnvelope(json: json)
        guard envelope.payloadType == DSSEEnvelope.inToto else {
            throw GateError(.invalid, "\(path) is no in-toto statement but \(envelope.payloadType).")
        }
        let message = envelope.preAuthentication
        // The id that a signature claims is a hint (DSSE), and cosign leaves it out.
        let signed = builders.filter { builder in
            envelope.signatures.contains { builder.key.verifies($0.bytes, over: message) }
        }
        guard !signed.isEmpty else {
            throw GateError(.tampered, "\(path): no key of gate.yaml's supplyChain.builders signed this statement.")
        }
        var statement = try JSONReader(try JSON(parsing: envelope.payload))
        guard Self.statementTypes.contains(try statement.string("_type")) else {
            throw statement.error("_type", "is of no in-toto statement")
        }
        guard try statement.string("predicateType") == Self.provenanceType else {
            throw statement.error("predicateType", "must be \(Self.provenanceType)")
        }
        let build = try Self.build(try statement.required("predicate"))
        guard let builder = signed.first(where: { $0.id == build.builder }) else {
            throw GateError(
                .refused, "\(path): its key is not trusted to speak for the builder \(build.builder).",
                next: "gate.yaml lists builders with their keys.")
        }
        var attestations: [Attestation] = []
        for var subject in try statement.optionalObjects("subject", atMost: Self.subjectsMax) ?? [] {
            var digest = try JSONReader(try subject.required("digest"), path: "digest")
            let name = try subject.string("name")
            guard let artifact = ArtifactDigest(name: name, sha256: try digest.string("sha256")) else {
                throw subject.error("digest", "is no SHA-256")
            }
            attestations.append(Attestation(.provenance(build), artifact: artifact, keyID: builder.key.id))
        }
        return attestations
    }

    private static func build(_ json: JSON) throws(JSONError) -> Attestation.Provenance {
        var predicate = try JSONReader(json, path: "predicate")
        var definition = try JSONReader(try predicate.required("buildDefinition"), path: "buildDefinition")
        var run = try JSONReader(try predicate.required("runDetails"), path: "runDetails")
        var builder = try JSONReader(try run.required("builder"), path: "builder")
        var sources: [Attestation.Source] = []
        for var dependency in try definition.optionalObjects("resolvedDependencies", atMost: sourcesMax) ?? [] {
            guard let digests = dependency.optional("digest")?.fields,
                let commit = digests.first(where: { ["gitCommit", "sha1"].contains($0.name) })?.value.string
            else { continue }
            sources.append(Attestation.Source(uri: try dependency.string("uri"), commit: commit))
        }
        return Attestation.Provenance(builder: try builder.string("id"), sources: sources)
    }
}

extension SupplyChain {
    /// What a build of ours signs: every image of the train as cosign does, and one provenance of all artifacts.
    ///
    /// - Returns: one JSON object a line.
    package static func attest(
        _ train: ReleaseTrain, builder: String, source: Attestation.Source, key: ReleaseKey
    ) throws(GateError) -> String {
        var lines: [String] = []
        for car in train.cars {
            let payload = simpleSigning(car.image)
            let signature = try key.sign(payload)
            lines.append(
                JSONWriter.object { writer in
                    writer.field("Base64Signature", Base64.encode(signature))
                    writer.field("Payload", Base64.encode(payload))
                }.text)
        }
        var envelope = DSSEEnvelope(
            payloadType: DSSEEnvelope.inToto, payload: statement(train, builder: builder, source: source))
        try envelope.sign(with: key)
        return (lines + [envelope.json.text]).joined(separator: "\n") + "\n"
    }

    /// The payload that cosign signs for an image (containers/image, "simple signing").
    static func simpleSigning(_ image: ArtifactDigest) -> [UInt8] {
        Array(
            JSONWriter.object { writer in
                writer.field(
                    "critical",
                    object: { writer in
                        writer.field("identity", object: { $0.field("docker-reference", image.name) })
                        writer.field(
                            "image", object: { $0.field("docker-manifest-digest", "sha256:\(image.sha256)") })
                        writer.field("type", signatureTypes[0])
                    })
                writer.field("optional", JSON.null)
            }.bytes)
    }

    private static func statement(
        _ train: ReleaseTrain, builder: String, source: Attestation.Source
    ) -> [UInt8] {
        let uri = "git+\(source.repository)@refs/tags/v\(train.version)"
        return Array(
            JSONWriter.object { writer in
                writer.field("_type", statementTypes[0])
                writer.field(
                    "subject",
                    array: { writer in
                        for artifact in train.artifacts {
                            writer.element(object: { writer in
                                writer.field("name", artifact.name)
                                writer.field("digest", object: { $0.field("sha256", artifact.sha256) })
                            })
                        }
                    })
                writer.field("predicateType", provenanceType)
                writer.field(
                    "predicate",
                    object: { writer in
                        writer.field(
                            "buildDefinition",
                            object: { writer in
                                writer.field("buildType", buildType)
                                writer.field("externalParameters", object: { $0.field("source", uri) })
                                writer.field(
                                    "resolvedDependencies",
                                    array: { writer in
                                        writer.element(object: { writer in
                                            writer.field("uri", uri)
                                            writer.field("digest", object: { $0.field("gitCommit", source.commit) })
                                        })
                                    })
                            })
                        writer.field(
                            "runDetails",
                            object: { writer in writer.field("builder", object: { $0.field("id", builder) }) })
                    })
            }.bytes)
    }
}

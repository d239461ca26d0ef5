package import Contracts
internal import ReleaseGateCore

/// A signed document (DSSE 1.0.2, secure-systems-lab/dsse): the payload's exact bytes, their type, and signatures over
/// both.
package struct DSSEEnvelope: Sendable, Equatable {
    package struct Signature: Sendable, Equatable {
        package let keyID: String
        package let bytes: [UInt8]

        package init(keyID: String, bytes: [UInt8]) {
            self.keyID = keyID
            self.bytes = bytes
        }
    }

    /// The type of in-toto statements.
    package static let inToto = Envelope.statementType
    package static let signaturesMax = 32

    package let payloadType: String
    package let payload: [UInt8]
    package private(set) var signatures: [Signature]

    package init(payloadType: String, payload: [UInt8], signatures: [Signature] = []) {
        self.payloadType = payloadType
        self.payload = payload
        self.signatures = signatures
    }

    /// The pre-authentication encoding: what is signed, in which type and payload cannot run into each other.
    package var preAuthentication: [UInt8] {
        Envelope.signedBytes(type: payloadType, payload: payload)
    }

    /// Adds the key's signature, or leaves the envelope as it is when it has one of this key.
    package mutating func sign(with key: ReleaseKey) throws(GateError) {
        let id = key.publicKey.id
        guard !signatures.contains(where: { $0.keyID == id }) else { return }
        signatures.append(Signature(keyID: id, bytes: try key.sign(preAuthentication)))
    }

    /// Which of these keys signed it. The id a signature claims only says which key to try.
    package func signers(among keys: [ReleasePublicKey]) -> [ReleasePublicKey] {
        let message = preAuthentication
        return keys.filter { key in
            signatures.contains { $0.keyID == key.id && key.verifies($0.bytes, over: message) }
        }
    }

    /// - Throws: `tampered` when none of the keys signed exactly these bytes.
    @discardableResult
    package func verify(with keys: [ReleasePublicKey], what: String) throws(GateError) -> [ReleasePublicKey] {
        let signers = signers(among: keys)
        if !signers.isEmpty { return signers }
        let known = signatures.filter { signature in keys.contains { $0.id == signature.keyID } }
        throw GateError(
            .tampered,
            known.isEmpty
                ? "\(what): no signature is by a key that was given."
                : "\(what): the signature by key \(known[0].keyID.prefix(16))… does not fit the payload.")
    }
}

extension DSSEEnvelope {
    package var json: JSON {
        JSONWriter.object { writer in
            writer.field("payloadType", payloadType)
            writer.field("payload", Base64.encode(payload))
            writer.field(
                "signatures",
                array: { writer in
                    for signature in signatures {
                        writer.element(object: { writer in
                            writer.field("keyid", signature.keyID)
                            writer.field("sig", Base64.encode(signature.bytes))
                        })
                    }
                })
        }
    }

    package init(json: JSON) throws(JSONError) {
        var reader = try JSONReader(json)
        payloadType = try reader.string("payloadType")
        guard let payload = Base64.decode(try reader.string("payload")) else {
            throw reader.error("payload", "is not base64")
        }
        self.payload = payload
        guard let list = try reader.optionalObjects("signatures", atMost: Self.signaturesMax),
            list.count <= Self.signaturesMax
        else { throw reader.error("signatures", "must be a list of at most \(Self.signaturesMax)") }
        var signatures: [Signature] = []
        for var element in list {
            guard let bytes = Base64.decode(try element.string("sig")) else {
                throw element.error("sig", "is not base64")
            }
            signatures.append(Signature(keyID: try element.optionalString("keyid") ?? "", bytes: bytes))
        }
        self.signatures = signatures
    }

    package init(file path: String) throws(GateError) {
        let bytes = try GateFiles.read(path)
        do { try self.init(json: try JSON(parsing: bytes)) } catch {
            throw GateError(.invalid, "\(path) is no DSSE envelope.", underlying: error)
        }
    }
}

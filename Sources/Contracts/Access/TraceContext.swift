internal import Synchronization

/// One span's place in a trace: the `traceparent` of W3C Trace Context, level 1, carried through HTTP and the bus.
package struct TraceContext: Sendable, Hashable, CustomStringConvertible {
    /// 32 lower-case hex digits, never all zero.
    package let traceID: String
    /// 16 lower-case hex digits, never all zero.
    package let spanID: String
    package let isSampled: Bool

    /// Starts a new trace.
    package init(isSampled: Bool = true) {
        traceID = Hexadecimal.text(Self.random()) + Hexadecimal.text(Self.random())
        spanID = Hexadecimal.text(Self.random())
        self.isSampled = isSampled
    }

    /// Nil unless `traceparent` follows the recommendation. Later versions are read as their first four fields.
    package init?(traceparent: String) {
        let bytes = Array(traceparent.utf8)
        guard bytes.count >= 55, bytes.count <= 512, bytes[2] == Self.dash, bytes[35] == Self.dash,
            bytes[52] == Self.dash
        else { return nil }
        let version = bytes[0..<2]
        let (trace, span, flags) = (bytes[3..<35], bytes[36..<52], bytes[53..<55])
        guard [version, trace, span, flags].allSatisfy({ $0.allSatisfy(Self.isLowerHex) }),
            version.contains(where: { $0 != UInt8(ascii: "f") }),
            bytes.count == 55 || (version.contains { $0 != Self.zero } && bytes[55] == Self.dash),
            trace.contains(where: { $0 != Self.zero }), span.contains(where: { $0 != Self.zero }),
            let low = hexDigit(bytes[54])
        else { return nil }
        traceID = String(decoding: trace, as: UTF8.self)
        spanID = String(decoding: span, as: UTF8.self)
        isSampled = low & 1 == 1
    }

    private init(traceID: String, spanID: String, isSampled: Bool) {
        self.traceID = traceID
        self.spanID = spanID
        self.isSampled = isSampled
    }

    /// The same trace, one step further.
    package func child() -> TraceContext {
        TraceContext(traceID: traceID, spanID: Hexadecimal.text(Self.random()), isSampled: isSampled)
    }

    /// The step of the trace that everybody who knows `name` gives the same id, without asking: what it causes can hang
    /// on it before it has ended, whoever publishes it.
    ///
    /// Source: Fowler, Noll, Vo, FNV-1a in 64 bits, over the trace's id and the name.
    package func step(_ name: String) -> TraceContext {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in "\(traceID) \(name)".utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return TraceContext(traceID: traceID, spanID: Hexadecimal.text(max(1, hash)), isSampled: isSampled)
    }

    /// The trace that a `traceparent` belongs to, for logs; empty without one.
    package static func id(of traceparent: String?) -> String {
        traceparent.flatMap { TraceContext(traceparent: $0)?.traceID } ?? ""
    }

    /// The header's value, version 00.
    package var traceparent: String { "00-\(traceID)-\(spanID)-\(isSampled ? "01" : "00")" }

    package var description: String { traceparent }

    private static let dash = UInt8(ascii: "-")
    private static let zero = UInt8(ascii: "0")

    private static func isLowerHex(_ byte: UInt8) -> Bool {
        hexDigit(byte) != nil && !(UInt8(ascii: "A")...UInt8(ascii: "F")).contains(byte)
    }

    /// Ids must be unlike each other, not secret: the system's generator would cost a kernel call each.
    /// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (SplitMix64).
    private static func random() -> UInt64 {
        var word = state.wrappingAdd(0x9E37_79B9_7F4A_7C15, ordering: .relaxed).newValue
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return max(1, word ^ (word >> 31))
    }

    private static let state = Atomic<UInt64>(UInt64.random(in: 0 ... .max))
}

internal import Contracts

/// One thing `setUp` did, or `plan` would do.
package struct TopologyChange: Sendable, Equatable, CustomStringConvertible {
    package enum Kind: String, Sendable {
        case create
        case update
        /// Differs in a setting the server cannot change in place; nothing was touched.
        case conflict
    }

    package struct Difference: Sendable, Equatable, CustomStringConvertible {
        package let setting: String
        /// JSON text; `absent` when the server does not know the setting.
        package let found: String
        package let wanted: String

        package var description: String { "\(setting): \(found) -> \(wanted)" }
    }

    package let kind: Kind
    /// `stream WORK`, `consumer work-developer`.
    package let object: String
    package let differences: [Difference]

    package var description: String {
        let what = "\(kind.rawValue) \(object)"
        return differences.isEmpty ? what : what + " (" + differences.map(\.description).joined(separator: ", ") + ")"
    }
}

/// A stream that is not the one this process knew: its store was lost, or it was deleted, and it is empty now.
package struct StreamLoss: Sendable, Equatable {
    package let stream: BusTopology.StreamName
    /// When the new incarnation was created, as the server wrote it.
    package let created: String
}

/// One life of a stream. A changed `created` means that everything published before is gone.
package struct StreamIncarnation: Sendable, Equatable {
    package let created: String
    package let firstSequence: UInt64
    package let lastSequence: UInt64
    package let messageCount: UInt64
    package let sizeBytes: UInt64
}

/// What a consumer still has to hand out, and what was handed out and not acknowledged.
package struct ConsumerBacklog: Sendable, Equatable {
    package let pending: Int
    package let ackPending: Int
    /// Deliveries that were not the first.
    package let redelivered: Int
    /// Pull requests waiting at the server.
    package let waiting: Int
}

/// Settings as the server's API words them, and how two sets of them differ.
struct Settings {
    /// An object of exactly the settings we decide.
    let wanted: JSON
    /// Those of them that the server cannot change in place.
    let fixed: Set<String>

    func differences(from actual: JSON) -> [TopologyChange.Difference] {
        let found = Dictionary(actual.fieldList) { first, _ in first }
        return wanted.fieldList.compactMap { name, value in
            guard found[name]?.canonical != value.canonical else { return nil }
            return TopologyChange.Difference(setting: name, found: found[name]?.text ?? "absent", wanted: value.text)
        }
    }

    /// What the server has, with our settings put over it, so that settings we do not know survive an update.
    func merged(over actual: JSON) -> JSON {
        let ours = wanted.fieldList
        let names = Set(ours.map(\.0))
        return JSONWriter.object { writer in
            for (name, value) in actual.fieldList where !names.contains(name) { writer.field(name, value) }
            for (name, value) in ours { writer.field(name, value) }
        }
    }

    func change(_ object: String, from actual: JSON?) -> TopologyChange? {
        guard let actual else { return TopologyChange(kind: .create, object: object, differences: []) }
        let differences = differences(from: actual)
        if differences.isEmpty { return nil }
        let isConflict = differences.contains { fixed.contains($0.setting) }
        return TopologyChange(kind: isConflict ? .conflict : .update, object: object, differences: differences)
    }
}

extension JSON {
    fileprivate var fieldList: [(String, JSON)] { (fields ?? []).map { ($0.name, $0.value) } }
}

extension BusTopology.Stream {
    func settings(_ configuration: BusConfiguration) -> Settings {
        let bytesMax = configuration.storageBytesMax / BusConfiguration.storageShares * storageShare
        let json = JSONWriter.object {
            $0.field("name", name.rawValue)
            $0.field("subjects", [subject])
            $0.field("retention", retention.rawValue)
            $0.field("storage", "file")
            $0.field("discard", discard.rawValue)
            $0.field("num_replicas", configuration.replicas)
            $0.field("max_age", maxAge?.wholeNanoseconds ?? 0)
            $0.field("max_bytes", bytesMax)
            $0.field("max_msg_size", messageBytesMax)
            $0.field("duplicate_window", BusTopology.duplicateWindow.wholeNanoseconds)
        }
        return Settings(wanted: json, fixed: ["name", "retention", "storage"])
    }
}

extension BusTopology.Consumer {
    var settings: Settings {
        let json = JSONWriter.object {
            $0.field("durable_name", name)
            $0.field("deliver_policy", "all")
            $0.field("ack_policy", "explicit")
            $0.field("replay_policy", "instant")
            $0.field("ack_wait", ackWait.wholeNanoseconds)
            $0.field("max_ack_pending", ackPendingMax)
            $0.field("max_waiting", waitingMax)
            $0.field("max_deliver", -1)
            $0.field(ifPresent: "filter_subject", filter)
        }
        return Settings(
            wanted: json, fixed: ["durable_name", "deliver_policy", "ack_policy", "replay_policy", "max_waiting"]
        )
    }
}

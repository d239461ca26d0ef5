package import Contracts

/// What each tier needs, has and promises: `sandbox/tiers.json`, the one place that says so.
package struct TierBook: Sendable, Equatable {
    package struct Tier: Sendable, Equatable {
        /// Of the host.
        package let needs: String
        /// Tried at start; those that do not hold keep the executor from serving.
        package let layers: [Layer]
        package let promises: [String]
        package let exceptions: [String]
    }

    private let tiers: [SandboxTier: Tier]

    /// - Throws: for a tier or a layer that is unknown, or a tier that is missing.
    package init(json: JSON) throws(JSONError) {
        var file = try JSONReader(json)
        var tiers: [SandboxTier: Tier] = [:]
        for tier in SandboxTier.allCases {
            guard var entry = try file.optionalObject(tier.rawValue) else {
                throw file.error(tier.rawValue, "is required")
            }
            let needs = try entry.string("needs")
            let layers = try (try entry.optionalStrings("layers") ?? []).map { word throws(JSONError) in
                guard let layer = Layer(rawValue: word) else { throw entry.error("layers", "\(word) is unknown") }
                return layer
            }
            let promises = try entry.optionalStrings("promises") ?? []
            let exceptions = try entry.optionalStrings("does_not_promise") ?? []
            try entry.refuseUnknown()
            tiers[tier] = Tier(needs: needs, layers: layers, promises: promises, exceptions: exceptions)
        }
        try file.refuseUnknown()
        self.tiers = tiers
    }

    package subscript(_ tier: SandboxTier) -> Tier {
        guard let found = tiers[tier] else { preconditionFailure("init has read every tier.") }
        return found
    }
}

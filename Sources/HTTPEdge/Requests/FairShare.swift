/// Who holds how much of something scarce, such as places or bytes, that many share. An owner gets more while it holds
/// less than is free: one alone has half of all, and n leave one part in n + 1 to whoever comes next.
///
/// Source: Choudhury and Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches", 1998.
package struct FairShare<Owner: Hashable & Sendable>: Sendable {
    /// What all owners hold together.
    package private(set) var taken = 0
    private let whole: Int
    private var parts: [Owner: Int] = [:]

    /// - Parameter whole: how much there is.
    package init(of whole: Int) {
        self.whole = whole
    }

    package func held(by owner: Owner) -> Int { parts[owner, default: 0] }

    /// Takes so many, by the rule as if one after the other; false when one of them is refused, and then takes none.
    package mutating func take(_ count: Int = 1, for owner: Owner) -> Bool {
        precondition(count > 0, "Who takes, takes something.")
        let before = count - 1
        guard held(by: owner) + before < whole - taken - before else { return false }
        parts[owner, default: 0] += count
        taken += count
        return true
    }

    /// Gives back so many of what the owner holds. More than that would be our bug, and counts as all of it: nothing
    /// is worth a server's end here.
    package mutating func giveBack(_ count: Int = 1, of owner: Owner) {
        let held = held(by: owner)
        assert(count > 0 && count <= held, "Nobody gives back what it does not hold.")
        let given = max(0, min(count, held))
        parts[owner] = held > given ? held - given : nil
        taken -= given
    }
}

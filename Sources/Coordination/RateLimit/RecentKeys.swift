/// A value for each of the most recently used keys; the one used longest ago makes room for a new one.
///
/// A doubly linked list over arrays: every operation is of constant time and allocates nothing once full.
struct RecentKeys<Value> {
    private struct Node {
        var key: String
        var value: Value
        var older: Int
        var newer: Int
    }

    /// No node.
    private static var none: Int { -1 }

    let capacity: Int
    private var places: [String: Int] = [:]
    private var nodes: [Node] = []
    private var newest = Self.none
    private var oldest = Self.none

    init(capacity: Int) {
        precondition(capacity > 0, "There must be room for one key.")
        self.capacity = capacity
    }

    var count: Int { nodes.count }

    /// Every key with its value, in no particular order; holds a copy of what is remembered.
    var all: [(key: String, value: Value)] { nodes.map { ($0.key, $0.value) } }

    /// The key's value, without counting as a use.
    func value(_ key: String) -> Value? { places[key].map { nodes[$0].value } }

    /// Stores the value and makes the key the most recently used.
    mutating func set(_ key: String, _ value: Value) {
        if let place = places[key] {
            nodes[place].value = value
            guard place != newest else { return }
            unlink(place)
            link(place)
        } else if nodes.count < capacity {
            nodes.append(Node(key: key, value: value, older: Self.none, newer: Self.none))
            places[key] = nodes.count - 1
            link(nodes.count - 1)
        } else {
            let place = oldest
            places[nodes[place].key] = nil
            unlink(place)
            nodes[place].key = key
            nodes[place].value = value
            places[key] = place
            link(place)
        }
    }

    private mutating func unlink(_ place: Int) {
        let node = nodes[place]
        if node.older == Self.none { oldest = node.newer } else { nodes[node.older].newer = node.newer }
        if node.newer == Self.none { newest = node.older } else { nodes[node.newer].older = node.older }
    }

    private mutating func link(_ place: Int) {
        nodes[place].older = newest
        nodes[place].newer = Self.none
        if newest == Self.none { oldest = place } else { nodes[newest].newer = place }
        newest = place
    }
}

/// How the token of a lease is compared: in a time that says nothing of where it differs.
package enum LeaseToken {
    package static func matches(_ said: String, _ held: String) -> Bool {
        let (said, held) = (Array(said.utf8), Array(held.utf8))
        guard said.count == held.count else { return false }
        return zip(said, held).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }
}

/// Whatever prints a configuration, or something that holds one, shows no secret.
extension TokenConfiguration: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String { "tokens of \(issuer) for \(audience)" }

    package var debugDescription: String { description }

    package var customMirror: Mirror { Mirror(self, children: [:]) }
}

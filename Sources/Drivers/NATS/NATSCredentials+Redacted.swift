/// Whatever prints credentials, or something that holds them, shows their kind and no secret.
extension NATSCredentials: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String {
        switch self {
        case .none: "none"
        case .userPassword: "user and password"
        case .token: "token"
        case .credentialsFile: "credentials file"
        }
    }

    package var debugDescription: String { description }

    package var customMirror: Mirror { Mirror(self, children: [:]) }
}

/// Whatever prints a configuration, or something that holds one, shows no connection string: the lifecycle, for one,
/// writes every service it starts to the log with all that it is made of.
extension PostgresConfiguration: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String { "Postgres for \(applicationName)" }

    package var debugDescription: String { description }

    package var customMirror: Mirror { Mirror(self, children: [:]) }
}

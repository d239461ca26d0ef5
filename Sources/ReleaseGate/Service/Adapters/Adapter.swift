/// Which programs carry decisions out. The gate owns no traffic and no cluster: these do.
package struct Adapter: Sendable, Equatable {
    package enum Action: String, Sendable, CaseIterable {
        /// On to the canary's next step.
        case advance
        /// Stop the canary and go back to what ran before.
        case abort
        /// The release runs in an environment from now on.
        case promote
        /// The version before runs again.
        case rollback
        /// The release is taken away; its history stays.
        case uninstall
    }

    package let commands: [Action: CommandTemplate]
    /// Says whether an action was carried out: ends with 0 when it was and with 1 when it was not. Asked when the gate
    /// died, or a command failed, between running and recording.
    package let status: CommandTemplate?

    /// The commands that are told apart by a name that `gate.yaml` may use, or its own.
    ///
    /// - Parameter configured: `preset: [name]`, and actions with their words.
    package init(_ configured: [String: [String]]) throws(GateError) {
        var commands: [Action: CommandTemplate] = [:]
        if let names = configured["preset"] {
            for name in names {
                guard let preset = Self.presets[name] else {
                    let known = Self.presets.keys.sorted().joined(separator: ", ")
                    throw GateError(.invalid, "\(name) is no adapter's preset.", next: "There are \(known).")
                }
                for (action, words) in preset { commands[action] = try CommandTemplate(words) }
            }
        }
        for (name, words) in configured where name != "preset" && name != "status" {
            guard let action = Action(rawValue: name) else {
                let known = (Action.allCases.map(\.rawValue) + ["status"]).joined(separator: ", ")
                throw GateError(.invalid, "\(name) is no action of an adapter.", next: "There are \(known).")
            }
            commands[action] = try CommandTemplate(words)
        }
        self.commands = commands
        status = try configured["status"].map { words throws(GateError) in try CommandTemplate(words) }
    }

    package static let presets: [String: [Action: [String]]] = [
        "argo-rollouts": [
            .advance: ["kubectl", "argo", "rollouts", "promote", "{service}", "-n", "{namespace}"],
            .promote: ["kubectl", "argo", "rollouts", "promote", "{service}", "-n", "{namespace}", "--full"],
            .abort: ["kubectl", "argo", "rollouts", "abort", "{service}", "-n", "{namespace}"],
            .rollback: ["kubectl", "argo", "rollouts", "undo", "{service}", "-n", "{namespace}"],
        ],
        "argocd": [
            .promote: ["argocd", "app", "sync", "{release}-{environment}", "--revision", "{version}"],
            .rollback: ["argocd", "app", "rollback", "{release}-{environment}", "{previousRevision}"],
            .abort: ["argocd", "app", "rollback", "{release}-{environment}", "{previousRevision}"],
        ],
        "helm": [
            .promote: [
                "helm", "upgrade", "{release}", "{chart}", "-n", "{namespace}", "--version", "{version}",
                "--history-max", "10", "--verify", "--wait", "--timeout", "10m", "--description", "{reason}",
            ],
            .rollback: [
                "helm", "rollback", "{release}", "{previousRevision}", "-n", "{namespace}", "--wait", "--timeout", "5m",
            ],
            .abort: [
                "helm", "rollback", "{release}", "{previousRevision}", "-n", "{namespace}", "--wait", "--timeout", "5m",
            ],
            .uninstall: ["helm", "uninstall", "{release}", "-n", "{namespace}", "--keep-history", "--wait"],
        ],
        "kubectl": [
            .rollback: ["kubectl", "rollout", "undo", "deployment/{service}", "-n", "{namespace}"],
            .abort: ["kubectl", "rollout", "undo", "deployment/{service}", "-n", "{namespace}"],
        ],
        "webhook": Dictionary(
            uniqueKeysWithValues: Action.allCases.map { action in
                (
                    action,
                    [
                        "webhook", action.rawValue, "{service}", "{version}", "{environment}", "{reason}",
                    ]
                )
            }),
    ]
}

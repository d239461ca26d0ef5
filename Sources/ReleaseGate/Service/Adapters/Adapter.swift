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
        /// After a way back: what runs is ready and works.
        case verify
        /// Opens the pull request of a promotion.
        case open
    }

    /// Says whether an action was carried out. Asked when the gate died, or a command failed, between running and
    /// recording.
    package enum Status: Sendable, Equatable {
        /// Ends with 0 when it was and with 1 when it was not.
        case command(CommandTemplate)
        /// Prints JSON that tells it.
        case tool(AdapterStatus.Form, CommandTemplate)
    }

    package let commands: [Action: CommandTemplate]
    package let statuses: [Action: Status]

    /// The commands that are told apart by a name that `gate.yaml` may use, or its own.
    ///
    /// - Parameter configured: `preset: [name]`, and actions with their words.
    package init(_ configured: [String: [String]]) throws(GateError) {
        var commands: [Action: CommandTemplate] = [:]
        var statuses: [Action: Status] = [:]
        if let names = configured["preset"] {
            for name in names {
                guard let preset = Self.presets[name] else {
                    let known = Self.presets.keys.sorted().joined(separator: ", ")
                    throw GateError(.invalid, "\(name) is no adapter's preset.", next: "There are \(known).")
                }
                let query = Self.queries[name]
                for (action, words) in preset {
                    commands[action] = try CommandTemplate(words)
                    statuses[action] = try query.map { form, words throws(GateError) in
                        .tool(form, try CommandTemplate(words))
                    }
                }
            }
        }
        for (name, words) in configured where name != "preset" && name != "status" {
            guard let action = Action(rawValue: name) else {
                let known = (Action.allCases.map(\.rawValue) + ["status"]).joined(separator: ", ")
                throw GateError(.invalid, "\(name) is no action of an adapter.", next: "There are \(known).")
            }
            commands[action] = try CommandTemplate(words)
            // A command of somebody's own is not told by a preset's tool.
            statuses[action] = nil
        }
        if let words = configured["status"] {
            let status = Status.command(try CommandTemplate(words))
            for action in Action.allCases { statuses[action] = status }
        }
        self.commands = commands
        self.statuses = statuses
    }

    /// What presets' tools are asked. A webhook can be asked nothing: its receiver must bear to be told twice.
    static let queries: [String: (AdapterStatus.Form, [String])] = [
        "argo-rollouts": (
            .rollout,
            [
                "kubectl", "get", "rollout/{rollout}", "deployment/{rollout}", "-n", "{namespace}",
                "--ignore-not-found",
                "-o", "json",
            ]
        ),
        "argocd": (.argo, ["argocd", "app", "get", "{release}-{environment}", "-o", "json"]),
        "helm": (.helm, ["helm", "history", "{release}", "-n", "{namespace}", "--max", "10", "-o", "json"]),
        "kubectl": (.deployment, ["kubectl", "get", "deployment/{object}", "-n", "{namespace}", "-o", "json"]),
    ]

    package static let presets: [String: [Action: [String]]] = [
        "argo-rollouts": [
            .advance: ["kubectl", "argo", "rollouts", "promote", "{rollout}", "-n", "{namespace}"],
            .promote: ["kubectl", "argo", "rollouts", "promote", "{rollout}", "-n", "{namespace}", "--full"],
            .abort: ["kubectl", "argo", "rollouts", "abort", "{rollout}", "-n", "{namespace}"],
            .rollback: [
                "kubectl", "argo", "rollouts", "undo", "{rollout}", "-n", "{namespace}", "--to-revision={toRevision}",
            ],
            // Not its status: that of an aborted one is Degraded for as long as the bad version is asked for.
            .verify: [
                "kubectl", "wait", "--for=condition=Available", "rollout/{rollout}", "-n", "{namespace}",
                "--timeout=10m",
            ],
        ],
        "argocd": [
            .promote: ["argocd", "app", "sync", "{release}-{environment}", "--revision", "{version}"],
            .rollback: ["argocd", "app", "rollback", "{release}-{environment}", "{previousRevision}"],
            .abort: ["argocd", "app", "rollback", "{release}-{environment}", "{previousRevision}"],
            .verify: ["argocd", "app", "wait", "{release}-{environment}", "--health", "--timeout", "600"],
        ],
        "github": [
            .open: [
                "gh", "pr", "create", "--head", "{branch}", "--title", "{title}", "--body-file", "{body}",
                "--draft={draft}",
            ]
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
            // The chart's tests: every service ready, schema and streams as declared, somebody at every consumer.
            .verify: ["helm", "test", "{release}", "-n", "{namespace}", "--timeout", "10m"],
            .uninstall: ["helm", "uninstall", "{release}", "-n", "{namespace}", "--keep-history", "--wait"],
        ],
        "kubectl": [
            .rollback: ["kubectl", "rollout", "undo", "deployment/{object}", "-n", "{namespace}"],
            .abort: ["kubectl", "rollout", "undo", "deployment/{object}", "-n", "{namespace}"],
            .verify: ["kubectl", "rollout", "status", "deployment/{object}", "-n", "{namespace}", "--timeout", "10m"],
        ],
        "webhook": Dictionary(
            uniqueKeysWithValues: [Action.advance, .abort, .promote, .rollback, .uninstall].map { action in
                (
                    action,
                    [
                        "webhook", action.rawValue, "{service}", "{version}", "{environment}", "{reason}",
                    ]
                )
            }),
    ]
}

internal import ArgumentParser
internal import Contracts

/// `golden webhooks add`
struct WebhooksAddCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Subscribe an address to events; its secret is shown once.")

    @OptionGroup var options: WebhookOptions

    @Argument(help: "https or http.") var url: String

    @Option(
        name: .customLong("event"),
        help: ArgumentHelp("A kind of event; give it again for more. The four ends of a task else.", valueName: "kind"),
        completion: .list(TaskEvent.Kind.allCases.map(\.rawValue)))
    var events: [String] = []

    @Option(help: "What it is for.") var description: String?

    func validate() throws {
        if let fault = WebhookURL.fault(in: url) { throw ValidationError("The address \(fault).") }
        for event in events where TaskEvent.Kind(rawValue: event) == nil {
            throw ValidationError("There are no events named \(event).")
        }
    }

    func run() async throws {
        let body = JSONWriter.object { writer in
            writer.field("url", url)
            if !events.isEmpty { writer.field("events", events) }
            writer.field(ifPresent: "description", description)
        }
        try await options.carryOut {
            try await $0.post("/webhooks", body)
        } show: { console, webhook in
            console.note("The webhook \(try webhook.string("id")). Its secret, shown this once:")
            console.print(try webhook.string("secret"))
        }
    }
}

/// `golden webhooks remove`
struct WebhooksRemoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Remove a webhook; what waits to be sent to it fails.")

    @OptionGroup var options: WebhookOptions
    @Argument(help: "The webhook's id.") var id: String

    func run() async throws {
        try await options.carryOut {
            try await $0.delete("/webhooks/\(QueryString.escaped(id))")
        } show: {
            console, webhook in
            console.print("\(Table.printable(try webhook.string("id"))) is removed.")
        }
    }
}

/// `golden webhooks rotate-secret`
struct WebhooksRotateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate-secret",
        abstract: "Give a webhook another secret, shown once; the one before signs along for a day.")

    @OptionGroup var options: WebhookOptions
    @Argument(help: "The webhook's id; callback for the secret of tasks' callbacks.") var id: String

    func run() async throws {
        try await options.carryOut {
            try await $0.post("/webhooks/\(QueryString.escaped(id))/rotate-secret", .emptyObject)
        } show: { console, webhook in
            console.note("The new secret, shown this once:")
            console.print(try webhook.string("secret"))
        }
    }
}

/// `golden webhooks replay`
struct WebhooksReplayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay", abstract: "Start an ended delivery over, under the same id.")

    @OptionGroup var options: WebhookOptions
    @Argument(help: "The delivery's id.") var id: String

    func run() async throws {
        try await options.carryOut {
            try await $0.post("/webhooks/deliveries/\(QueryString.escaped(id))/replay", .emptyObject)
        } show: { console, delivery in
            console.print("\(Table.printable(try delivery.string("id"))) is delivered again.")
        }
    }
}

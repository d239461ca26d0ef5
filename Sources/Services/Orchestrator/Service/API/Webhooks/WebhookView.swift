internal import Contracts
internal import FoundationEssentials
internal import Storage

/// Webhooks and deliveries as the API shows them.
enum WebhookView {
    /// The name under which the secret for tasks' callbacks is found.
    static let callbacksID = "callback"

    static func text(_ id: UUID) -> String { id.uuidString.lowercased() }

    /// - Parameter secret: a new one, shown this once.
    static func webhook(_ webhook: Webhook, secret: WebhookSecret? = nil, now: Date) -> JSON {
        JSONWriter.object { writer in
            switch webhook.purpose {
            case .callbacks: writer.field("id", callbacksID)
            case .subscription(let url, let events, let description):
                writer.field("id", text(webhook.id))
                writer.field("url", url.description)
                writer.field("events", events.map(\.rawValue))
                writer.field(ifPresent: "description", description)
            }
            switch webhook.state {
            case .active: writer.field("state", "active")
            case .disabled(let reason, let at):
                writer.field("state", "disabled")
                writer.field("disabled_reason", reason)
                writer.field("disabled_at", Timestamp.text(at))
            }
            writer.field("created_by", webhook.createdBy)
            writer.field("created_at", Timestamp.text(webhook.createdAt))
            writer.field("secret_changed_at", Timestamp.text(webhook.secret.changedAt))
            if let previous = webhook.secret.previous, now < previous.until {
                writer.field("previous_secret_until", Timestamp.text(previous.until))
            }
            writer.field(ifPresent: "secret", secret?.text)
        }
    }

    static func delivery(_ delivery: WebhookDelivery) -> JSON {
        JSONWriter.object { writer in
            writer.field("id", text(delivery.id))
            writer.field("webhook_id", delivery.webhook.map(text) ?? callbacksID)
            writer.field("task_id", delivery.task.description)
            writer.field("seq", delivery.sequence)
            writer.field("type", delivery.kind)
            writer.field("url", delivery.url)
            writer.field("state", delivery.state.rawValue)
            writer.field("attempts", delivery.attempts)
            writer.field("under_way", delivery.isUnderWay)
            if delivery.state == .pending, !delivery.isUnderWay {
                writer.field("next_attempt_at", Timestamp.text(delivery.dueAt))
            }
            writer.field(ifPresent: "status", delivery.result.status)
            writer.field(ifPresent: "error", delivery.result.error)
            writer.field(ifPresent: "response", delivery.result.response)
            writer.field(ifPresent: "duration_ms", delivery.result.milliseconds)
            writer.field(ifPresent: "attempted_at", delivery.attemptedAt.map(Timestamp.text))
            writer.field("created_at", Timestamp.text(delivery.createdAt))
            writer.field(ifPresent: "ended_at", delivery.endedAt.map(Timestamp.text))
        }
    }
}

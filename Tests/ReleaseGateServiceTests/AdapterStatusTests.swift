import Contracts
import ReleaseGateService
import Testing

/// Whether an action was carried out, by what the tools of the presets say.
@Suite(.timeLimit(.minutes(10))) struct `What a preset's tool says` {
    typealias Answer = AdapterStatus.Answer

    struct Case: Sendable, CustomTestStringConvertible {
        let form: AdapterStatus.Form
        let action: Adapter.Action
        let json: String
        /// Nil: somebody must look.
        let isDone: Bool?
        var testDescription: String { "\(form) \(action) \(json.prefix(200))" }

        init(_ form: AdapterStatus.Form, _ action: Adapter.Action, _ json: String, _ isDone: Bool?) {
            (self.form, self.action, self.json, self.isDone) = (form, action, json, isDone)
        }
    }

    private static let digest = "sha256:" + String(repeating: "a", count: 64)
    private static let values: [CommandTemplate.Place: String] = [
        .version: "1.2.0", .previousRevision: "6", .weight: "50", .digest: digest, .service: "ledger",
    ]

    /// Steps 10, analysis, 50, analysis, 100, analysis.
    private static func rollout(_ status: String, generation: Int = 7, image: String = "r/x@" + digest) -> String {
        """
        {"kind":"List","items":[
         {"kind":"Rollout","metadata":{"generation":\(generation)},
          "spec":{"strategy":{"canary":{"steps":[{"setWeight":10},{"analysis":{}},{"setWeight":50},{"analysis":{}},
           {"setWeight":100},{"analysis":{}}]}}},"status":{"observedGeneration":"7",\(status)}},
         {"kind":"Deployment","spec":{"template":{"spec":{"containers":[{"image":"\(image)"},{"image":"sidecar:1"}]}}}}]}
        """
    }

    private static func deployment(_ image: String) -> String {
        "{\"kind\":\"Deployment\",\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"image\":\"\(image)\"}]}}}}"
    }

    private static func helm(_ status: String, chart: String = "golden-1.2.0", _ description: String) -> String {
        """
        [{"revision":6,"status":"superseded","chart":"golden-1.1.0","description":"Upgrade complete"},
         {"revision":8,"status":"\(status)","chart":"\(chart)","description":"\(description)"},
         {"revision":7,"status":"superseded","chart":"golden-1.2.0","description":"Upgrade complete"}]
        """
    }

    private static func argo(_ phase: String, sync: String, revision: String, result: String) -> String {
        """
        {"status":{"sync":{"status":"\(sync)","revision":"\(revision)"},
          "operationState":{"phase":"\(phase)","syncResult":{"revision":"\(result)"}},
          "history":[{"id":6,"revision":"1.1.0"},{"id":7,"revision":"1.2.0"}]}}
        """
    }

    private static let rollouts: [Case] = [
        Case(.rollout, .advance, rollout("\"currentStepIndex\":1"), false),
        Case(.rollout, .advance, rollout("\"currentStepIndex\":2"), false),
        Case(.rollout, .advance, rollout("\"currentStepIndex\":3"), true),
        Case(.rollout, .advance, rollout("\"currentStepIndex\":5"), true),
        Case(.rollout, .advance, rollout("\"currentStepIndex\":3,\"abort\":true"), nil),
        Case(.rollout, .advance, rollout("\"currentStepIndex\":3", generation: 8), nil),
        Case(.rollout, .promote, rollout("\"currentStepIndex\":5"), false),
        Case(.rollout, .promote, rollout("\"currentStepIndex\":5,\"promoteFull\":true"), true),
        Case(.rollout, .promote, rollout("\"currentStepIndex\":6"), true),
        Case(.rollout, .abort, rollout("\"currentStepIndex\":1"), false),
        Case(.rollout, .abort, rollout("\"currentStepIndex\":0,\"abort\":true"), true),
        Case(.rollout, .rollback, rollout("\"currentStepIndex\":6", image: "r/x@sha256:00"), false),
        Case(.deployment, .rollback, deployment("r/x@" + digest), false),
        Case(.deployment, .rollback, deployment("r/x@sha256:00"), true),
        Case(.deployment, .rollback, deployment("r/x:1.2.0"), nil),
        Case(.rollout, .advance, "{\"kind\":\"List\",\"items\":[]}", nil), Case(.rollout, .advance, "[]", nil),
    ]

    private static let others: [Case] = [
        Case(.deployment, .rollback, "{\"kind\":\"Deployment\"}", nil),
        Case(.helm, .promote, helm("deployed", "Upgrade complete"), true),
        Case(.helm, .promote, helm("deployed", chart: "golden-1.1.0", "Upgrade complete"), false),
        Case(.helm, .promote, helm("failed", "Upgrade failed"), false),
        Case(.helm, .promote, helm("pending-upgrade", "Preparing upgrade"), nil),
        Case(.helm, .promote, helm("deployed", "Rollback to 7"), false),
        Case(.helm, .rollback, helm("deployed", chart: "golden-1.1.0", "Rollback to 6"), true),
        Case(.helm, .rollback, helm("deployed", "Rollback to 16"), false),
        Case(.helm, .abort, helm("deployed", "Upgrade complete"), false),
        Case(.helm, .rollback, helm("pending-rollback", "Rollback to 6"), nil),
        Case(.helm, .uninstall, helm("uninstalled", "Uninstallation complete"), true),
        Case(.helm, .uninstall, helm("deployed", "Upgrade complete"), false),
        Case(.helm, .uninstall, helm("uninstalling", "Deletion in progress"), nil), Case(.helm, .promote, "[]", nil),
        Case(.argo, .promote, argo("Succeeded", sync: "Synced", revision: "1.2.0", result: "1.2.0"), true),
        Case(.argo, .promote, argo("Succeeded", sync: "OutOfSync", revision: "1.2.0", result: "1.1.0"), false),
        Case(.argo, .promote, argo("Succeeded", sync: "Synced", revision: "1.1.0", result: "1.1.0"), false),
        Case(.argo, .promote, argo("Running", sync: "Synced", revision: "1.2.0", result: "1.2.0"), nil),
        Case(.argo, .rollback, argo("Succeeded", sync: "OutOfSync", revision: "1.2.0", result: "1.1.0"), true),
        Case(.argo, .abort, argo("Failed", sync: "OutOfSync", revision: "1.2.0", result: "1.1.0"), false),
        Case(.argo, .rollback, argo("Succeeded", sync: "Synced", revision: "1.2.0", result: "1.2.0"), false),
        Case(.argo, .rollback, "{\"status\":{\"history\":[]}}", nil), Case(.argo, .promote, "{}", nil),
    ]

    @Test(arguments: rollouts + others)
    func `is done, is not, or must be looked at`(given: Case) throws {
        let answer = AdapterStatus.judge(given.form, given.action, Self.values, try JSON(parsing: given.json.utf8))
        switch given.isDone {
        case true: #expect(answer == .done)
        case false: #expect(answer == .notDone)
        default:
            guard case .unknown = answer else {
                Issue.record("\(answer)")
                return
            }
        }
    }

    @Test func `is asked for whatever a preset changes`() throws {
        for (name, preset) in Adapter.presets {
            let adapter = try Adapter(["preset": [name]])
            for action in preset.keys {
                #expect(
                    (adapter.statuses[action] != nil) == !["webhook", "github"].contains(name), "\(name) \(action)")
            }
        }
        let own = try Adapter(["preset": ["helm"], "rollback": ["mine"]])
        #expect(own.statuses[.rollback] == nil && own.statuses[.promote] != nil)
        let asked = try Adapter(["preset": ["helm"], "rollback": ["mine"], "status": ["is-done", "{action}"]])
        #expect(asked.statuses[.rollback] == .command(try CommandTemplate(["is-done", "{action}"])))
        #expect(asked.statuses[.promote] == asked.statuses[.rollback])
    }
}

/// The certificate as the customer's checklist prints it, and as a ConfigMap keeps it.
extension CertificateStatement {
    private static let width = 63

    package var text: String {
        let double = String(repeating: "═", count: Self.width)
        let single = String(repeating: "─", count: Self.width)
        var lines = [double, Self.centred("HELM RELEASE CEREMONIAL CLOSURE CERTIFICATE"), double, ""]
        lines += [
            ("Chart Name:", chartName), ("Chart Version:", version.description), ("App Version:", appVersion),
            ("Release Date:", Timestamp.longText(sealedSeconds)), ("Environment:", environment.rawValue),
            ("Namespace:", namespace), ("Revision:", revision),
        ].map { Self.row($0.0, $0.1, column: 16) }
        lines += ["", single, "VALIDATION STATUS", single, ""]
        lines += statuses.map { status in
            Self.row("\(status.mark) \(status.heading.title):", status.word, column: 26)
        }
        lines += ["", single, "RESOURCES DEPLOYED", single, ""]
        lines += resources.map { Self.row("\($0.kind):", $0.summary, column: 15) }
        lines += ["", single, "EVIDENCE", single, ""]
        for status in statuses {
            for item in status.evidence { lines.append("\(item.sha256)  \(item.name)") }
        }
        lines += ["", single, "ETERNAL PRINCIPLES", single, ""]
        lines += [
            Self.row("Archive:", "\(subjects.count) artifacts, each by its digest", column: 13),
            Self.row("Lineage:", "\(lineageSize) entries, root \(lineageRootSHA256)", column: 13),
            Self.row("Closure:", closing, column: 13),
        ]
        lines += ["", single, "", "Signed: \(signer)", "Date: \(Timestamp.text(sealedSeconds))", "", double]
        lines += [Self.centred(isPassed ? "LINEAGE PRESERVED · CLOSURE COMPLETE" : "CLOSURE INCOMPLETE"), double]
        return lines.joined(separator: "\n") + "\n"
    }

    /// A manifest that keeps the text in the cluster. A block scalar takes it as it is.
    package var configMap: String {
        let name = "release-certificate-v\(version)"
        let body = text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
            .map { $0.isEmpty ? "" : "    \($0)" }.joined(separator: "\n")
        return """
            apiVersion: v1
            kind: ConfigMap
            metadata:
              name: \(name)
              namespace: \(namespace)
            immutable: true
            data:
              certificate: |
            \(body)

            """
    }

    private var closing: String {
        let open = statuses.filter { $0.verdict != .holds }.map(\.heading.title)
        return open.isEmpty
            ? "This release is ceremonially sealed and complete" : "Open: \(open.joined(separator: ", "))"
    }

    private static func row(_ label: String, _ value: String, column: Int) -> String {
        label + String(repeating: " ", count: max(1, column - label.count)) + value
    }

    private static func centred(_ text: String) -> String {
        String(repeating: " ", count: max(0, (width - text.count) / 2)) + text
    }
}

extension CertificateStatement.Status {
    fileprivate var mark: String {
        switch verdict {
        case .holds: "✓"
        case .fails: "✗"
        case .unverified: "?"
        }
    }
}

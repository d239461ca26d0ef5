/// The stack's private nats-server: JetStream on loopback, one user. Works with 2.9.10 and every later 2.x.
struct NATSStore: Sendable {
    static let user = "golden"
    static let payloadBytesMax = 2 << 20

    let folder: String
    let port: Int
    let password: String

    var configurationFile: String { "\(folder)/nats-server.conf" }

    /// The password stands in the file alone (0600), never on a command line.
    var configuration: String {
        """
        # Written by golden at every start; changes here are lost.
        server_name: golden
        listen: "127.0.0.1:\(port)"
        max_payload: \(Self.payloadBytesMax)
        jetstream {
          store_dir: \(Self.quoted("\(folder)/jetstream"))
        }
        authorization {
          user: \(Self.user)
          password: "\(password)"
        }

        """
    }

    func prepare() throws(CLIError) { try StackFolder.write(configuration, to: configurationFile) }

    func spec(executable: String, environment: [String: String]) -> ProcessSpec {
        ProcessSpec(
            name: "nats", executable: executable, arguments: ["--config", configurationFile], environment: environment,
            address: "127.0.0.1:\(port)",
            probe: .exchange(port: port, request: "", answer: "INFO ")
        )
    }

    static func quoted(_ text: String) -> String {
        let escaped = text.map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : String($0) }
        return "\"" + escaped.joined() + "\""
    }
}

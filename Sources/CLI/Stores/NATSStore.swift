/// The stack's private nats-server: JetStream on loopback, one user. Works with 2.9.10 and every later 2.x.
struct NATSStore: Sendable {
    static let user = "golden"
    static let payloadBytesMax = 2 << 20

    let folder: String
    let port: Int
    let password: String
    var name = "nats"
    /// What makes it one server of several.
    var cluster = ""

    var configurationFile: String { "\(folder)/nats-server.conf" }

    /// The password stands in the file alone (0600), never on a command line.
    var configuration: String {
        """
        # Written by golden at every start; changes here are lost.
        server_name: golden-\(name)
        listen: "127.0.0.1:\(port)"
        max_payload: \(Self.payloadBytesMax)
        jetstream {
          store_dir: \(Self.quoted("\(folder)/jetstream"))
        }
        authorization {
          user: \(Self.user)
          password: "\(password)"
        }
        \(cluster)

        """
    }

    func prepare() throws(CLIError) { try StackFolder.write(configuration, to: configurationFile) }

    func spec(executable: String, environment: [String: String]) -> ProcessSpec {
        var spec = ProcessSpec(
            name: name, executable: executable, arguments: ["--config", configurationFile], environment: environment,
            address: "127.0.0.1:\(port)",
            probe: .exchange(port: port, request: "", answer: "INFO ")
        )
        // Several answer for one another, so that silence of one says little.
        if cluster.isEmpty { spec.liveness = liveness }
        return spec
    }

    /// Asks about every stream, so that one which hangs keeps the answer back. Server 2.9.10 locks a stream up when a
    /// write to it fails, on a full disk for one: the server goes on taking connections, and nothing is carried.
    private var liveness: Probe {
        let login = "{\"user\":\"\(Self.user)\",\"pass\":\"\(password)\",\"verbose\":false}"
        let request = "CONNECT \(login)\r\nSUB alive 1\r\nPUB $JS.API.STREAM.LIST alive 0\r\n\r\n"
        return .conversation(port: port, request: request, answer: "MSG alive")
    }

    static func quoted(_ text: String) -> String {
        let escaped = text.map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : String($0) }
        return "\"" + escaped.joined() + "\""
    }
}

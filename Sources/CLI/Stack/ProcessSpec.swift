/// How to run one process of the stack and how to tell that it works.
struct ProcessSpec: Sendable {
    let name: String
    /// Absolute.
    let executable: String
    let arguments: [String]
    /// The whole environment; nothing is inherited.
    let environment: [String: String]
    /// The account to run as when the supervisor is root; nil for its own.
    var account: String?
    /// Where it runs; `/` suits an account that cannot see the caller's folder.
    var folder = "/"
    /// Asks the process to end in good order; also sent by the kernel when the supervisor dies.
    var stopSignal: StopSignal = .terminate
    /// How long it may take to end before it is killed.
    var stopWithin: Duration = .seconds(10)
    var readyWithin: Duration = .seconds(20)
    /// At least so long after it ended it is started again.
    var restartAfter: Duration = .zero
    /// Done before every start; the argument says whether it is the first.
    var prepare: (@Sendable (_ isFirst: Bool) async throws(CLIError) -> Void)?
    /// The stack is up without it; what it lacks is shown.
    var isOptional = false
    /// `host:port`, for people.
    var address: String?
    var probe: Probe
    /// The loopback port that listens for it whether it runs or not, 0 for any free one; nil where it opens its own.
    var port: Int?
    /// Where it answers on that port that it does its work.
    var readyPath = "/ready"
    /// Tells a process that hangs from one that works: it is killed, and so started again, when this has not held for
    /// `silentMax`. Nil where nothing is known to hang.
    var liveness: Probe?
    var livenessEvery: Duration = .seconds(5)
    var silentMax: Duration = .seconds(25)

    enum StopSignal: Int32, Sendable {
        case interrupt = 2
        case terminate = 15

        /// setpriv's word for it.
        var word: String {
            switch self {
            case .interrupt: "INT"
            case .terminate: "TERM"
            }
        }
    }

    /// This process, served on a socket.
    func served(on socket: ListeningSocket) -> ProcessSpec {
        var spec = self
        spec.address = socket.address
        spec.probe = .http(url: "http://\(socket.address)\(readyPath)")
        return spec
    }

    /// The program and arguments that carry this out: the log is opened first (as this account), then the account is
    /// changed and the kernel told to end the process with its parent.
    ///
    /// - Parameter passesSocket: its standard input is a listening socket, which it is to find as descriptor 3.
    func commandLine(log: String, isRoot: Bool, passesSocket: Bool = false) -> [String] {
        var setpriv = ["setpriv", "--pdeathsig", stopSignal.word]
        if let account, isRoot { setpriv += ["--reuid", account, "--regid", account, "--init-groups"] }
        let socket = passesSocket ? ("export LISTEN_PID=$$ LISTEN_FDS=1 && ", "3<&0 0</dev/null ") : ("", "")
        let script = "cd \"$1\" && shift && \(socket.0)exec \"$@\" \(socket.1)>>\"$0\" 2>&1"
        return ["sh", "-c", script, log, folder] + setpriv + [executable] + arguments
    }
}

/// How to tell that a process does its work.
enum Probe: Sendable {
    /// It answers `request` on a loopback port with something that starts with `answer`.
    case exchange(port: Int, request: String, answer: String)
    /// It answers `request` on a loopback port, within a second, with something that holds `answer`.
    case conversation(port: Int, request: String, answer: String)
    /// It accepts connections on a loopback port.
    case accepts(port: Int)
    /// A program ends with 0.
    case program(path: String, arguments: [String])
    /// `GET url` answers 200.
    case http(url: String)
    /// The process has written its id into a file.
    case announced(file: String, by: Int32)
    /// It stays alive this long.
    case alive(Duration)
}

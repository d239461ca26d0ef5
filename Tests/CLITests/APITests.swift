import Contracts
import Foundation
import JWTKit
import TestSupport
import Testing

@testable import golden

@Suite(.timeLimit(.minutes(5))) struct `Speaking with the API` {
    @Test func `a problem document is told as what happened, what was kept and what next`() {
        let body = """
            {"type":"urn:golden:problem:validation","title":"Invalid","status":422,"code":"validation",
             "detail":"The body is wrong.","errors":[{"field":"priority","message":"must be from 0 to 9"}]}
            """
        let error = Problem(status: 422, body: Array(body.utf8)).error(wrote: true)
        #expect(error.message == "Invalid: The body is wrong. (validation)\n  priority: must be from 0 to 9")
        #expect(error.kept == "Nothing was changed.")
        #expect(error.next?.contains("--help shows an example") == true)
        #expect(!error.isPassing)
    }

    @Test func `too many requests say when to come back and may be tried again`() {
        let error = Problem(status: 429, body: Array("{}".utf8), retryAfterSeconds: 7).error(wrote: false)
        #expect(error.next == "Try again in 7 s.")
        #expect(error.isPassing)
    }

    @Test(arguments: ["", "<html>", "[]", "{\"title\":3,\"errors\":7}"])
    func `what is no problem document is told by its status`(body: String) {
        let problem = Problem(status: 502, body: Array(body.utf8))
        #expect(problem.code == "http_502")
        #expect(problem.error(wrote: false).kept == nil)
        #expect(problem.error(wrote: true).kept?.hasSuffix("; look before you repeat it.") == true)
        let kept = problem.error(wrote: true, idempotencyKey: "mine").kept
        #expect(kept?.hasSuffix("; its Idempotency-Key mine makes a retry safe.") == true)
    }

    @Test(arguments: ["host:8080", "127.0.0.1:8080", "ftp://host", "http://", ""])
    func `what is no address of an API is refused before anything is sent`(url: String) throws {
        let folder = try Scratch.folder("address")
        for environment in [[:], ["GOLDEN_URL": url]] as [[String: String]] {
            let error = #expect(throws: CLIError.self) {
                try Endpoint.find(
                    url: environment.isEmpty ? url : nil, token: "t", folder: folder, role: "developer",
                    environment: environment)
            }
            #expect(error?.code == .usage && error?.next?.contains("http://127.0.0.1:8080") == true)
        }
    }

    @Test func `only a stack of this machine that cannot be reached is to be started`() async throws {
        let url = "http://127.0.0.1:\(freePort())"
        func next(_ endpoint: Endpoint) async -> String? {
            let error = await #expect(throws: CLIError.self) {
                try await APIClient.with(endpoint) { try await $0.get("/tasks") }
            }
            return error?.next
        }
        let remote = await next(Endpoint(url: url, credential: .token("t")))
        #expect(remote?.contains("--url") == true && remote?.contains("golden up") == false)
        let own = await next(Endpoint(url: url, credential: .token("t"), stack: StackFolder("/b")))
        #expect(own?.contains("golden up --detach --data /b starts it.") == true)
    }

    @Test func `a problem's text cannot steer the terminal`() {
        let body = #"{"title":"x\u001b[2J","detail":"y\u0007","code":"c"}"#
        #expect(!Problem(status: 400, body: Array(body.utf8)).error(wrote: false).message.contains("\u{1B}"))
    }

    @Test func `queries are escaped and absent values left out`() {
        #expect(
            QueryString.text([("state", "a b&c=ü"), ("limit", nil), ("cursor", "x-._~")])
                == "?state=a%20b%26c%3D%C3%BC&cursor=x-._~")
        #expect(QueryString.text([("a", nil)]) == "")
    }

    @Test func `events of kinds this build does not know are passed over`() throws {
        let unknown = ServerSentEventParser.Event(id: "1", name: "task.of_tomorrow", data: "{}")
        #expect(try TaskFollower.decode(unknown) == nil)
        let broken = ServerSentEventParser.Event(id: "1", name: "task.created", data: "{")
        #expect(throws: CLIError.self) { try TaskFollower.decode(broken) }
    }

    @Test func `a token carries the claims the API asks for and its signature holds`() async throws {
        let secret = String(repeating: "s3", count: 16)
        let token = try await TokenMint(secret: secret).token(
            subject: "me", role: "observer", tenant: "acme", seconds: 60
        )
        let keys = await JWTKeyCollection().add(hmac: HMACKey(from: secret), digestAlgorithm: .sha256)
        let claims = try await keys.verify(token, as: TokenMint.Claims.self)
        #expect(claims.iss == "golden" && claims.aud == "golden-api" && claims.sub == "me")
        #expect(claims.role == "observer" && claims.tenant == "acme" && claims.exp == claims.iat + 60)
        let others = await JWTKeyCollection().add(
            hmac: HMACKey(from: String(repeating: "x", count: 32)), digestAlgorithm: .sha256
        )
        await #expect(throws: (any Error).self) { try await others.verify(token, as: TokenMint.Claims.self) }
    }

    @Test func `the stack's own secret never signs for another address`() async throws {
        let folder = try Scratch.folder("endpoint")
        let record = StackRecord.sample(supervisor: ProcessIdentity.current)
        try record.save(to: folder)
        try StackSecrets.generate().save(to: folder)
        let found = try Endpoint.find(url: nil, token: nil, folder: folder, role: "developer", environment: [:])
        #expect(found.url == record.apiURL)
        #expect(try await found.token().split(separator: ".").count == 3)
        let error = #expect(throws: CLIError.self) {
            try Endpoint.find(
                url: "https://elsewhere.example", token: nil, folder: folder, role: "developer", environment: [:]
            )
        }
        #expect(error?.code == .usage)
        let given = try Endpoint.find(
            url: "https://elsewhere.example/", token: "t", folder: folder, role: "developer", environment: [:]
        )
        #expect(given == Endpoint(url: "https://elsewhere.example", credential: .token("t")))
    }

    @Test func `a stack that does not run has no endpoint`() throws {
        let folder = try Scratch.folder("no-endpoint")
        try StackRecord.sample(supervisor: nil).save(to: folder)
        let error = #expect(throws: CLIError.self) {
            try Endpoint.find(url: nil, token: nil, folder: folder, role: "developer", environment: [:])
        }
        #expect(error?.code == .stackNotRunning)
    }

    @Test func `options override the file and mistakes in it are found before anything is sent`() throws {
        let folder = try Scratch.folder("submission")
        let path = "\(folder.path)/task.json"
        try Data(#"{"name":"a","role":"x","input":{"k":[1]}}"#.utf8).write(to: URL(filePath: path))
        let body = try SubmissionFile(path: path).body(role: "tester", name: nil)
        let submission = try TaskSubmission(json: body)
        #expect(submission.role?.text == "tester" && submission.name == "a" && submission.input.text == #"{"k":[1]}"#)
        for wrong in [#"{"priority":12}"#, #"{"inptu":1}"#, "[1]", "nonsense", ""] {
            try Data(wrong.utf8).write(to: URL(filePath: path))
            let error = #expect(throws: CLIError.self) { try SubmissionFile(path: path).body(role: nil, name: nil) }
            #expect(error?.exitStatus == .usage && error?.kept == "Nothing was sent.")
        }
        #expect(throws: CLIError.self) { try SubmissionFile(path: "\(folder.path)/none").body(role: nil, name: nil) }
    }
}

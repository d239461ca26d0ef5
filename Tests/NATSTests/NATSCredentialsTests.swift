import NATS
import Testing

@Suite struct NATSCredentialsTests {
    @Test func `no way of printing credentials shows the password`() {
        let configuration = NATSConfiguration(
            servers: ["nats://127.0.0.1:4222"], name: "test",
            credentials: .userPassword(user: "u", password: "hush-hush")
        )
        var dumped = ""
        dump(configuration, to: &dumped)
        for text in ["\(configuration)", String(reflecting: configuration), dumped] {
            #expect(!text.contains("hush-hush"))
        }
    }
}

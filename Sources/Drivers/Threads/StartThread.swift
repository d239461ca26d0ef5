internal import CLinux
internal import Glibc

/// Runs `body` on a new detached thread named `name` (cut to the 15 bytes the kernel keeps).
///
/// A machine that cannot start one more thread cannot run this process: that is a precondition, not an error.
package func startThread(name: String, _ body: @escaping @Sendable () -> Void) {
    var thread = pthread_t()
    let box = unsafe Unmanaged.passRetained(ThreadBody(name: name, body: body))
    let code = unsafe pthread_create(
        &thread, nil,
        { raw in
            guard let raw = unsafe raw else { return nil }
            let start = unsafe Unmanaged<ThreadBody>.fromOpaque(raw).takeRetainedValue()
            _ = unsafe linux_name_thread(start.name)
            start.body()
            return nil
        },
        box.toOpaque()
    )
    precondition(code == 0, "The operating system refused to start a thread (error \(code)).")
    pthread_detach(thread)
}

private final class ThreadBody: Sendable {
    let name: String
    let body: @Sendable () -> Void

    init(name: String, body: @escaping @Sendable () -> Void) {
        self.name = name
        self.body = body
    }
}

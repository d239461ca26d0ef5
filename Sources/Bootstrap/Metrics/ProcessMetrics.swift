internal import FoundationEssentials
internal import Glibc

/// Memory, processor time and open files of this process, by the names Prometheus' own clients use, and the build.
package enum ProcessMetrics {
    /// Adds the metrics to a registry; they are read at every rendering.
    package static func install(in registry: MetricsRegistry, version: String = Version.current) {
        let startedAt = startTime()
        registry.reading("process_start_time_seconds", "When the process started, in seconds since 1970.") { startedAt }
        registry.reading("process_cpu_seconds_total", "Processor time used, user and system.", growsOnly: true) {
            let fields = statistics()
            guard let user = number(fields, 11), let system = number(fields, 12) else { return nil }
            return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
        }
        registry.reading("process_virtual_memory_bytes", "Address space in use.") { number(statistics(), 20) }
        registry.reading("process_resident_memory_bytes", "Memory in use.") {
            number(statistics(), 21).map { $0 * Double(sysconf(Int32(_SC_PAGESIZE))) }
        }
        registry.reading("process_open_fds", "Open file descriptors.") { entries(of: "/proc/self/fd").map(Double.init) }
        registry.reading("process_max_fds", "The limit on open file descriptors.") { openFilesMax() }
        registry.gauge("golden_build_info", "1, labelled with the version.", labels: ["version"])[version].set(1)
    }

    /// The fields of `/proc/self/stat` after the command's name, which may hold spaces: `[0]` is the state.
    private static func statistics() -> [Substring] {
        guard let text = contents(of: "/proc/self/stat"), let end = text.lastIndex(of: ")") else { return [] }
        return text[text.index(after: end)...].split(separator: " ")
    }

    private static func number(_ fields: [Substring], _ index: Int) -> Double? {
        index < fields.count ? Double(fields[index]) : nil
    }

    private static func startTime() -> Double? {
        let boot = contents(of: "/proc/stat")?.split(separator: "\n").first { $0.hasPrefix("btime ") }
        guard let ticks = number(statistics(), 19), let booted = boot.flatMap({ Double($0.dropFirst(6)) }) else {
            return nil
        }
        return booted + ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    private static func openFilesMax() -> Double? {
        var limit = rlimit()
        return getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 ? Double(limit.rlim_cur) : nil
    }

    /// Nil where there is no such folder or file: the metric is left out then.
    private static func entries(of folder: String) -> Int? {
        do { return try FileManager.default.contentsOfDirectory(atPath: folder).count } catch { return nil }
    }

    private static func contents(of path: String) -> String? {
        do { return try String(contentsOfFile: path, encoding: .utf8) } catch { return nil }
    }
}

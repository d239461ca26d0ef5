internal import Contracts
internal import FoundationEssentials
internal import Glibc

/// Examines whether the embedded stack could start here.
struct Doctor: Sendable {
    struct Finding: Sendable, Equatable {
        let name: String
        let found: String
        /// What mends it, a command where one does; nil when nothing is wrong.
        let fix: String?
        /// False when only examples want it.
        var isNeeded = true

        var isFine: Bool { fix == nil || !isNeeded }

        var word: String { fix == nil ? "ok" : isNeeded ? "missing" : "optional" }

        func write(to writer: inout JSONWriter) {
            writer.field("check", name)
            writer.field("ok", fix == nil)
            writer.field("needed", isNeeded)
            writer.field("found", found)
            writer.field(ifPresent: "fix", fix)
        }
    }

    static let freeBytesMin = 1 << 30

    let folder: StackFolder
    let environment: [String: String]
    /// Where databases lie that are in no data folder.
    var databases = PostgresPlace.fallbackRoot

    func examine() async -> [Finding] {
        var findings = [
            program("nats-server", package: "nats-server"), program("redis-server", package: "redis-server"),
            postgres(),
            program("setpriv", package: "util-linux"), program("setsid", package: "util-linux"),
        ]
        if geteuid() == 0 { findings.append(account()) }
        findings += [
            sibling("orchestrator"), sibling("peer-hub"), sibling("supervisor"), sibling("dlq-worker"),
            sibling("agent-worker"), migrations(),
        ]
        var sandbox = sibling(StackPlan.sandboxName)
        sandbox.isNeeded = false
        findings.append(sandbox)
        findings += [dataFolder(), diskSpace(), port(), strays()]
        var python = program("python3", package: "python3")
        python.isNeeded = false
        findings.append(python)
        for name in ["prometheus", "prometheus-alertmanager"] {
            var finding = program(name, package: name)
            finding.isNeeded = false
            findings.append(finding)
        }
        return findings
    }

    private func program(_ name: String, package: String) -> Finding {
        let path = Programs.find(name, environment: environment)
        return Finding(name: name, found: path ?? "", fix: path == nil ? install(package) : nil)
    }

    private func postgres() -> Finding {
        let name = "postgres \(Programs.postgresMajorMin)+"
        let data = record.map { PostgresStore.data(in: $0.postgresFolder) }
        do {
            let programs = try Programs.postgresFolder(environment: environment, data: data)
            return Finding(name: name, found: programs, fix: nil)
        } catch {
            return Finding(name: name, found: "", fix: install(Programs.postgresPackage(data: data)))
        }
    }

    /// Nil also where it cannot be read, of which every other command speaks.
    private var record: StackRecord? {
        do { return try StackRecord.load(from: folder) } catch { return nil }
    }

    private func account() -> Finding {
        let exists = getpwnam(PostgresPlace.account) != nil
        return Finding(
            name: "account \(PostgresPlace.account)", found: exists ? "exists" : "",
            fix: exists ? nil : install("postgresql-15")
        )
    }

    private func sibling(_ name: String) -> Finding {
        do {
            return Finding(name: name, found: try Sibling.path(name, environment: environment), fix: nil)
        } catch {
            return Finding(name: name, found: "", fix: "swift build -c release --product \(name)")
        }
    }

    private func migrations() -> Finding {
        let fix = "export GOLDEN_MIGRATIONS=DIR"
        do {
            let folder = try Sibling.migrations(environment: environment)
            let isFilled = FileManager.default.fileExists(atPath: "\(folder)/\(Sibling.firstMigration)")
            return Finding(
                name: "migrations", found: folder,
                fix: isFilled ? nil : "\(fix) (\(folder) holds no \(Sibling.firstMigration))")
        } catch {
            return Finding(name: "migrations", found: "", fix: fix)
        }
    }

    private func dataFolder() -> Finding {
        let path = existingParent(folder.path)
        let isWritable = FileManager.default.isWritableFile(atPath: path)
        return Finding(
            name: "data folder", found: folder.path,
            fix: isWritable ? nil : "golden up --data DIR (cannot write to \(path))")
    }

    private func diskSpace() -> Finding {
        var information = statvfs()
        let known = statvfs(existingParent(folder.path), &information) == 0
        let free = known ? Int(information.f_bavail) * Int(information.f_frsize) : 0
        let text = "\(free >> 20) MiB free"
        return Finding(
            name: "disk space", found: text,
            fix: free < Self.freeBytesMin ? "free some disk space (\(text), 1024 wanted)" : nil)
    }

    private func port() -> Finding {
        let record = self.record
        let port = record?.ports.api ?? StackPreparation.portDefault
        if record?.supervisor?.isRunning == true {
            return Finding(name: "port \(port)", found: "this stack's own", fix: nil)
        }
        let isFree = Ports.isFree(port)
        return Finding(
            name: "port \(port)", found: isFree ? "free" : "taken",
            fix: isFree ? nil : "golden up --port N (0 takes any free one)")
    }

    /// Databases whose stack is not where it was. It may have been moved: one that is in use, or this stack's, is none.
    func strays() -> Finding {
        let own = record?.postgresFolder
        let strays = entries(of: databases).sorted().compactMap { name -> String? in
            let place = "\(databases)/\(name)"
            guard let origin = readSmallFile("\(place)/\(PostgresPlace.originFile)"),
                place != own, !PostgresPlace.isClaimed(place, by: origin), !isInUse(place)
            else { return nil }
            return "\(place) was of \(origin), where its stack is no more; remove it only if that stack is gone"
        }
        return Finding(
            name: "leftovers", found: strays.isEmpty ? "none" : "\(strays.count)",
            fix: strays.isEmpty ? nil : strays.joined(separator: "; "), isNeeded: false
        )
    }

    /// Every process of a database server runs in its cluster's folder.
    private func isInUse(_ place: String) -> Bool {
        let place = realPath(place)
        return entries(of: "/proc").contains { pid in
            guard Int32(pid) != nil else { return false }
            let folder = realPath("/proc/\(pid)/cwd")
            return folder == place || folder.hasPrefix("\(place)/")
        }
    }

    private func entries(of path: String) -> [String] {
        do { return try FileManager.default.contentsOfDirectory(atPath: path) } catch { return [] }
    }

    private func existingParent(_ path: String) -> String {
        var path = path
        while path != "/", !FileManager.default.fileExists(atPath: path) { path = Sibling.parent(of: path) }
        return path
    }

    private func install(_ package: String) -> String {
        (geteuid() == 0 ? "" : "sudo ") + "apt-get install --no-install-recommends -y \(package)"
    }
}

internal import Contracts
internal import HTTPEdge

/// Which limits there are: one document, whether it comes from the start-up configuration or was set at run time.
///
/// A document is laid over the built-in rules, entry by entry; null takes an entry out.
struct RateLimitRules: Sendable, Equatable {
    /// So many units in that time, and so many at once.
    struct Rule: Sendable, Equatable {
        var limit: Int
        var periodSeconds = 60
        var burst: Int

        /// So many a minute, all of them at once if need be.
        static func perMinute(_ limit: Int) -> Rule { Rule(limit: limit, burst: limit) }
    }

    /// Stands for each tenant that has no rule of its own.
    static let everyTenant = "*"
    static let limitRange: ClosedRange<Int> = 1...60_000_000
    static let periodRange: ClosedRange<Int> = 1...86_400
    static let tokensRange: ClosedRange<Int> = 1...1_000_000_000
    /// 0 holds all tasks of a label back.
    static let concurrencyRange: ClosedRange<Int> = 0...1_000_000
    /// Entries of one section.
    static let entriesMax = 1000
    /// Labels of one tenant.
    static let labelsMax = 100

    /// Each caller's requests; `anonymous` is each address, of IPv6 each network of 64 bits.
    var roles: [String: Rule]
    /// All requests of one tenant together.
    var tenants: [String: Rule]
    /// Each caller's requests to one operation, or to all that need one permission.
    var routes: [String: Rule]
    /// Model tokens of one tenant: a task's estimate when it is accepted, the rest when it ends.
    var tokens: [String: Rule]
    /// Operations and permissions that are refused while requests cannot be counted.
    var closed: [String]
    /// How many tasks of a tenant with that label, `name=value`, may be at work at once.
    var concurrency: [String: [TaskLabel: Int]] = [:]

    /// Logins have counts of their own, so that people behind one address do not shut each other out: an office signs
    /// in within a minute. Who guesses one user's password is stopped long before, by the lock that five failures from
    /// an address set; and who guesses those of many gets no more of the hashing than leaves some to others.
    static let builtIn = RateLimitRules(
        roles: [
            Role.admin.rawValue: .perMinute(100), Role.operator.rawValue: .perMinute(50),
            Role.developer.rawValue: .perMinute(30), Role.observer.rawValue: .perMinute(20),
            Role.agent.rawValue: .perMinute(300), Role.anonymous.rawValue: .perMinute(5),
        ],
        tenants: [:],
        routes: ["login": .perMinute(60), "exchangeKey": .perMinute(120), "sandbox.execute": .perMinute(10)],
        tokens: [:],
        // What proves who somebody is and what moves money; looking at money goes on.
        closed: [
            "login", "exchangeKey", Permission.budgetUse.rawValue, Permission.budgetConfigure.rawValue,
        ]
    )

    /// Whether `names` has all operations and permissions that these rules speak of.
    /// - Throws: an error that names the first that is unknown.
    func checkRoutes(_ names: Set<String>) throws(JSONError) {
        let known = names.union(Permission.allCases.map(\.rawValue)).union(Self.builtIn.routes.keys)
        if let stranger = routes.keys.filter({ !known.contains($0) }).min() {
            throw JSONError(.wrongShape, path: "routes.\(stranger)", "is no operation or permission of this API")
        }
        if let stranger = closed.first(where: { !known.contains($0) }) {
            throw JSONError(.wrongShape, path: "closed", "names \(stranger), no operation or permission of this API")
        }
    }
}

// MARK: As a document

extension RateLimitRules {
    init(json: JSON) throws(JSONError) {
        var body = try JSONReader(json)
        self = Self.builtIn
        try Self.read("roles", over: &roles, in: &body, Self.limitRange) { Role(rawValue: $0) != nil }
        try Self.read("tenants", over: &tenants, in: &body, Self.limitRange, isName: Self.isTenant)
        try Self.read("routes", over: &routes, in: &body, Self.limitRange) { (1...80).contains($0.utf8.count) }
        try Self.read("tokens", over: &tokens, in: &body, Self.tokensRange, isName: Self.isTenant)
        try readConcurrency(in: &body)
        if let closed = try body.optionalStrings("closed") {
            guard closed.count <= Self.entriesMax else {
                throw body.error("closed", "must not have more than \(Self.entriesMax) entries")
            }
            self.closed = closed
        }
        try body.refuseUnknown()
    }

    private mutating func readConcurrency(in body: inout JSONReader) throws(JSONError) {
        let section = "concurrency"
        guard let json = body.optional(section) else { return }
        guard let tenants = json.fields, tenants.count <= Self.entriesMax else {
            throw body.error(section, "must be an object of at most \(Self.entriesMax) entries")
        }
        for tenant in tenants {
            let path = "\(section).\(tenant.name)"
            guard Self.isTenant(tenant.name) else { throw body.error(path, "is not known here") }
            if tenant.value.kind == .null { continue }
            guard let labels = tenant.value.fields, labels.count <= Self.labelsMax else {
                throw body.error(path, "must be an object of at most \(Self.labelsMax) labels")
            }
            var limits: [TaskLabel: Int] = [:]
            for field in labels {
                guard let label = TaskLabel(field.name) else {
                    throw body.error("\(path).\(field.name)", "must be a label as tasks have them: name=value")
                }
                if field.value.kind == .null { continue }
                guard let limit = field.value.int, Self.concurrencyRange.contains(limit) else {
                    throw body.error(
                        "\(path).\(field.name)",
                        "must be \(Self.concurrencyRange.lowerBound) to \(Self.concurrencyRange.upperBound)")
                }
                limits[label] = limit
            }
            concurrency[tenant.name] = limits
        }
    }

    private static func isTenant(_ name: String) -> Bool { name == everyTenant || TenantID(name) != nil }

    private static func read(
        _ section: String, over rules: inout [String: Rule], in body: inout JSONReader, _ range: ClosedRange<Int>,
        isName: (String) -> Bool
    ) throws(JSONError) {
        guard let json = body.optional(section) else { return }
        guard let fields = json.fields, fields.count <= entriesMax else {
            throw body.error(section, "must be an object of at most \(entriesMax) entries")
        }
        for field in fields {
            guard isName(field.name) else { throw body.error("\(section).\(field.name)", "is not known here") }
            rules[field.name] =
                field.value.kind == .null ? nil : try rule(field.value, path: "\(section).\(field.name)", range)
        }
    }

    private static func rule(_ json: JSON, path: String, _ range: ClosedRange<Int>) throws(JSONError) -> Rule {
        var body = try JSONReader(json, path: path)
        let limit = try body.int("limit")
        guard range.contains(limit) else {
            throw body.error("limit", "must be \(range.lowerBound) to \(range.upperBound)")
        }
        let period = try body.optionalInt("period_seconds") ?? 60
        guard periodRange.contains(period) else {
            throw body.error("period_seconds", "must be \(periodRange.lowerBound) to \(periodRange.upperBound)")
        }
        guard limit <= period * 1_000_000 else { throw body.error("limit", "must be at most one each microsecond") }
        let burst = try body.optionalInt("burst") ?? limit
        guard range.contains(burst), burst <= limit * (86_400 * 7 / period) else {
            throw body.error("burst", "must be at least 1, and what comes back within a week")
        }
        try body.refuseUnknown()
        return Rule(limit: limit, periodSeconds: period, burst: burst)
    }

    /// The whole of them; what was taken out of the built-in ones stands there as null.
    var json: JSON {
        JSONWriter.object { writer in
            Self.write("roles", roles, Self.builtIn.roles, to: &writer)
            Self.write("tenants", tenants, Self.builtIn.tenants, to: &writer)
            Self.write("routes", routes, Self.builtIn.routes, to: &writer)
            Self.write("tokens", tokens, Self.builtIn.tokens, to: &writer)
            writer.field("closed", closed)
            writer.field("concurrency", object: { writeConcurrency(to: &$0) })
        }
    }

    private func writeConcurrency(to writer: inout JSONWriter) {
        for (tenant, limits) in concurrency.sorted(by: { $0.key < $1.key }) {
            writer.field(
                tenant,
                object: { writer in
                    for (label, limit) in limits.sorted(by: { $0.key < $1.key }) {
                        writer.field(label.description, limit)
                    }
                })
        }
    }

    private static func write(
        _ section: String, _ rules: [String: Rule], _ builtIn: [String: Rule], to writer: inout JSONWriter
    ) {
        writer.field(
            section,
            object: { writer in
                for name in Set(rules.keys).union(builtIn.keys).sorted() {
                    guard let rule = rules[name] else {
                        writer.field(name, JSON.null)
                        continue
                    }
                    writer.field(
                        name,
                        object: {
                            $0.field("limit", rule.limit)
                            $0.field("period_seconds", rule.periodSeconds)
                            $0.field("burst", rule.burst)
                        })
                }
            })
    }
}

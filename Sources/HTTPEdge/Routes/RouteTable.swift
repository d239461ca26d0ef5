package import HTTPTypes

/// All routes of one server, and the way from a request's path to one of them.
package struct RouteTable: Sendable {
    package let routes: [Route]
    private let paths: [Path]
    /// The paths without parameters, which win over those with: found without splitting anything.
    private let literals: [String: Path]

    private struct Path: Sendable {
        let segments: [Segment]
        let routes: [Route]
        let allow: String
    }

    private enum Segment: Sendable, Equatable {
        case literal(String)
        case parameter(String)
    }

    /// - Precondition: no two routes share method and pattern, and every pattern starts with `/`.
    package init(_ routes: [Route]) {
        self.routes = routes
        let byPattern = Dictionary(grouping: routes, by: \.pattern)
        let paths = byPattern.map { pattern, routes in
            precondition(pattern.hasPrefix("/"), "\(pattern) must start with a slash.")
            precondition(Set(routes.map(\.method)).count == routes.count, "\(pattern) has a method twice.")
            return Path(segments: Self.segments(pattern), routes: routes, allow: Self.allow(routes))
        }
        // Literal segments win over parameters: `/tasks/recent` over `/tasks/{id}`.
        self.paths = paths.sorted { Self.rank($0) < Self.rank($1) }
        literals = Dictionary(
            uniqueKeysWithValues: zip(byPattern.keys, paths).filter { !$0.0.contains("{") }.map { ($0.0, $0.1) })
    }

    package enum Match {
        case route(Route, parameters: [String: String])
        /// The path exists, the method does not; `allow` is the header's value.
        case otherMethods(allow: String)
        case nothing
    }

    /// HEAD finds what GET finds.
    package func match(_ method: HTTPRequest.Method, path: String) -> Match {
        if let path = literals[path] { return Self.match(method, path, [:]) }
        let parts = path.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
        for path in paths where path.segments.count == parts.count {
            guard let parameters = Self.parameters(path.segments, parts) else { continue }
            return Self.match(method, path, parameters)
        }
        return .nothing
    }

    private static func match(_ method: HTTPRequest.Method, _ path: Path, _ parameters: [String: String]) -> Match {
        let wanted = method == .head ? .get : method
        guard let route = path.routes.first(where: { $0.method == wanted }) else {
            return .otherMethods(allow: path.allow)
        }
        return .route(route, parameters: parameters)
    }

    private static func parameters(_ segments: [Segment], _ parts: ArraySlice<Substring>) -> [String: String]? {
        var parameters: [String: String] = [:]
        for (segment, part) in zip(segments, parts) {
            switch segment {
            case .literal(let text): if part != text { return nil }
            case .parameter(let name):
                guard let value = PercentEncoding.decode(part), !value.isEmpty else { return nil }
                parameters[name] = value
            }
        }
        return parameters
    }

    private static func segments(_ pattern: String) -> [Segment] {
        pattern.split(separator: "/", omittingEmptySubsequences: false).dropFirst().map { part in
            part.hasPrefix("{") ? .parameter(String(part.dropFirst().dropLast())) : .literal(String(part))
        }
    }

    private static func allow(_ routes: [Route]) -> String {
        var methods = routes.map(\.method.rawValue)
        if methods.contains("GET") { methods.append("HEAD") }
        return methods.sorted().joined(separator: ", ")
    }

    private static func rank(_ path: Path) -> String {
        path.segments.map { segment in
            switch segment {
            case .literal(let text): "0\(text)"
            case .parameter(let name): "1\(name)"
            }
        }
        .joined(separator: "/")
    }
}

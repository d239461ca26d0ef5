import Foundation

/// The schema as text, in an order and wording that do not depend on the server's version.
enum SchemaSnapshot {
    static let file = MigrationDatabase.root.appending(path: "Tests/StorageTests/schema.snapshot.txt")
    /// Set to 1, the snapshot test writes the file instead of comparing.
    static let updateVariable = "GOLDEN_UPDATE_SNAPSHOT"

    static func text(of database: MigrationDatabase) async throws -> String {
        try await database.sql(query) + "\n"
    }

    /// The lines that only one of two texts has, "-" for the first and "+" for the second.
    static func difference(_ old: String, _ new: String) -> String {
        let change = new.split(separator: "\n").difference(from: old.split(separator: "\n"))
        return change.map { step in
            switch step {
            case .remove(_, let line, _): "- \(line)"
            case .insert(_, let line, _): "+ \(line)"
            }
        }.joined(separator: "\n")
    }

    /// A function's body stands for its first 12 hexadecimal digits of MD5; a view for its columns.
    private static let query = """
        SET search_path = public;
        SELECT line FROM (
            SELECT 1 AS part, table_name || '.' || lpad(ordinal_position::text, 3, '0') AS place,
                concat_ws(' ', 'column', table_name || '.' || column_name, data_type,
                    CASE data_type WHEN 'numeric' THEN '(' || numeric_precision || ',' || numeric_scale || ')' END,
                    CASE is_nullable WHEN 'NO' THEN 'not null' END, 'default ' || column_default,
                    CASE is_identity WHEN 'YES' THEN 'identity' END) AS line
            FROM information_schema.columns WHERE table_schema = 'public'
            UNION ALL
            SELECT 2, c.relname, concat_ws(' ', 'table', c.relname, array_to_string(c.reloptions, ' '))
            FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
            UNION ALL
            SELECT 3, conrelid::regclass || '.' || conname,
                'constraint ' || conrelid::regclass || '.' || conname || ' ' || pg_get_constraintdef(oid)
            FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
            UNION ALL
            SELECT 4, tablename || '.' || indexname, 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public'
            UNION ALL
            SELECT 5, tgrelid::regclass || '.' || tgname, 'trigger ' || pg_get_triggerdef(oid)
            FROM pg_trigger WHERE NOT tgisinternal
            UNION ALL
            SELECT 6, proname || pg_get_function_identity_arguments(oid),
                'function ' || proname || '(' || pg_get_function_identity_arguments(oid) || ') returns '
                    || pg_get_function_result(oid) || ' ' || substr(md5(prosrc), 1, 12)
            FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        ) lines ORDER BY part, place COLLATE "C", line COLLATE "C"
        """
}

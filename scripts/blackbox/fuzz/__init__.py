"""Bad input: a table of hand-written cases, then schemathesis against the served OpenAPI document."""

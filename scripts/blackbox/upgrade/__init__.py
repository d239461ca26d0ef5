"""A rolling upgrade of the embedded stack under traffic."""

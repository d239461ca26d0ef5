"""Golden seen from outside: benchmarks, the fault test and the API fuzz, over HTTP and SQL alone.

Nothing here imports Golden's code. `bench/`, `faults/` and `fuzz/` each hold one program; the files beside this one are
what they share: a private stack, an API client, the database, a load generator, and pinned tools from PyPI.
"""

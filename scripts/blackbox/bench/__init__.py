"""The benchmarks: one file each, every one against a fresh private stack."""

"""The benchmark: ``python -m tests.benchmarks``. It is no test; nothing here asserts a time."""

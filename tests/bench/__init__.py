"""The benchmark: `make bench` or `python -m tests.bench` prints a table and writes bench.json."""

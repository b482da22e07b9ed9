"""What `scripts/benchmark_quality` measures: sections, each a function from a bench to findings."""

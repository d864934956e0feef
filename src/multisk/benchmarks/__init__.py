"""Benchmarks: what they are, and readers of how they were published."""

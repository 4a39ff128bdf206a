"""Generic flights for exercises, tests and benchmarks, and the sensors that observe them."""

"""Numeric kernels: arrays in, arrays out; the ground that knows no record. numba is imported here and nowhere else."""

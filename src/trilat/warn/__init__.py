"""Warnings: their life cycle, once in the national store and once per audience."""

"""Trilat: the shared warning and awareness system of three allies (and of N partners)."""

__version__ = "0.1.0"

"""Feeds: bytes to reports (sans-IO). Only `sockets.py` does I/O. Begin at `registry.open_decoder`."""

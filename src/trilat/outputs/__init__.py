"""Outputs: what the public is told leaves for sirens, broadcasters and relays, once each, with a receipt."""

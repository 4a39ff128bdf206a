"""Fusion: several sensors' and several nations' data as one - correlation, combined picture, tracklets, registration, health."""

"""Tracking: plots in, tracks out. `from trilat.track import Tracker, TrackerSettings`; numba loads when a Tracker is made."""

from trilat.track.library import reports_of, sensor_at, smoothed, smoothed_columns, track_table
from trilat.track.settings import TrackerSettings
from trilat.track.sights import sights_of
from trilat.track.tracker import Tracker

__all__ = ["Tracker", "TrackerSettings", "reports_of", "sensor_at", "sights_of", "smoothed", "smoothed_columns", "track_table"]

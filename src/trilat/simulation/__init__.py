"""Seeded simulation: nodes with their real stores on simulated disks, networks and clocks; run, judged, reproduced."""

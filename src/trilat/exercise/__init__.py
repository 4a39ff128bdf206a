"""Exercise: scenarios, the world that feeds nodes real bytes, scoring."""

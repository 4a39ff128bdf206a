"""Joint: trackers together with what watches and shares them - registration, health, tracklets - for a node to compose."""

"""What leaves a warning for people and machines outside: words in three languages, CAP 1.2, GeoJSON, KML, and where they go."""

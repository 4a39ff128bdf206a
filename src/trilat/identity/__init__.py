"""Identity: a nation's keys and certificates, their files, signing and verifying. Knows records only."""

"""The durable log, outbox and inbox of one node. Import from the modules, not from here."""

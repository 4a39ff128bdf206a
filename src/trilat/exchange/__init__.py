"""Exchange: sealed, signed, ordered, resumed. Sans-IO but for `nats`, `server`, `keyfiles` and `drive`."""

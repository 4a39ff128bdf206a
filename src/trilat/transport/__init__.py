"""Transport: sealed envelopes and messages, the one interface that carries them, and its endings."""

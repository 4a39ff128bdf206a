"""Typed, frozen records: what the stages hand to one another. Import from the modules, not from here."""

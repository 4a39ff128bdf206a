"""Accounts: who may come in, what each role may do, and what takes two people. Knows records only."""

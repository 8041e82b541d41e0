"""Faults on purpose, under load, with a ledger of all that was said: what the soak and the tests of promises share."""

"""Tandem's REST gateway: it knows the contract and a channel, nothing else."""

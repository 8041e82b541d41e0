"""Tandem's Python client."""

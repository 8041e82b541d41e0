"""Etags: what changes whenever a thing does."""


def etag(version: int) -> str:
    """Return the etag of a thing's *version*, which counts its changes."""
    return f"v{version}"

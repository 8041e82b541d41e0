"""Etags: what changes whenever a thing does."""

from tandem_proto.errors import EtagMismatch


def etag(version: int) -> str:
    """Return the etag of a thing's *version*, which counts its changes."""
    return f"v{version}"


def check_etag(noun: str, version: int, expected: str) -> None:
    """Raise EtagMismatch, with the current etag, where *expected* is given and is not that of *version*."""
    if expected and expected != etag(version):
        message = f"the {noun} has changed since you read it: read it again"
        raise EtagMismatch(message, metadata={"etag": etag(version)})

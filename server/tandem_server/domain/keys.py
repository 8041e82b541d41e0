"""Keys as text: `tdm_<environment>_<id>_<secret>`, which end with a checksum, so that garbage is known as such."""

from __future__ import annotations

import re
from hashlib import sha256
from zlib import crc32

_ID = "key_"
_KEY = re.compile(r"tdm_[a-z0-9]{1,16}_([0-7][0-9a-hjkmnp-tv-z]{25})_[a-z2-7]{32}[0-9a-f]{8}")


def key_text(environment: str, key_id: str, secret: str) -> str:
    """Return the key that *secret*, 160 bits in base32, is of; *environment* says to people where it belongs."""
    text = f"tdm_{environment}_{key_id.removeprefix(_ID)}_{secret}"
    return text + _checksum(text)


def id_in(text: str) -> str | None:
    """Return the id of the key *text*, None where nobody can have made it: it is cut, mistyped or invented."""
    found = _KEY.fullmatch(text)
    return _ID + found[1] if found and _checksum(text[:-8]) == text[-8:] else None


def digest(text: str) -> str:
    """Return what is stored of a key. It is random: SHA-256 keeps it as well as a slow hash would."""
    return sha256(text.encode()).hexdigest()


def _checksum(text: str) -> str:
    return f"{crc32(text.encode()):08x}"

"""The secrets that ERPs sign their webhooks with: in a file, never in the database."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from standardwebhooks import Webhook, WebhookVerificationError

from tandem_proto.errors import Unauthenticated
from tandem_proto.watched import Watched

ERP = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")

LIVE = 2
"""Secrets of one ERP that count at one time, so that they can be changed without a gap."""

SHORTEST = 16
"""Bytes of a secret at least: 128 bits, as keys have. Standard Webhooks recommends 24 to 64 bytes."""

Secrets = Mapping[str, tuple[Webhook, ...]]


class WebhookSecrets:
    """Knows what is signed by an ERP, by the secrets in the file at *path*: `{"default": ["whsec_new", "whsec_old"]}`.

    The file is read again when it changes; one that cannot be read then leaves what was read before. Without a file no
    ERP is known. Raises ValueError for a file that cannot be read at first.
    """

    def __init__(self, path: Path | None) -> None:
        self._secrets = Watched("the secrets of webhooks", partial(_read, path), path) if path else None

    def verify(self, erp: str, headers: Mapping[str, str], body: bytes) -> None:
        """Raise Unauthenticated unless *erp* signed *body* and *headers* within the last five minutes.

        That it does not say why is on purpose: it would tell whoever tries which ERPs there are.
        """
        known = self._secrets.latest() if self._secrets else {}
        if not any(_signed(secret, headers, body) for secret in known.get(erp, ())):
            message = "unknown ERP, wrong secret or signature, no UTF-8, or a webhook-timestamp five minutes off"
            raise Unauthenticated(f"the webhook cannot be verified: {message}", reason="WEBHOOK_UNVERIFIED")


def _signed(secret: Webhook, headers: Mapping[str, str], body: bytes) -> bool:
    try:
        secret.verify(body, dict(headers), json_parse=False)
    except (WebhookVerificationError, ValueError):  # ValueError: no UTF-8, or a list that is none
        return False
    return True


def _read(path: Path) -> Secrets:
    try:
        told = orjson.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ValueError(f"TANDEM_WEBHOOK_SECRETS_FILE {path}: {error}") from None
    if type(told) is not dict:
        raise ValueError(f'{path} must hold a JSON object, as in {{"default": ["whsec_…"]}}')
    return {erp: _secrets(path, erp, secrets) for erp, secrets in told.items()}


def _secrets(path: Path, erp: str, told: Any) -> tuple[Webhook, ...]:
    if not ERP.fullmatch(erp) or type(told) is not list or not 1 <= len(told) <= LIVE:
        raise ValueError(f"{path}: {erp!r} must be the name of an ERP, with a list of one or two secrets")
    try:
        return tuple(_secret(each) for each in told)
    except (TypeError, ValueError):  # whose words may hold the secret
        message = f'must be "whsec_" and at least {SHORTEST} bytes in base64'
        raise ValueError(f"{path}: each secret of {erp!r} {message}") from None


def _secret(told: Any) -> Webhook:
    text = str.removeprefix(told, "whsec_")
    secret = b64decode(text + "=" * (-len(text) % 4), validate=True)
    if len(secret) < SHORTEST:
        raise ValueError
    return Webhook(secret)

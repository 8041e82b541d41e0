"""What a client needs to know of a running Tandem: `dev.env`, with addresses and a key for each role."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webhook_secrets import first_secret

if TYPE_CHECKING:
    from stack import Stack

ADMIN = "TANDEM_ADMIN_KEY"
KEYS = {
    "TANDEM_CRM_KEY": {"name": "crm", "roles": ["CRM"], "source": "crm"},
    "TANDEM_ERP_KEY": {"name": "erp", "roles": ["ERP"], "erp": "default"},
    "TANDEM_INTEGRATION_KEY": {"name": "integration", "roles": ["INTEGRATION"], "source": "crm"},
    "TANDEM_REPORTS_KEY": {"name": "reports", "roles": ["REPORTS"]},
    "TANDEM_OPERATOR_KEY": {"name": "operator", "roles": ["OPERATOR"]},
}
"""A key for each role but the administrator's, who makes them."""


def write_environment(stack: Stack) -> Path:
    """Write `dev.env`, readable for its owner only, with keys that work, and return the file's path."""
    path = stack.home / "dev.env"
    values = {"TANDEM_HTTP": stack.http, "TANDEM_GRPC": stack.grpc, "TANDEM_ERP": "default"}
    if stack.ca:
        values["TANDEM_GRPC_CA"] = stack.ca
    values |= keys_of(stack, read_environment(path))
    values["TANDEM_WEBHOOK_SECRET"] = first_secret(Path(stack.environment["TANDEM_WEBHOOK_SECRETS_FILE"]))
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    return path


def read_environment(path: Path) -> dict[str, str]:
    """Return what the file at *path* says, nothing where there is none."""
    lines = path.read_text().splitlines() if path.exists() else []
    return dict(line.split("=", 1) for line in lines if "=" in line)


def keys_of(stack: Stack, known: dict[str, str]) -> dict[str, str]:
    """Return a key for each role: those of *known* that still work, else new ones."""
    keys = {name: known[name] for name in (*KEYS, ADMIN) if name in known and _works(stack, known[name])}
    if ADMIN not in keys:
        keys[ADMIN] = stack.create_admin_key()
    for name in [name for name in KEYS if name not in keys]:
        with _ask(stack, keys[ADMIN], KEYS[name]) as reply:
            keys[name] = json.load(reply)["secret"]
    return {name: keys[name] for name in (*KEYS, ADMIN)}


def _works(stack: Stack, key: str) -> bool:
    """Tell whether Tandem knows *key*, whatever it may do."""
    try:
        _ask(stack, key).close()
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return refusal.code != 401
    return True


def _ask(stack: Stack, key: str, body: object = None) -> Any:
    """Make a call of `/v1/keys`. Raises HTTPError where it is refused."""
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{stack.http}/v1/keys", data, headers)  # noqa: S310 - our own http:// address
    return stack.ask(request)

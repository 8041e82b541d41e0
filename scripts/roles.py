"""The table of roles in server/SECURITY.md, from the contract: writes it, or with --check says whether it is right.

Run it with .venv/bin/python.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tandem_proto.catalogue import Method, methods
from tandem_server.domain.principals import SCOPES

PAGE = Path(__file__).resolve().parents[1] / "server/SECURITY.md"
BEGIN, END = "<!-- made by scripts/roles.py -->\n", "<!-- until here -->\n"
ROLES = list(SCOPES)


def table() -> str:
    """Return the table: a row a scope, who has it, and the methods that need it."""
    lines = [_row(["scope", *ROLES, "methods"]), _row(["---", *(":-:" for _ in ROLES), "---"])]
    for scope in sorted({scope for role in ROLES for scope in SCOPES[role]}):
        marks = ["x" if scope in SCOPES[role] else "" for role in ROLES]
        needing = [_name(method) for method in methods() if method.required_scope == scope]
        lines.append(_row([f"`{scope}`", *marks, ", ".join(needing)]))
    signed = ", ".join(_name(method) for method in methods() if method.signed)
    lines.append(_row(["a webhook's signature", *("" for _ in ROLES), signed]))
    return "".join(lines)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _name(method: Method) -> str:
    """Return the method's name after its package: the CRM and the ERP both have a GetCustomer."""
    return f"{method.service.split('.')[1]}.{method.name}"


def main() -> int:
    """Put the table into the page; with --check return 1 where that would change it."""
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    new = before + BEGIN + table() + END + rest.partition(END)[2]
    if sys.argv[1:] != ["--check"]:
        PAGE.write_text(new)
    elif new != page:
        print(f"the table of roles in {PAGE} is not what the contract says: run scripts/roles.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

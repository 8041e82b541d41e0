"""Which ERP the orders of a source go to."""

from __future__ import annotations

from dataclasses import dataclass, field

DEFAULT_ERP = "default"


@dataclass(frozen=True)
class Routes:
    """Each source has exactly one ERP. Without any route, every source goes to `default`."""

    by_source: dict[str, str] = field(default_factory=dict)

    def erp_of(self, source: str) -> str | None:
        """Return the ERP of *source*, None where routes are set and it has none."""
        return self.by_source.get(source) if self.by_source else DEFAULT_ERP

    def sources_of(self, erp: str) -> frozenset[str] | None:
        """Return the sources that *erp* serves; None means all of them."""
        if not self.by_source:
            return None if erp == DEFAULT_ERP else frozenset()
        return frozenset(source for source, target in self.by_source.items() if target == erp)


def parse_routes(text: str) -> Routes:
    """Read "crm=default,shop=sap". Raises ValueError, saying which part is wrong."""
    routes: dict[str, str] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        source, separator, erp = (piece.strip() for piece in part.partition("="))
        if not (separator and source and erp) or source in routes:
            raise ValueError(f"{part!r} is not a route: write source=erp, each source once, separated by commas")
        routes[source] = erp
    return Routes(routes)

"""Settings: the only reader of the environment, made once in `__main__`."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, computed_field

from tandem_proto.listening import ListeningSettings
from tandem_proto.settings import written
from tandem_server.domain.erasure import Marks
from tandem_server.domain.routing import Routes, parse_routes

SHORTEST_SECRET = 32


class Settings(ListeningSettings):
    """What the server can be told, each as `TANDEM_<NAME>`."""

    home: Path = Field(default=Path(".tandem"), description="folder of what Tandem keeps in files")
    database_url: str = Field(
        default="", description="mysql+aiomysql://user:password@host/database; default: SQLite in TANDEM_HOME"
    )
    grpc_listen: str = Field(default="127.0.0.1:50051", description="address the server listens on")
    grpc_connections: int = Field(default=1000, ge=1, description="connections at most; the next is closed at once")
    grpc_message_bytes: int = Field(
        default=4 << 20, ge=1 << 20, le=64 << 20, description="largest message that is received"
    )
    grpc_call_seconds: float = Field(
        default=60, gt=0, description="how long a unary call may take, whatever its deadline"
    )
    key_requests_per_second: int = Field(
        default=2000, ge=1, description="requests a second of one key to one process; as many may be saved up"
    )
    key_calls: int = Field(default=1000, ge=1, description="unary calls of one key under way at one time")
    key_streams: int = Field(default=200, ge=1, description="streams of one key open at one time")
    metrics_listen: str = Field(
        default="",
        pattern=r"^((\[[0-9a-fA-F:]+\]|[^:\[\]]+):[0-9]{1,5})?$",
        description="address of /metrics for Prometheus, which needs no key: keep it inside; default: nowhere",
    )
    environment: str = Field(
        default="dev",
        pattern="^[a-z0-9]{1,16}$",
        description="what new keys say: tdm_dev_..., small letters and digits",
    )
    key_cache_seconds: float = Field(
        default=10, gt=0, le=10, description="how old may be what a process knows of a key, 10 at most"
    )
    routes: str = Field(default="", description="crm=default,shop=sap: the ERP of each source; default: all to default")
    webhook_secrets_file: Path | None = Field(
        default=None, description="JSON file of the secrets that ERPs sign webhooks with; read again when it changes"
    )
    secret: SecretStr = Field(
        default=SecretStr(""),
        description="what erased customers are known by, 32 characters or more; after a comma the one before it",
    )
    pool_size: int = Field(default=5, ge=1, le=100, description="database connections at most")
    transaction_seconds: float = Field(default=10, gt=0, le=60, description="how long one unit of work may take")
    max_attempts: int = Field(default=10, ge=1, le=1000, description="failures after which an order is a dead letter")
    drain_notice_seconds: float = Field(
        default=1, ge=0, le=60, description="how long health says NOT_SERVING before a stop"
    )
    drain_seconds: float = Field(
        default=10, ge=0, le=600, description="how long running calls may take to end at a stop, the notice included"
    )

    @computed_field  # type: ignore[prop-decorator]
    @property
    def url(self) -> str:
        """The database's URL, whether told or not."""
        return self.database_url or f"sqlite+aiosqlite:///{self.home.absolute() / 'tandem.db'}"

    @property
    def marks(self) -> Marks:
        """What erased customers are known by. Raises ValueError for a secret that is easy to guess."""
        secrets = [each.strip() for each in self.secret.get_secret_value().split(",") if each.strip()]
        if any(len(each) < SHORTEST_SECRET for each in secrets):
            raise ValueError(
                f"TANDEM_SECRET: a secret has at least {SHORTEST_SECRET} characters (openssl rand -hex 32)"
            )
        return Marks(secrets)

    @property
    def measured(self) -> bool:
        """Whether anybody is told of metrics."""
        return not self.sdk_disabled and bool(self.metrics_listen or self.otlp("metrics"))

    @property
    def parsed_routes(self) -> Routes:
        """The ERP of each source. Raises ValueError where TANDEM_ROUTES is not well-formed."""
        return parse_routes(self.routes)

    @classmethod
    def described(cls) -> list[tuple[str, str, str]]:
        """Return every setting as (name, default, meaning)."""
        return [(variable, written(field.default), field.description or "") for variable, _, field in cls.variables()]

    def with_home(self) -> Self:
        """Return the settings after making sure that TANDEM_HOME is there."""
        self.home.mkdir(parents=True, exist_ok=True)
        return self

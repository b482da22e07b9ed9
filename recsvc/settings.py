"""Every setting in one typed table. In: environment variables. Out: one frozen `Settings`.

A setting is a deployment's fact (where, how many, how long to wait); what the business decides stands
in `policy.toml`. This is the only module that reads or writes the environment.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from environs import Env, EnvError, validate

from recsvc.errors import SettingsError

TEST_PREFIX = "RECSVC_TEST_"  # Read by the test suite only, and let pass here.


def _setting(variable: str, default: Any, kind: str, help: str, **options: Any) -> Any:
    meta = {"variable": variable, "default": default, "kind": kind, "help": help, "options": options}
    return field(metadata=meta)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one process. Each field says its variable, default, unit and meaning."""

    data_dir: Path = _setting(
        "RECSVC_DATA_DIR", Path("data"), "path", "Folder of the SQLite store and of rejects files."
    )
    models_dir: Path = _setting("RECSVC_MODELS_DIR", Path("models"), "path", "Folder of published bundles.")
    policy_file: Path | None = _setting(
        "RECSVC_POLICY_FILE", None, "path", "A policy.toml to use instead of the one that is built in."
    )
    database_url: str = _setting(
        "DATABASE_URL", "", "str", "Store: a SQLAlchemy URL; empty means SQLite in the data folder."
    )
    redis_url: str = _setting(
        "REDIS_URL",
        "",
        "str",
        "Redis or Valkey, as redis://, rediss:// or unix://; empty starts an embedded one.",
    )
    redis_timeout_seconds: float = _setting(
        "RECSVC_REDIS_TIMEOUT_SECONDS",
        0.05,
        "float",
        "Longest wait for Redis on a request, in seconds.",
        validate=validate.Range(min=0.001, max=5),
    )
    local_slates_mb: int = _setting(
        "RECSVC_LOCAL_SLATES_MB",
        64,
        "int",
        "Ready slates that each worker keeps in memory, in MB, and a quarter more in a swap; 0 keeps none.",
        validate=validate.Range(min=0, max=65_536),
    )
    warm_up_slates: int = _setting(
        "RECSVC_WARM_UP_SLATES",
        2_000,
        "int",
        "Lists that each worker makes ready after a promotion, of those it gave last; 0 makes none.",
        validate=validate.Range(min=0, max=100_000),
    )
    host: str = _setting("RECSVC_HOST", "127.0.0.1", "str", "Address to listen on.")
    port: int = _setting(
        "RECSVC_PORT", 8000, "int", "Port to listen on.", validate=validate.Range(min=1, max=65535)
    )
    metrics_port: int = _setting(
        "RECSVC_METRICS_PORT",
        0,
        "int",
        "Port of /metrics, on the same address; 0 means the one after RECSVC_PORT, -1 none.",
        validate=validate.Range(min=-1, max=65535),
    )
    metrics_dir: Path | None = _setting(
        "RECSVC_METRICS_DIR",
        None,
        "path",
        "Folder where workers leave what /metrics tells; recsvc serve makes one.",
    )
    checks_dir: Path | None = _setting(
        "RECSVC_CHECKS_DIR",
        None,
        "path",
        "Folder where workers find which bundles passed their check; recsvc serve makes one.",
    )
    reports_dir: Path | None = _setting(
        "RECSVC_REPORTS_DIR",
        None,
        "path",
        "Folder where workers keep reports that read much for one another; recsvc serve makes one.",
    )
    workers: int = _setting(
        "RECSVC_WORKERS", 2, "int", "Web worker processes.", validate=validate.Range(min=1, max=256)
    )
    threads: int = _setting(
        "RECSVC_THREADS",
        2,
        "int",
        "How many answers of a worker may wait for something while what is ready in memory goes out at once.",
        validate=validate.Range(min=1, max=64),
    )
    computations: int = _setting(
        "RECSVC_COMPUTATIONS",
        2,
        "int",
        "Lists that a worker makes at once; it matters where there are more threads than that.",
        validate=validate.Range(min=1, max=64),
    )
    wait_seconds: float = _setting(
        "RECSVC_WAIT_SECONDS",
        0.3,
        "float",
        "Longest wait for the turn to have a list made, in seconds; then the answer is what is popular.",
        validate=validate.Range(min=0, max=30),
    )
    auth: str = _setting(
        "RECSVC_AUTH",
        "on",
        "str",
        "on, or off for local trials: off refuses to listen on anything but loopback.",
        validate=validate.OneOf(["on", "off"]),
    )
    log_level: str = _setting(
        "RECSVC_LOG_LEVEL",
        "info",
        "str",
        "debug, info, warning or error.",
        validate=validate.OneOf(["debug", "info", "warning", "error"]),
    )
    refresh_seconds: float = _setting(
        "RECSVC_REFRESH_SECONDS",
        0.5,
        "float",
        "How often a worker looks for a new champion, catalogue or revoked key, in seconds.",
        validate=validate.Range(min=0.05, max=5),
    )

    @property
    def rejects_dir(self) -> Path:
        """Where rejected rows go unless a command says otherwise."""
        return self.data_dir / "rejects"

    @property
    def epochs_file(self) -> Path:
        """What the processes of a machine share, so that all know at once which slates are outdated."""
        return self.data_dir.resolve() / "epochs.bin"

    @property
    def store_url(self) -> str:
        """The SQLAlchemy URL of the store."""
        return self.database_url or f"sqlite:///{self._sqlite_file}"

    @property
    def has_store(self) -> bool:
        """Whether there is a store yet: one that was named, or the file in the data folder."""
        return bool(self.database_url) or self._sqlite_file.exists()

    @property
    def _sqlite_file(self) -> Path:
        return self.data_dir.resolve() / "recsvc.sqlite3"


@dataclass(frozen=True, slots=True)
class SettingDoc:
    """One row of the table of settings, as help and README show it."""

    variable: str
    default: str
    help: str


def setting_docs() -> tuple[SettingDoc, ...]:
    """The table of settings: variable, default, meaning."""
    return tuple(
        SettingDoc(f.metadata["variable"], str(f.metadata["default"] or ""), f.metadata["help"])
        for f in fields(Settings)
    )


def load_settings() -> Settings:
    """Read the environment.

    Raises:
        SettingsError: a variable has no usable value, or an unknown `RECSVC_*` variable is set.
    """
    known = {f.metadata["variable"] for f in fields(Settings)}
    _refuse_unknown(known)
    env = Env()
    values: dict[str, Any] = {}
    for f in fields(Settings):
        meta = f.metadata
        read = getattr(env, meta["kind"])
        try:
            values[f.name] = read(meta["variable"], meta["default"], **meta["options"])
        except EnvError as error:
            raise SettingsError(f"{error}; {meta['variable']} means: {meta['help']}") from error
    settings = Settings(**values)
    if settings.auth == "off" and settings.host not in {"127.0.0.1", "::1", "localhost"}:
        raise SettingsError(
            f"RECSVC_AUTH=off refuses to listen on {settings.host}: use 127.0.0.1 or turn keys on"
        )
    return settings


def set_environment(values: Mapping[str, object]) -> None:
    """Set variables for this process and its children; None leaves a variable as it is."""
    os.environ.update({name: str(value) for name, value in values.items() if value is not None})


def set_environment_default(values: Mapping[str, str]) -> None:
    """Set variables for this process and its children, but for those that are set."""
    os.environ.update({name: value for name, value in values.items() if name not in os.environ})


def _refuse_unknown(known: set[str]) -> None:
    for name in sorted(os.environ):
        if name.startswith("RECSVC_") and name not in known and not name.startswith(TEST_PREFIX):
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "remove it, or see the table of settings in README"
            raise SettingsError(f"{name} is not a setting; {hint}")

"""`recsvc demo`: a bank in a minute. Makes the sample, trains on it, serves it, and shows what to ask."""

from __future__ import annotations

import contextlib
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import click
import msgspec

from recsvc.bundles.registry import Registry
from recsvc.cli.demo_processes import LOG_FILE, WORKER_LOG_FILE, ended, heed_signals, serving, working
from recsvc.cli.serving import check_port_is_free
from recsvc.cli.sources import Files, read_files, to_train_on, write_to_store
from recsvc.cli.terminal import progress_bar, say, settings_with
from recsvc.clock_and_ids import now
from recsvc.domain.access import ROLE_SCOPES, Role
from recsvc.errors import ServeError
from recsvc.policy import load_policy
from recsvc.retraining.settling import Wish, settle
from recsvc.sample_bank import make_sample_bank, write_sample_bank
from recsvc.settings import Settings, set_environment
from recsvc.stores.api_keys import SqlApiKeys
from recsvc.stores.database import open_database
from recsvc.training.families import FAMILIES
from recsvc.training.pipeline import train
from recsvc.typed_decoding import decode_json

SHOW_FILE = "show_customers.json"
SAMPLE_FOLDER = "sample"
ROLES = (Role.FRONTEND, Role.MARKETER, Role.ANALYST, Role.PRIVACY, Role.ADMIN)
"""Those that the ready file has a key of; `recsvc keys create` makes others."""
STORE_FOLDER = "data"  # What the service remembers, apart from the sample that it was made from.


@dataclass(frozen=True, slots=True)
class Ready:
    """What the ready file holds."""

    url: str
    keys: Mapping[str, str]
    customers: tuple[str, ...]
    model_version: str


@click.command(epilog="\b\nExample:\n  recsvc demo --port 8000\n")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="Port to listen on."
)
@click.option(
    "--ready-file", type=click.Path(path_type=Path), help="Where to say, as JSON, that it is ready."
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="Keep the sample here and use it again.  [default: a folder that is removed at the end]",
)
def demo(port: int, ready_file: Path | None, data_dir: Path | None) -> None:
    """Make a synthetic bank, train on it, and serve it until Ctrl-C."""
    heed_signals()
    check_port_is_free("127.0.0.1", port)
    if ready_file:
        _make_way(ready_file)
    with _folder(data_dir) as folder:
        # Nothing of an installation beside it is touched: the demo has a store and a shelf of its own.
        set_environment({"DATABASE_URL": "", "RECSVC_AUTH": "on"})
        settings = settings_with(
            data_dir=folder / STORE_FOLDER, models=folder / "models", host="127.0.0.1", port=port
        )
        customers = _prepare(folder, settings)
        version = Registry(settings.models_dir).aliases().champion or ""
        ready = Ready(f"http://127.0.0.1:{port}", _make_keys(settings), customers, version)
        with working(folder / WORKER_LOG_FILE), serving(ready.url, folder / LOG_FILE) as server:
            if ready_file:
                _write_whole(ready_file, msgspec.json.encode(ready))
            _show(ready, folder / LOG_FILE)
            try:
                server.wait()
            except KeyboardInterrupt:
                say("stopping")
            else:
                raise ended(server, folder / LOG_FILE)


def _prepare(folder: Path, settings: Settings) -> tuple[str, ...]:
    """Make the sample and train on it. What an earlier run finished is used, and not made again."""
    show = folder / SHOW_FILE
    if not show.exists():
        say("making a sample bank; it is synthetic, no person, bank or product in it is real")
        bank = make_sample_bank(end=now())
        write_sample_bank(bank, folder / SAMPLE_FOLDER)
        _write_whole(show, msgspec.json.encode(bank.show_customers))
    if Registry(settings.models_dir).aliases().champion:
        say(f"using the sample bank of {folder} again")
    else:
        _train(folder, settings)
    return decode_json(show.read_bytes(), tuple[str, ...])


def _train(folder: Path, settings: Settings) -> None:
    sample = folder / SAMPLE_FOLDER
    files = Files(
        events=(sample / "events.parquet",),
        items=sample / "items.jsonl",
        customers=sample / "customers.jsonl",
    )
    policy, registry, started = load_policy(settings.policy_file), Registry(settings.models_dir), now()
    say("training on it")
    with progress_bar() as progress:
        parts = read_files(files, settings, policy, as_of=started, progress=progress)
        write_to_store(parts, settings, at=started, progress=progress)
        report = train(
            to_train_on(parts, None),
            policy,
            registry,
            families=FAMILIES,
            seed=1,
            created_at=started,
            name="demo",
            progress=progress,
        )
        settle(
            report,
            registry,
            policy,
            wish=Wish.IF_BETTER,
            seed=1,
            erased_among=lambda customer_ids: {},
        )
    say(report.selection.why)


def _make_keys(settings: Settings) -> Mapping[str, str]:
    with contextlib.closing(open_database(settings.store_url)) as database:
        store = SqlApiKeys(database)
        return {
            role.value: store.create(
                f"demo {role}", ROLE_SCOPES[role], now=now(), tokens=secrets.token_hex
            ).key
            for role in ROLES
        }


def _show(ready: Ready, log: Path) -> None:
    key = ready.keys[Role.FRONTEND.value]
    path = "recommendations/content?limit=3&explain=true"
    say("")
    say(f"Ready: {ready.url}, with its API explained at {ready.url}/docs")
    say(f"Its log: {log}")
    say("")
    say("Keys, by role:")
    for role, text in ready.keys.items():
        say(f"  {role:<9} {text}")
    say("")
    say(f"Customers to look at: {', '.join(ready.customers)}. Two of them, with different tastes:")
    say("")
    for customer in ready.customers[:2]:
        click.echo(f'  curl -H "Authorization: Bearer {key}" "{ready.url}/v1/customers/{customer}/{path}"')
    say("")
    say("Ctrl-C stops everything.")


@contextlib.contextmanager
def _folder(data_dir: Path | None) -> Iterator[Path]:
    if data_dir is not None:
        _make_folder(data_dir)
        yield data_dir.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="recsvc-demo-") as folder:
        yield Path(folder)


def _make_way(ready_file: Path) -> None:
    """Nobody must take the ready file of an earlier run for that of this one."""
    _make_folder(ready_file.parent)
    try:
        ready_file.unlink(missing_ok=True)
    except OSError as error:
        raise ServeError(f"{ready_file} cannot be written ({error.strerror}); name another file") from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ServeError(f"the folder {folder} cannot be made ({error.strerror}); name another") from error


def _write_whole(path: Path, content: bytes) -> None:
    """Nobody ever sees half a file."""
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(content)
    temporary.replace(path)

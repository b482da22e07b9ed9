"""`recsvc demo`: a bank in a minute. Makes the sample, trains on it, serves it, and shows what to ask."""

from __future__ import annotations

import contextlib
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import click
import msgspec

from recsvc.bootstrap import now
from recsvc.bundles.registry import Registry
from recsvc.cli.serving import check_port_is_free
from recsvc.cli.sources import Files, read_files, to_train_on, write_to_store
from recsvc.cli.terminal import progress_bar, say, settings_with
from recsvc.domain.access import ROLE_SCOPES, Role
from recsvc.errors import ServeError
from recsvc.policy import load_policy
from recsvc.sample_bank import make_sample_bank, write_sample_bank
from recsvc.settings import Settings, set_environment
from recsvc.stores.api_keys import SqlApiKeys
from recsvc.stores.database import open_database
from recsvc.training.families import FAMILIES
from recsvc.training.pipeline import train

READY_SECONDS = 60
STOP_SECONDS = 15
SHOW_FILE = "show_customers.json"


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
    signal.signal(signal.SIGTERM, _interrupt)
    check_port_is_free("127.0.0.1", port)
    with _folder(data_dir) as folder:
        # Nothing of an installation beside it is touched: the demo has a store and a shelf of its own.
        set_environment({"DATABASE_URL": "", "RECSVC_AUTH": "on"})
        settings = settings_with(data_dir=folder, models=folder / "models", host="127.0.0.1", port=port)
        customers = _prepare(settings)
        version = Registry(settings.models_dir).aliases().champion or ""
        ready = Ready(f"http://127.0.0.1:{port}", _make_keys(settings), customers, version)
        with _server(ready.url):
            if ready_file:
                _write_whole(ready_file, msgspec.json.encode(ready))
            _show(ready)
            with contextlib.suppress(KeyboardInterrupt):
                signal.pause()
            say("stopping")


def _prepare(settings: Settings) -> tuple[str, ...]:
    """Make the sample, bring it into the store and train, unless that was done before."""
    show = settings.data_dir / SHOW_FILE
    if show.exists() and Registry(settings.models_dir).aliases().champion:
        say(f"using the sample bank of {settings.data_dir} again")
        return msgspec.json.decode(show.read_bytes(), type=tuple[str, ...])
    say("making a sample bank; it is synthetic, no person, bank or product in it is real")
    started = now()
    bank = make_sample_bank(end=started)
    paths = write_sample_bank(bank, settings.data_dir / "sample")
    policy = load_policy(settings.policy_file)
    files = Files(events=(paths.events,), items=paths.items, customers=paths.customers)
    with progress_bar() as progress:
        parts = read_files(files, settings, policy, as_of=started, progress=progress)
        write_to_store(parts, settings, at=started, progress=progress)
        registry = Registry(settings.models_dir)
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
    registry.promote(report.manifest.version)
    say(report.selection.why)
    _write_whole(show, msgspec.json.encode(bank.show_customers))
    return bank.show_customers


def _make_keys(settings: Settings) -> Mapping[str, str]:
    with contextlib.closing(open_database(settings.store_url)) as database:
        store = SqlApiKeys(database)
        return {
            role.value: store.create(
                f"demo {role}", ROLE_SCOPES[role], now=now(), tokens=secrets.token_hex
            ).key
            for role in Role
        }


@contextlib.contextmanager
def _server(url: str) -> Iterator[None]:
    """The web service in a process of its own, so that it never carries what training loaded."""
    process = subprocess.Popen([sys.executable, "-m", "recsvc", "serve"])
    try:
        _wait_until_ready(process, url)
        yield
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServeError("the server ended before it was ready; its reason stands above")
        if _answers(f"{url}/readyz"):
            return
        time.sleep(0.1)
    raise ServeError(f"the server was not ready within {READY_SECONDS} seconds")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _show(ready: Ready) -> None:
    one, other = ready.customers[:2]
    key = ready.keys[Role.FRONTEND.value]
    path = "recommendations/content?limit=3&explain=true"
    say("")
    say(f"Ready: {ready.url} (read {ready.url}/docs)")
    say(f"Customers to look at: {', '.join(ready.customers)}")
    for role, text in ready.keys.items():
        say(f"  {role:<9} {text}")
    say("")
    say("Two customers with different tastes:")
    for customer in (one, other):
        click.echo(f'  curl -H "Authorization: Bearer {key}" "{ready.url}/v1/customers/{customer}/{path}"')
    say("")
    say("Ctrl-C stops everything.")


@contextlib.contextmanager
def _folder(data_dir: Path | None) -> Iterator[Path]:
    if data_dir is not None:
        yield data_dir
        return
    with tempfile.TemporaryDirectory(prefix="recsvc-demo-") as folder:
        yield Path(folder)


def _write_whole(path: Path, content: bytes) -> None:
    """Nobody ever sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(content)
    temporary.replace(path)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt

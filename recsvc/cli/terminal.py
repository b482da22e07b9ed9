"""How every command behaves: one sentence for an error, progress on a terminal, JSON where it reports."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from recsvc import __version__
from recsvc.errors import RecsvcError, SettingsError
from recsvc.settings import Settings, load_settings, set_environment

INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Entry:
    """A command in the list of all: where it stands, as module and name, and its line in `recsvc --help`."""

    place: str
    does: str


# Each command stands in a module that is loaded when it is called: a web worker, which is a copy of the
# process of `recsvc serve`, must not carry what only training needs. Nor must a list of them load them all.
COMMANDS = {
    "demo": Entry("demo:demo", "Make a synthetic bank, train on it, and serve it until Ctrl-C."),
    "serve": Entry("serving:serve", "Serve recommendations over HTTP until interrupted."),
    "worker": Entry("working:worker", "Carry out training runs until interrupted."),
    "train": Entry("training:train", "Train on a history and publish the best model as a bundle."),
    "import": Entry("importing:import_", "Bring items, customers and events from files into the store."),
    "evaluate": Entry("evaluating:evaluate", "Learn from one file and measure on another, or by replay."),
    "models": Entry("models:models", "List, check, promote and roll back model versions."),
    "keys": Entry("keys:keys", "Create, list and revoke API keys."),
    "decisions": Entry("decisions:decisions", "Check and show the log of offer decisions."),
    "replay": Entry("decisions:replay_one", "Make an offer decision again, from what was kept of it."),
    "doctor": Entry("doctor:doctor", "Check settings, policy, store, Redis and models."),
}

stderr = Console(stderr=True, highlight=False, soft_wrap=True)
stdout = Console(highlight=False, soft_wrap=True)


class RecsvcGroup(click.Group):
    """The commands, in the order of their use. Whatever they raise becomes one sentence and an exit code."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name].place.partition(":")
        command: click.Command = getattr(importlib.import_module(f"recsvc.cli.{module}"), attribute)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.does) for name, entry in COMMANDS.items()])

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except SettingsError as error:
            _complain(str(error))
            context.exit(2)
        except RecsvcError as error:
            _complain(str(error))
            context.exit(1)
        except BrokenPipeError:
            # Whoever read us has gone: there is nobody to tell, and nothing to flush at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            context.exit(1)
        except KeyboardInterrupt:
            _complain("interrupted")
            context.exit(INTERRUPTED)
        except Exception as error:
            _complain_of_the_unforeseen(error)
            context.exit(1)


@click.group(
    cls=RecsvcGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="recsvc")
def main() -> None:
    """Personalised content and offers: train on a history, serve slates as JSON.

    \b
    Begin with:  recsvc demo
    """


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """The `--json` of every command that reports."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")(
        command
    )


def models_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """The `--models` of every command that touches bundles."""
    return click.option(
        "--models",
        type=click.Path(path_type=Path),
        help="Folder of bundles.  [default: RECSVC_MODELS_DIR or ./models]",
    )(command)


def settings_with(**overrides: object) -> Settings:
    """The settings, with what the command line says in place of the environment."""
    variables = {
        "models": "RECSVC_MODELS_DIR",
        "host": "RECSVC_HOST",
        "port": "RECSVC_PORT",
        "workers": "RECSVC_WORKERS",
        "data_dir": "RECSVC_DATA_DIR",
    }
    set_environment({variables[name]: value for name, value in overrides.items()})
    return load_settings()


def print_json(report: object) -> None:
    """One JSON object on standard output."""
    click.echo(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())


@contextmanager
def progress_bar() -> Iterator[Callable[[str, float], None]]:
    """A callback that shows stages and shares on a terminal, and nothing elsewhere."""
    if not stderr.is_terminal:
        yield lambda stage, share: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description:<28}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=stderr, transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, share: float) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=1.0)
            bar.update(tasks[stage], completed=share)

        yield show


def table_of(ids: Sequence[str], first: str, *others: str) -> Table:
    """An empty table whose first column holds these ids: they are never cut, for they are typed again."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, no_wrap=True, min_width=max(map(len, ids), default=0))
    for name in others:
        table.add_column(name, overflow="fold")
    return table


def say(text: str) -> None:
    """A line for a person, on standard error."""
    stderr.print(text, markup=False)


def _complain(sentence: str) -> None:
    click.echo(f"recsvc: {sentence}", err=True)


def _complain_of_the_unforeseen(error: Exception) -> None:
    """The system's refusals have a place and a reason; anything else is a fault of ours."""
    with suppress(SettingsError):
        if load_settings().log_level == "debug":
            traceback.print_exception(error)
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        _complain(f"{place}{error.strerror}; check the path, the rights and the space on the disk")
        return
    said = str(error).strip().partition("\n")[0]
    _complain(
        f"unforeseen {type(error).__name__}{f' ({said})' if said else ''}: this is a bug in recsvc; "
        "report it with what RECSVC_LOG_LEVEL=debug shows"
    )

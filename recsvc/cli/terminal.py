"""How every command behaves: one sentence for an error, progress on a terminal, JSON where it reports."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from recsvc import __version__
from recsvc.errors import RecsvcError, SettingsError
from recsvc.settings import Settings, load_settings, set_environment

INTERRUPTED = 130

stderr = Console(stderr=True, highlight=False, soft_wrap=True)
stdout = Console(highlight=False, soft_wrap=True)


class RecsvcGroup(click.Group):
    """A group that turns our errors into one sentence and exit code 1."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except SettingsError as error:
            _complain(str(error))
            context.exit(2)
        except RecsvcError as error:
            _complain(str(error))
            context.exit(1)
        except BrokenPipeError:
            sys.stderr.close()  # Whoever read us has gone; there is nobody to tell.
            context.exit(1)
        except KeyboardInterrupt:
            _complain("interrupted")
            context.exit(INTERRUPTED)


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


def say(text: str) -> None:
    """A line for a person, on standard error."""
    stderr.print(text, markup=False)


def _complain(sentence: str) -> None:
    click.echo(f"recsvc: {sentence}", err=True)

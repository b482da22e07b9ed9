"""`recsvc models`: what is on the shelf, and which bundle serves."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec
from rich.table import Table

from recsvc.bundles.erased import check_none_erased
from recsvc.bundles.manifest import PRIMARY_METRIC, PROPOSED_METRIC, Manifest, PartFacts
from recsvc.bundles.opening import read_manifest
from recsvc.bundles.registry import Aliases, Registry
from recsvc.cli.gate_report import gate_rows
from recsvc.cli.live_report import live_rows
from recsvc.cli.propensity_report import propensity_rows, write_plot
from recsvc.cli.store_facts import tombstones
from recsvc.cli.terminal import (
    json_option,
    models_option,
    print_json,
    say,
    settings_with,
    stdout,
    table_of,
)
from recsvc.errors import BundleError
from recsvc.serving.verification import load_model


@click.group()
def models() -> None:
    """List, check, promote and roll back model versions."""


@models.command("list", epilog="\b\nExample:\n  recsvc models list\n")
@models_option
@json_option
def list_(models: Path | None, as_json: bool) -> None:
    """List published versions, newest first."""
    registry = Registry(settings_with(models=models).models_dir)
    aliases = registry.aliases()
    shelved = list(registry.shelved())
    if as_json:
        rows = [
            {
                "version": one.version,
                "alias": _alias_of(one.version, aliases),
                "family": one.manifest.family if one.manifest else None,
                "created_at": one.manifest.created_at if one.manifest else None,
                "problem": one.problem,
            }
            for one in shelved
        ]
        print_json({"models": rows, "champion": aliases.champion, "challenger": aliases.challenger})
        return
    if not shelved:
        say(f"{registry.folder} holds no bundles yet; make one with recsvc train")
        return
    table = table_of(
        [one.version for one in shelved], "version", "alias", "customers", "items", PRIMARY_METRIC
    )
    for one in shelved:
        facts = _facts(one.manifest) if one.manifest else ("unreadable",)
        table.add_row(one.version, _alias_of(one.version, aliases) or "", *facts)
    stdout.print(table)
    for one in shelved:
        if one.problem:
            say(one.problem)


@models.command(epilog="\b\nExample:\n  recsvc models show champion --verify\n")
@click.argument("version")
@click.option("--verify", is_flag=True, help="Do the full check that a server does before it serves.")
@click.option(
    "--reliability-plot",
    "plot",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw what came of predicted propensities to this file (SVG).",
)
@models_option
@json_option
def show(version: str, verify: bool, plot: Path | None, models: Path | None, as_json: bool) -> None:
    """Show the manifest of a version, or of an alias.

    With it comes what the promotion gate found.
    """
    registry = Registry(settings_with(models=models).models_dir)
    path = registry.path_of(_resolve(version, registry.aliases()))
    manifest = load_model(path).bundle.manifest if verify else read_manifest(path)
    gate = registry.report_of(manifest.version)
    if plot is not None:
        write_plot(manifest, plot)
    if as_json:
        print_json({**msgspec.to_builtins(manifest), "gate": gate})
        return
    sheet = _sheet(manifest, _alias_of(manifest.version, registry.aliases()))
    for row in gate_rows(gate):
        sheet.add_row(*row)
    stdout.print(sheet)
    if verify:
        say("verified: every checksum, shape, value and golden query is as at training")


@models.command(epilog="\b\nExample:\n  recsvc models promote 20261122T101500Z-als-3f9a1c\n")
@click.argument("version")
@models_option
@json_option
def promote(version: str, models: Path | None, as_json: bool) -> None:
    """Point champion at a version, after the full check. Servers follow within seconds.

    The promotion gate is not asked again. A version that knows a customer who was erased since is refused.
    """
    settings = settings_with(models=models)
    registry = Registry(settings.models_dir)
    version = _resolve(version, registry.aliases())
    model = load_model(registry.path_of(version))
    with tombstones(settings) as erased_among:
        check_none_erased(model.bundle, erased_among)
    _report(registry.promote(version), as_json)


@models.command(epilog="\b\nExample:\n  recsvc models rollback\n")
@models_option
@json_option
def rollback(models: Path | None, as_json: bool) -> None:
    """Point champion back at the version before. One that fails the full check is passed over."""
    registry = Registry(settings_with(models=models).models_dir)

    def is_fit(version: str) -> bool:
        try:
            load_model(registry.path_of(version))
        except BundleError as error:
            say(f"passed over {version}: {error}")
            return False
        return True

    _report(registry.roll_back(is_fit), as_json)


def _report(aliases: Aliases, as_json: bool) -> None:
    if as_json:
        print_json(aliases)
    else:
        say(f"champion is {aliases.champion}")


def _resolve(version: str, aliases: Aliases) -> str:
    named = {"champion": aliases.champion, "challenger": aliases.challenger}
    return named.get(version) or version


def _alias_of(version: str, aliases: Aliases) -> str | None:
    named = {aliases.champion: "champion", aliases.challenger: "challenger"}
    return named.get(version)


def _facts(manifest: Manifest) -> tuple[str, ...]:
    rows = manifest.rows
    scores = [metrics[PRIMARY_METRIC].value for metrics in manifest.metrics.values()]
    best = f"{max(scores):.4f}" if scores else ""
    return f"{rows.customers:,}", f"{rows.items:,}", best


def _in_short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _part_row(part: PartFacts) -> tuple[str, str]:
    settings = ", ".join(f"{name} {_in_short(value)}" for name, value in part.parameters.items())
    weight = f"weight {_in_short(part.weight)}"
    return part.family, f"{weight}; {settings}" if settings else weight


def _sheet(manifest: Manifest, alias: str | None) -> Table:
    table = Table(show_header=False, title=manifest.version, title_justify="left", title_style="bold")
    window = manifest.data_window
    table.add_row("alias", alias or "")
    table.add_row("name", manifest.name)
    table.add_row("family", manifest.family)
    for part in manifest.parts:
        table.add_row(*_part_row(part))
    table.add_row("trained", f"{manifest.created_at:%Y-%m-%d %H:%M} UTC, seed {manifest.seed}")
    since, until = (
        f"{moment:%Y-%m-%d %H:%M} UTC" if moment else "no times" for moment in (window.since, window.until)
    )
    table.add_row("data", f"{since} to {until}")
    table.add_row("customers, items", f"{manifest.rows.customers:,}, {manifest.rows.items:,}")
    table.add_row("judged on", manifest.holdout)
    for name, metrics in manifest.metrics.items():
        one = metrics[PRIMARY_METRIC]
        table.add_row(f"{PRIMARY_METRIC} {name}", f"{one.value:.4f} ({one.low:.4f} to {one.high:.4f})")
    proposed = manifest.lists.get(manifest.family, {}).get(PROPOSED_METRIC)
    if proposed is not None:
        table.add_row("shortlist", f"holds {proposed:.4f} of the exact first 20")
    for row in (*live_rows(manifest.live), *propensity_rows(manifest.propensity)):
        table.add_row(*row)
    return table

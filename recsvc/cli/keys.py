"""`recsvc keys`: who may call the API."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import click

from recsvc.cli.terminal import json_option, print_json, say, settings_with, stdout, table_of
from recsvc.clock_and_ids import now
from recsvc.domain.access import ROLE_SCOPES, Role, Scope
from recsvc.errors import NotFoundError
from recsvc.stores.api_keys import SqlApiKeys
from recsvc.stores.database import open_database


@click.group()
def keys() -> None:
    """Create, list and revoke API keys."""


@keys.command(epilog="\b\nExample:\n  recsvc keys create --role frontend\n")
@click.option("--role", type=click.Choice([role.value for role in Role]), help="A usual bundle of scopes.")
@click.option("--scopes", help=f"Scopes with commas: {', '.join(Scope)}.")
@click.option("--label", default="", help="A name to remember the key by.")
@json_option
def create(role: str | None, scopes: str | None, label: str, as_json: bool) -> None:
    """Create a key. It is shown this once: only its hash is stored."""
    if (role is None) == (scopes is None):
        raise click.UsageError("give either --role or --scopes")
    wanted = ROLE_SCOPES[Role(role)] if role else _parse(scopes or "")
    with _store() as store:
        made = store.create(label or role or "custom", wanted, now=now(), tokens=secrets.token_hex)
    if as_json:
        print_json({"key_id": made.key_id, "key": made.key, "scopes": sorted(made.scopes)})
    else:
        click.echo(made.key)
        say(f"key {made.key_id} may: {' '.join(sorted(made.scopes))}; keep it, it is not shown again")


@keys.command("list", epilog="\b\nExample:\n  recsvc keys list --json\n")
@json_option
def list_(as_json: bool) -> None:
    """List keys, never their text."""
    with _store() as store:
        found = list(store.each())
    if as_json:
        rows = [
            {
                "key_id": key.key_id,
                "label": key.label,
                "scopes": sorted(key.scopes),
                "created_at": key.created_at,
                "revoked_at": key.revoked_at,
            }
            for key in found
        ]
        print_json({"keys": rows})
        return
    if not found:
        say("there are no keys yet; make one with recsvc keys create --role frontend")
        return
    table = table_of([key.key_id for key in found], "key id", "label", "may", "created", "revoked")
    for key in found:
        revoked = f"{key.revoked_at:%Y-%m-%d}" if key.revoked_at else ""
        table.add_row(key.key_id, key.label, _in_short(key.scopes), f"{key.created_at:%Y-%m-%d}", revoked)
    stdout.print(table)


@keys.command(epilog="\b\nExample:\n  recsvc keys revoke 3f9a1c0b5d2e4f60\n")
@click.argument("key_id")
@json_option
def revoke(key_id: str, as_json: bool) -> None:
    """Revoke a key. Every worker refuses it within 5 seconds."""
    with _store() as store:
        if not store.revoke(key_id, now()):
            raise NotFoundError(f"there is no key {key_id} to revoke; see recsvc keys list")
    if as_json:
        print_json({"key_id": key_id, "revoked": True})
    else:
        say(f"key {key_id} is revoked")


@contextmanager
def _store() -> Iterator[SqlApiKeys]:
    database = open_database(settings_with().store_url)
    try:
        yield SqlApiKeys(database)
    finally:
        database.close()


def _in_short(scopes: frozenset[Scope]) -> str:
    role = next((role for role, usual in ROLE_SCOPES.items() if usual == scopes), None)
    return f"all of {role}" if role else " ".join(sorted(scopes))


def _parse(scopes: str) -> frozenset[Scope]:
    names = [name.strip() for name in scopes.split(",") if name.strip()]
    unknown = [name for name in names if name not in set(Scope)]
    if unknown or not names:
        wrong = f"{unknown[0]!r} is no scope" if unknown else "no scope is named"
        raise click.BadParameter(f"{wrong}; the scopes are {', '.join(Scope)}", param_hint="--scopes")
    return frozenset(Scope(name) for name in names)

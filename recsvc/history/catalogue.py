"""Read items and customers from files. In: a path and a mapping. Out: domain values, and what was rejected.

JSON lines without a table in the mapping hold the values as recsvc itself writes them. With a table, and
for every other kind of file, columns become fields: the table's, then our own names, then well-known ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields as fields_of
from functools import partial
from pathlib import Path
from typing import get_args

from recsvc.domain.conditions import FieldType
from recsvc.domain.customers import Customer
from recsvc.domain.items import Item
from recsvc.domain.offer_checks import offer_faults
from recsvc.errors import MappingError
from recsvc.history.cells import Cells
from recsvc.history.columns import require_column
from recsvc.history.mapping import CustomerMapping, FileMapping, ItemField, ItemMapping
from recsvc.history.readers import DEFAULT_REJECT_LIMIT
from recsvc.history.records import BadRowError, Fields, Recipe, read_records, unread_fields
from recsvc.history.rejects import RejectionReport
from recsvc.history.sources import Source, is_json_lines, open_source

_WELL_KNOWN = {
    "item_id": ("id", "item", "itemId", "movieId", "contentId", "offer_id", "article_id", "product_id"),
    "customer_id": ("id", "customer", "customerId", "user_id", "userId", "personId", "client_id"),
}
NO_FIELDS: Mapping[str, FieldType] = {}
_TERMS = ("value", "currency", "priority", "weight", "risk_class")
_ITEM_FIELDS: tuple[str, ...] = get_args(ItemField)


def read_items(
    path: Path,
    mapping: FileMapping,
    *,
    rejects_path: Path,
    reject_limit: float = DEFAULT_REJECT_LIMIT,
    fields: Mapping[str, FieldType] = NO_FIELDS,
) -> tuple[tuple[Item, ...], RejectionReport]:
    """The catalogue of a file, in its order. `fields` are what the rules of offers may ask.

    Raises:
        SourceError: the file is missing, empty, of an unknown kind or unreadable.
        MappingError: the mapping does not fit the file.
        TooManyRejectsError: the ratio of bad rows is over `reject_limit`, or no row was good.
    """
    rules = mapping.items or ItemMapping()
    faults_of = partial(offer_faults, fields=fields)
    source = open_source(path, separator=rules.separator)
    notes = list(unread_fields(source, _names(Item)) if mapping.items is None else ())
    if mapping.items is None and is_json_lines(path):
        recipe = Recipe(Item, "item_id", lambda row: row, faults_of)
    else:
        columns = _columns(rules.columns.items(), _ITEM_FIELDS, "item_id", "items", source, notes)
        _require_all(source, "items", rules.attributes, rules.missing, rules.dates)
        cells = Cells(rules.missing, rules.dates)
        recipe = Recipe(Item, "item_id", lambda row: _item(row, columns, rules, cells), faults_of)
    return read_records(
        source, recipe, rejects_path=rejects_path, reject_limit=reject_limit, notes=tuple(notes)
    )


def read_customers(
    path: Path,
    mapping: FileMapping,
    *,
    rejects_path: Path,
    reject_limit: float = DEFAULT_REJECT_LIMIT,
) -> tuple[tuple[Customer, ...], RejectionReport]:
    """The customers of a file, in its order. Attributes that are not known are absent.

    Raises:
        SourceError: the file is missing, empty, of an unknown kind or unreadable.
        MappingError: the mapping does not fit the file.
        TooManyRejectsError: the ratio of bad rows is over `reject_limit`, or no row was good.
    """
    rules = mapping.customers or CustomerMapping()
    source = open_source(path, separator=rules.separator)
    notes = list(unread_fields(source, _names(Customer)) if mapping.customers is None else ())
    if mapping.customers is None and is_json_lines(path):
        recipe = Recipe(Customer, "customer_id", lambda row: row)
    else:
        known = ("customer_id", "locale")
        columns = _columns(rules.columns.items(), known, "customer_id", "customers", source, notes)
        _require_all(source, "customers", rules.attributes, rules.missing, rules.dates)
        cells = Cells(rules.missing, rules.dates)
        recipe = Recipe(Customer, "customer_id", lambda row: _customer(row, columns, rules, cells))
    return read_records(
        source, recipe, rejects_path=rejects_path, reject_limit=reject_limit, notes=tuple(notes)
    )


def _item(row: Fields, columns: Mapping[str, str], rules: ItemMapping, cells: Cells) -> Fields:
    """The row in the JSON form of an Item."""
    same = rules.constants
    given = {field: cells.value(row, column) for field, column in columns.items()}
    item: dict[str, object] = {"kind": same.kind, "category": same.category, "status": same.status}
    item |= {field: given[field] for field in ("category", "kind", "status", "url") if given.get(field)}
    item |= {field: given.get(field) for field in ("published_at", "valid_from", "valid_to")}
    item["item_id"] = cells.identifier(row, columns["item_id"], "item_id")
    item["title"] = cells.by_locale(given.get("title"), rules.locale)
    item["summary"] = cells.by_locale(given.get("summary"), rules.locale)
    item["tags"] = cells.texts(given.get("tags"), rules.lists.get("tags"))
    item["channels"] = _channels(cells.texts(given.get("channels"), rules.lists.get("channels")), rules)
    item["attributes"] = cells.attributes(row, rules.attributes)
    if item["kind"] == "offer":
        item["terms"] = _terms(given, rules, cells)
    return _without_absent(item)


def _terms(given: Fields, rules: ItemMapping, cells: Cells) -> Fields | None:
    terms = {field: given[field] for field in _TERMS if given.get(field) is not None}
    terms |= {
        name: cells.number(terms[name]) for name in ("priority", "weight", "risk_class") if name in terms
    }
    if "value" in terms:
        terms["value"] = str(terms["value"])
    if rules.constants.currency is not None:
        terms.setdefault("currency", rules.constants.currency)
    return terms or None


def _channels(named: list[str], rules: ItemMapping) -> list[str]:
    channels = [rules.channels.get(name, name) for name in named]
    kept = list(dict.fromkeys(filter(None, channels)))
    if named and not kept:
        # No channel means every channel: dropping the last one would show the item everywhere.
        raise BadRowError("no_channel", "the mapping drops all channels of the item; map one of them")
    return kept


def _customer(row: Fields, columns: Mapping[str, str], rules: CustomerMapping, cells: Cells) -> Fields:
    """The row in the JSON form of a Customer."""
    given = cells.value(row, columns["locale"]) if "locale" in columns else None
    consents = rules.consents
    customer: dict[str, object] = {
        "customer_id": cells.identifier(row, columns["customer_id"], "customer_id"),
        "locale": given or rules.constants.locale,
        "attributes": cells.attributes(row, rules.attributes),
    }
    if consents is not None:
        customer["consents"] = {
            "personalisation": consents.personalisation,
            "marketing": list(consents.marketing),
        }
    return _without_absent(customer)


def _columns(
    mapped: Iterable[tuple[str, str]],
    known: tuple[str, ...],
    id_field: str,
    table: str,
    source: Source,
    notes: list[str],
) -> Mapping[str, str]:
    columns = dict(mapped)
    for field, column in columns.items():
        require_column(column, source, f"{table}.columns.{field}")
    for field in known:
        if field not in columns and field in source.schema:
            columns[field] = field
    found = next((name for name in _WELL_KNOWN[id_field] if name in source.schema), None)
    if id_field not in columns and found:
        columns[id_field] = found
        notes.append(f"{id_field} was read from the column '{found}'")
    if id_field not in columns:
        raise MappingError(
            f"no column of {source.path} gives the {id_field} (its columns: {', '.join(source.schema)}); "
            f'write a mapping with [{table}.columns] {id_field} = "…"'
        )
    return columns


def _require_all(
    source: Source, table: str, attributes: Mapping[str, str], missing: Fields, dates: Fields
) -> None:
    for name, column in attributes.items():
        require_column(column, source, f"{table}.attributes.{name}")
    for where, columns in (("missing", missing), ("dates", dates)):
        for column in columns:
            require_column(column, source, f"{table}.{where}")


def _names(kind: type[Item] | type[Customer]) -> tuple[str, ...]:
    return tuple(field.name for field in fields_of(kind))


def _without_absent(fields: Fields) -> Fields:
    return {name: value for name, value in fields.items() if value is not None}

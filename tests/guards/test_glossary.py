"""One word for one thing: identifiers of the package use the glossary's words, not their synonyms."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

SAY_INSTEAD = {
    "user": "customer",
    "users": "customers",
    "uid": "customer_id",
    "userid": "customer_id or customer_row",
    "itemid": "item_id or item_row",
    "idx": "customer_row, item_row or position",
    "recs": "slate",
    "blacklist": "eligibility, or suppressed",
    "whitelist": "eligibility, or allowed",
    "promo": "offer",
    "promos": "offers",
    "campaign": "offer",
    "widget": "placement",
    "embedding": "factors",
    "embeddings": "factors",
    "latents": "factors",
    "backup": "fallback rung",
    "uplift": "lift",
    "pscore": "propensity",
    "artifact": "bundle",
    "pickle": "bundle",
    "deploy": "promote",
    "retrain": "train",
}

GIVEN = {"RECS_READ"}  # The scope recs:read, which is part of the API.


def words_of(identifier: str) -> set[str]:
    """The words of a name, in snake_case or CamelCase."""
    return set(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", identifier).lower().split("_"))


def names_given_in(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Names that the code gives: what a library calls its own parameters and attributes is its affair."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.lineno, node.name
            case ast.arg():
                yield node.lineno, node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.lineno, node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.lineno, node.attr
            case ast.alias(asname=str(name)):
                yield 0, name


def test_identifiers_use_the_words_of_the_glossary(modules: Mapping[str, ast.Module]) -> None:
    found = [
        f"{path}:{line}: {name}: say {SAY_INSTEAD[word]}, not {word}"
        for path, tree in modules.items()
        for line, name in names_given_in(tree)
        if name not in GIVEN
        for word in words_of(name) & SAY_INSTEAD.keys()
    ]
    assert found == []


def test_modules_use_the_words_of_the_glossary(modules: Mapping[str, ast.Module]) -> None:
    words = {path: words_of(path.removesuffix(".py").replace("/", "_")) for path in modules}
    assert {path: found for path, given in words.items() if (found := given & SAY_INSTEAD.keys())} == {}

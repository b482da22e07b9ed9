"""A setting is documented, and the environment has one reader."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

from recsvc.settings import setting_docs

READERS = {"environ", "environb", "getenv", "getenvb"}


def reads_the_environment(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id="os"), attr=name):
            return name in READERS
        case ast.ImportFrom(module="os", names=names):
            return any(alias.name in READERS for alias in names)
        case _:
            return False


def test_every_setting_is_in_the_readme_with_its_default_and_meaning(root: Path) -> None:
    readme = (root / "README.md").read_text("utf-8")
    rows = [
        f"| `{doc.variable}` | {f'`{doc.default}` ' * bool(doc.default)}| {doc.help} |"
        for doc in setting_docs()
    ]
    assert [row for row in rows if row not in readme] == []


def test_only_the_settings_module_reads_the_environment(modules: Mapping[str, ast.Module]) -> None:
    readers = {path for path, tree in modules.items() if any(map(reads_the_environment, ast.walk(tree)))}
    assert readers == {"recsvc/settings.py"}

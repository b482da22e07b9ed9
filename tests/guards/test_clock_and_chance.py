"""The clock and randomness are arguments: only the rooms that build and start things may reach for them."""

from __future__ import annotations

import ast
from collections.abc import Mapping

MAY_REACH = (
    *("recsvc/bootstrap.py", "recsvc/cli/", "recsvc/stores/redis_server.py"),
    "recsvc/clock_and_ids.py",  # The functions that these hand on: to import them is to reach for them.
)

# Timers such as time.monotonic measure how long something took and are not the clock.
CLOCK_AND_CHANCE = {
    *("datetime.now", "datetime.utcnow", "datetime.today", "date.today"),
    *("time.time", "time.time_ns", "time.localtime", "time.gmtime"),
    *("uuid.uuid1", "uuid.uuid4", "os.urandom"),
}
# A generator that is an argument, or made from a seed, is no chance; a global or unseeded one is.
GENERATORS = {"Random", "Generator", "SeedSequence", "PCG64", "default_rng"}


def is_out_of_bounds(node: ast.AST) -> bool:
    """Whether the code reaches for the clock or for chance."""
    match node:
        case ast.Import(names=names):
            return any(alias.name in ("secrets", "recsvc.clock_and_ids") for alias in names)
        case ast.ImportFrom(module="secrets" | "recsvc.clock_and_ids"):
            return True
        case ast.ImportFrom(module="recsvc", names=names):
            return any(alias.name == "clock_and_ids" for alias in names)
        case ast.ImportFrom(module="random" | "numpy.random", names=names):
            return any(alias.name not in GENERATORS for alias in names)
        case ast.ImportFrom(module=module, names=names):
            return any(f"{module}.{alias.name}" in CLOCK_AND_CHANCE for alias in names)
        case ast.Attribute(value=ast.Name(id="random") | ast.Attribute(attr="random"), attr=name):
            return name not in GENERATORS
        case ast.Attribute(value=ast.Name(id=owner) | ast.Attribute(attr=owner), attr=name):
            return f"{owner}.{name}" in CLOCK_AND_CHANCE
        case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name), args=[], keywords=[]):
            return name in GENERATORS
        case _:
            return False


def test_the_clock_and_chance_are_arguments(modules: Mapping[str, ast.Module]) -> None:
    found = [
        f"{path}:{getattr(node, 'lineno', 0)}: {ast.unparse(node)}"
        for path, tree in modules.items()
        if not path.startswith(MAY_REACH)
        for node in ast.walk(tree)
        if is_out_of_bounds(node)
    ]
    assert found == []

"""The command line: one module per command, and the same manners for all of them."""

from __future__ import annotations

from recsvc.cli.demo import demo
from recsvc.cli.doctor import doctor
from recsvc.cli.evaluating import evaluate
from recsvc.cli.importing import import_
from recsvc.cli.keys import keys
from recsvc.cli.models import models
from recsvc.cli.serving import serve
from recsvc.cli.terminal import main
from recsvc.cli.training import train

for command in (demo, serve, train, import_, evaluate, models, keys, doctor):
    main.add_command(command)

__all__ = ["main"]

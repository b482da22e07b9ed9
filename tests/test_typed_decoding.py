"""Threads that read the first values of a type at the same time all get them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import recsvc

# With a decoder that each thread makes by itself, nearly every run of this ends by a segmentation fault.
READING = """
import importlib, sys, threading
from recsvc.domain import customers
from recsvc.typed_decoding import decode_json
sys.setswitchinterval(1e-6)
read = []

def read_first(kind, together):
    together.wait()
    read.append(decode_json(b'{"customer_id": "c1"}', kind).customer_id)

for _ in range(30):
    kind = importlib.reload(customers).Customer
    together = threading.Barrier(8)
    threads = [threading.Thread(target=read_first, args=(kind, together)) for _ in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
print(read == ["c1"] * 240)
"""


def test_threads_may_read_the_first_values_of_a_type_at_the_same_time() -> None:
    done = subprocess.run([sys.executable, "-c", READING], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["True"]), done.stderr


def test_nobody_has_msgspec_find_out_by_itself_what_a_type_is_made_of() -> None:
    home = Path(recsvc.__file__).parent
    texts = {path.relative_to(home): path.read_text() for path in home.rglob("*.py")}
    finders = [
        path
        for path, text in texts.items()
        if any(".decode(" in line and "type=" in line for line in text.splitlines())
    ]
    assert finders == []

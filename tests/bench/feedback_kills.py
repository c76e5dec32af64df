"""Kills of the labelling page: what was acknowledged, and what of it is still there.

python tests/bench/feedback_kills.py [--kills 50]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from labelling import killed

from llmcycle.feedback.items import Item, save

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        items = [Item(f"question {n}", (f"one {n}", f"two {n}"), ("a", "b")) for n in range(20_000)]
        save(items, Path(folder) / "items.jsonl")
        print(killed(Path(folder), options.kills))

"""Streams a synthetic corpus: memory, tokens a second, and going on exactly from the middle.

python tests/bench/stream.py --megabytes 500 --workers 0
python -m pytest -m bench tests/bench/stream.py -s
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from llmcycle.data.corpus import Corpus, Exact, Length
from llmcycle.data.corpus.stream import StreamedBatches
from llmcycle.data.encode import Packed
from llmcycle.pretrain import ByteLevelBPE
from llmcycle.quiet import hush

LENGTH, BATCH, POINTS, AFTER = 1024, 8, 5, 16  # tokens, blocks, interruptions, batches compared after each
GIGABYTE = 1e9


def write(path: Path, megabytes: float, seed: int = 0) -> int:
    """JSON lines of made-up words with the frequencies of language; the number of documents."""
    random = np.random.default_rng(seed)
    syllables = [a + b for a in "bcdfghklmnprstvw" for b in ("a", "e", "i", "o", "u", "an", "er", "is")]
    vocabulary = np.array(["".join(random.choice(syllables, random.integers(1, 5))) for _ in range(50_000)], object)
    shares = 1 / np.arange(1, len(vocabulary) + 1)
    documents, room = 0, megabytes * 1e6
    with path.open("w") as file:
        while room > 0:
            chosen = vocabulary[random.choice(len(vocabulary), 200_000, p=shares / shares.sum())]
            for words in np.split(chosen, np.sort(random.integers(1, len(chosen), 600))):
                room -= file.write(json.dumps({"text": " ".join(words)}) + "\n")
                documents += 1
    return documents


class Memory(threading.Thread):
    """The largest memory of this process and its workers together, pages that they share counted once, in bytes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak, self.ended = 0, threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.5):
            try:
                family = [psutil.Process(), *psutil.Process().children(recursive=True)]
                self.peak = max(self.peak, sum(one.memory_full_info().pss for one in family))
            except psutil.NoSuchProcess:
                continue  # a worker has ended meanwhile: look again

    def __enter__(self) -> Memory:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.join()


def batches(path: Path, workers: int, tokenizer: Any) -> StreamedBatches:
    filters = {"length": Length(1), "exact": Exact()}
    corpus = Corpus({"made up": str(path)}, filters, holdout=0.001)
    return StreamedBatches(corpus, Packed(LENGTH), tokenizer, BATCH, BATCH, seed=0, workers=workers, sample=5_000_000)


def digests(data: StreamedBatches) -> Iterator[str]:
    """One of each training batch, which is consumed."""
    for batch in data.train_dataloader():
        data.consume(batch)
        yield hashlib.sha256(batch["input_ids"].numpy().tobytes()).hexdigest()


def measure(path: Path, workers: int) -> dict[str, float]:
    """One epoch, and `POINTS` interruptions of it; seconds, bytes, tokens."""
    with Memory() as memory:
        start = time.perf_counter()
        data = batches(path, workers, ByteLevelBPE(8192))
        ready = time.perf_counter()
        tokens, states, seen = 0, dict[int, str](), list[str]()
        total = path.stat().st_size / 6 / LENGTH / BATCH  # about so many batches an epoch
        for number, digest in enumerate(digests(data)):
            seen.append(digest)
            tokens += BATCH * LENGTH
            if number % int(total / POINTS) == int(total / POINTS) // 2:
                states[number + 1] = json.dumps(data.state_dict())
            if min(position.epoch for position in data.train.positions) > 0:
                break
        end = time.perf_counter()
    resumed = []
    for number, state in states.items():
        again = batches(path, workers, data.tokenizer)
        assert again.rows.survey
        before = time.perf_counter()
        again.load_state_dict(json.loads(state))
        expected = seen[number : number + AFTER]
        first = digests(again)
        assert [next(first), *islice(first, len(expected) - 1)] == expected, f"not the same after batch {number}"
        resumed.append(time.perf_counter() - before)
    return {
        "prepare_s": ready - start,
        "epoch_s": end - ready,
        "tokens": tokens,
        "tokens_per_s": tokens / (end - ready),
        "peak_bytes": memory.peak,
        "resumed": len(resumed),
        "resume_s": max(resumed),
    }


def show(path: Path, megabytes: float, workers: int) -> dict[str, float]:
    documents = write(path, megabytes)
    found = measure(path, workers)
    print(
        f"{path.stat().st_size / 1e6:.0f} MB, {documents} documents, {workers} workers: survey and tokenizer "
        f"{found['prepare_s']:.0f} s; {found['tokens'] / 1e6:.1f} M tokens in {found['epoch_s']:.0f} s = "
        f"{found['tokens_per_s']:,.0f} tokens/s; at most {found['peak_bytes'] / GIGABYTE:.2f} GB; exact at "
        f"{found['resumed']:.0f} points of {found['resumed']:.0f}, {AFTER} batches each, in {found['resume_s']:.1f} s"
    )
    return found


@pytest.mark.bench
@pytest.mark.parametrize("workers", [0, 2])
def test_half_a_gigabyte_streams_in_little_memory_and_goes_on_exactly(tmp_path: Path, workers: int) -> None:
    assert show(tmp_path / "corpus.jsonl", 500, workers)["peak_bytes"] < 1.2 * GIGABYTE


if __name__ == "__main__":
    hush()
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--megabytes", type=float, default=500)
    arguments.add_argument("--workers", type=int, default=0)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        show(Path(folder) / "corpus.jsonl", given.megabytes, given.workers)

"""A stream of blocks: every document once an epoch whoever reads, and exactly on from where it was left."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any

import pytest
from datasets import Dataset
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerFast

from llmcycle.data.chat import IGNORE, encode_document
from llmcycle.data.corpus import Corpus, Exact
from llmcycle.data.corpus.lanes import Lanes, Place
from llmcycle.data.corpus.stream import StreamedBatches, TokenStream
from llmcycle.data.encode import Packed

LENGTH = 16


def texts(count: int, seed: int = 0) -> list[str]:
    """Different documents of 1 to 60 characters."""
    random = Random(seed)
    return [f"{seed}.{i}" + "".join(random.choices("abcde ", k=random.randrange(60))).rstrip() for i in range(count)]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    """A source of every format, and all their documents."""
    parts = [texts(count, seed) for seed, count in enumerate((150, 60, 50, 30))]
    (tmp_path / "a.txt").write_text("\n".join(parts[0]))
    (tmp_path / "b.jsonl").write_text("".join(json.dumps({"body": text}) + "\n" for text in parts[1]))
    packed = "".join(json.dumps({"text": text}) + "\n" for text in parts[2])
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(packed.encode()))
    Dataset.from_dict({"text": parts[3]}).to_parquet(str(tmp_path / "d.parquet"), batch_size=20)
    given = {name[0]: str(tmp_path / name) for name in ("a.txt", "c.jsonl.gz", "d.parquet")}
    return {"sources": {**given, "b": {"path": str(tmp_path / "b.jsonl"), "text": "body"}}, "texts": [*chain(*parts)]}


def stream(sources: Any, tokenizer: Any, seed: int = 0, lanes: int = 4, window: int = 400, **options: Any) -> Any:
    corpus = options.pop("corpus", None) or Corpus(sources, holdout=0)
    options = {"epochs": 1, "length": LENGTH, "rank": 0, "world": 1} | options
    return TokenStream(Lanes(corpus, lanes, window, seed), tokenizer, **options)


def drawn(loader: Any) -> list[dict[str, Any]]:
    """Examples of a loader, one after another."""
    return [example for batch in loader for example in batch]


def loader(stream: TokenStream, workers: int, batch_size: int = 3) -> Any:
    return DataLoader(stream, batch_size=batch_size, collate_fn=list, num_workers=workers)


def documents(examples: list[dict[str, Any]], tokenizer: Any) -> list[str]:
    """The documents that the blocks are made of; those that go on in a later block of their lane are put together."""
    lanes: dict[int, list[int]] = {}
    for example in examples:
        ids, starts = example["input_ids"], example["position_ids"]
        begun = lanes.setdefault(example["position"][0], [])
        for place, token in enumerate(ids):
            repeated = starts[place] == 0 and begun and begun[-1] == token and token != tokenizer.eos_token_id
            begun += [] if repeated and place == 0 else [token]
    joined = [tokenizer.decode(ids) for ids in lanes.values()]
    return [text for lane in joined for text in lane.split(tokenizer.eos_token) if text]


@pytest.mark.parametrize(("world", "workers"), [(1, 0), (2, 0), (1, 2), (2, 2)])
def test_every_document_is_seen_once_an_epoch_over_all_processes_and_workers(
    files: dict[str, Any], tokenizer: PreTrainedTokenizerFast, world: int, workers: int
) -> None:
    seen = []
    for rank in range(world):
        examples = drawn(loader(stream(files["sources"], tokenizer, rank=rank, world=world), workers))
        seen += documents(examples, tokenizer)
    assert Counter(seen) == Counter(files["texts"])


def test_every_token_but_the_first_of_a_document_is_predicted_once(
    files: dict[str, Any], tokenizer: PreTrainedTokenizerFast
) -> None:
    examples = list(stream(files["sources"], tokenizer))
    asked = Counter(label for example in examples for label in example["labels"] if label != IGNORE)
    assert asked == Counter(i for text in files["texts"] for i in encode_document(tokenizer, text)[1:])


def test_blocks_are_full_and_positions_begin_anew_with_each_piece(
    files: dict[str, Any], tokenizer: PreTrainedTokenizerFast
) -> None:
    examples = list(stream(files["sources"], tokenizer))
    sizes = Counter(len(example["input_ids"]) for example in examples)
    assert sizes[LENGTH] + sizes[LENGTH - 1] >= len(examples) - 4, "only the last block of a lane may be shorter"
    for example in examples:
        starts = [place for place, position in enumerate(example["position_ids"]) if position == 0]
        assert starts[0] == 0
        assert all(example["labels"][place] == IGNORE for place in starts)
        latest = [max(start for start in starts if start <= place) for place in range(len(example["input_ids"]))]
        assert example["position_ids"] == [place - start for place, start in enumerate(latest)]


def test_documents_may_see_each_other(files: dict[str, Any], tokenizer: PreTrainedTokenizerFast) -> None:
    for example in stream(files["sources"], tokenizer, apart=False):
        assert example["position_ids"] == list(range(len(example["input_ids"])))
        assert example["labels"] == [IGNORE, *example["input_ids"][1:]]


@pytest.mark.parametrize("workers", [0, 2])
def test_it_goes_on_exactly_where_it_was_left(
    files: dict[str, Any], tokenizer: PreTrainedTokenizerFast, workers: int
) -> None:
    corpus = Corpus(files["sources"], holdout=0)
    whole = drawn(loader(stream(None, tokenizer, corpus=corpus, epochs=2), workers))
    first = len(list(stream(None, tokenizer, corpus=corpus)))
    for stop in (3, first - 3, first + 30):
        left = stream(None, tokenizer, corpus=corpus, epochs=2)
        for example, _ in zip(whole, range(stop // 3 * 3), strict=False):
            left.positions[example["position"][0]] = type(left.positions[0])(*example["position"][1:])
        state = json.loads(json.dumps({"positions": left.positions, "stream": left.fingerprint()}))
        again = stream(None, tokenizer, corpus=Corpus(files["sources"], holdout=0), epochs=2)
        again.load_state_dict(state)
        assert drawn(loader(again, workers)) == whole[stop // 3 * 3 :]


def test_its_own_state_is_that_after_the_last_example(
    files: dict[str, Any], tokenizer: PreTrainedTokenizerFast
) -> None:
    left = stream(files["sources"], tokenizer)
    examples = iter(left)
    for _ in range(100):
        next(examples)
    again = stream(files["sources"], tokenizer)
    again.load_state_dict(json.loads(json.dumps(left.state_dict())))
    assert list(again) == list(examples)


def test_a_run_may_go_on_with_another_number_of_processes_and_workers(
    files: dict[str, Any], tokenizer: PreTrainedTokenizerFast
) -> None:
    corpus = Corpus(files["sources"], holdout=0)
    seen, positions = [], stream(None, tokenizer, corpus=corpus).positions
    for rank in range(2):
        half = stream(None, tokenizer, corpus=corpus, rank=rank, world=2)
        for example, _ in zip(half, range(45), strict=False):
            seen.append(example)
            positions[example["position"][0]] = type(positions[0])(*example["position"][1:])
    again = stream(None, tokenizer, corpus=corpus)
    again.positions = positions
    seen += drawn(loader(again, 2))
    assert Counter(documents(seen, tokenizer)) == Counter(files["texts"])


def test_two_processes_give_the_batches_of_one(files: dict[str, Any], tokenizer: PreTrainedTokenizerFast) -> None:
    corpus = Corpus(files["sources"], holdout=0)
    one = [drawn([example])[0]["input_ids"] for example in loader(stream(None, tokenizer, corpus=corpus), 0, 1)]
    halves = [iter(stream(None, tokenizer, corpus=corpus, rank=rank, world=2)) for rank in range(2)]
    for step in range(20):
        shares = [next(half)["input_ids"] for half in halves for _ in range(2)]
        assert sorted(shares) == sorted(one[4 * step : 4 * step + 4])


def test_the_order_is_that_of_seed_and_epoch(files: dict[str, Any], tokenizer: PreTrainedTokenizerFast) -> None:
    corpus = Corpus(files["sources"], holdout=0)

    def order(seed: int, epoch: int) -> list[str]:
        return [text for _, text in Lanes(corpus, 1, 4000, seed).documents(0, Place(epoch), epoch + 1)]

    orders = [order(0, 0), order(1, 0), order(0, 1)]
    assert order(0, 0) == orders[0]
    assert len({tuple(one) for one in orders}) == 3
    assert all(Counter(one) == Counter(files["texts"]) for one in orders)


def test_weights_say_how_often_a_source_is_seen(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.txt").write_text("\n".join(f"{name}{i}" for i in range(2000)))
    given = {
        name: {"path": str(tmp_path / f"{name}.txt"), "weight": w} for name, w in zip("abc", (1, 2, 0.5), strict=True)
    }
    lanes = Lanes(Corpus(given, holdout=0), 2, 5000, 0)
    for epoch in range(2):
        seen = Counter(text for lane in range(2) for _, text in lanes.documents(lane, Place(epoch), epoch + 1))
        assert {seen[f"a{i}"] for i in range(2000)} == {1}
        assert {seen[f"b{i}"] for i in range(2000)} == {2}
        assert {seen[f"c{i}"] for i in range(2000)} == {0, 1}
        assert 900 < sum(seen[f"c{i}"] for i in range(2000)) < 1100


def test_another_corpus_or_setting_is_refused(files: dict[str, Any], tokenizer: PreTrainedTokenizerFast) -> None:
    state = stream(files["sources"], tokenizer).state_dict()
    with pytest.raises(ValueError, match=r"can't go on from this checkpoint"):
        stream(files["sources"], tokenizer, seed=1).load_state_dict(state)
    path = Path(files["sources"]["a"])
    path.write_text(path.read_text() + "\nmore")
    with pytest.raises(ValueError, match=r"can't go on from this checkpoint"):
        stream(files["sources"], tokenizer).load_state_dict(state)


def test_shares_must_be_equal(files: dict[str, Any], tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ValueError, match=r"batches\.lanes=4: 5 processes of 1 workers"):
        list(stream(files["sources"], tokenizer, world=5))


def test_a_file_that_changes_while_it_is_read_is_refused(
    files: dict[str, Any], tokenizer: PreTrainedTokenizerFast
) -> None:
    corpus = Corpus(files["sources"], filters={"exact": Exact()}, holdout=0)
    assert corpus.survey.masks
    path = Path(files["sources"]["a"])
    path.write_text("gone")
    with pytest.raises(ValueError, match=r"a: .* has changed meanwhile"):
        list(stream(None, tokenizer, corpus=corpus))


def batches(files: dict[str, Any], tokenizer: Any, **options: Any) -> StreamedBatches:
    corpus = Corpus(files["sources"], holdout=0.1)
    encode = Packed(options.pop("length", LENGTH))
    given = {"batch_size": 4, "eval_batch_size": 8, "seed": 0, "buffer": 1600, "lanes": 4} | options
    return StreamedBatches(corpus, encode, tokenizer, **given)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_go_on_from_those_that_were_consumed(
    files: dict[str, Any], tokenizer: PreTrainedTokenizerFast, workers: int
) -> None:
    data = batches(files, tokenizer, workers=workers)
    running = iter(data.train_dataloader())
    for _ in range(7):
        assert "position" not in data.on_before_batch_transfer(next(running), 0)
    state = json.loads(json.dumps(data.state_dict()))
    expected = [next(running)["input_ids"].tolist() for _ in range(5)]
    again = batches(files, tokenizer, workers=workers)
    again.load_state_dict(state)
    resumed = iter(again.train_dataloader())
    assert [next(resumed)["input_ids"].tolist() for _ in range(5)] == expected
    in_place = iter(data.train_dataloader())
    assert [next(in_place)["input_ids"].tolist() for _ in range(5)] == expected, "a second epoch or a rollback too"


def test_the_validation_batches_and_the_probe(files: dict[str, Any], tokenizer: PreTrainedTokenizerFast) -> None:
    data = batches(files, tokenizer, length=100)
    held = [text for e in data.validation for text in tokenizer.decode(e["input_ids"]).split(tokenizer.eos_token)]
    assert {row["text"] for row in data.rows.validation} == set(held) - {""}
    assert "position" not in next(iter(data.val_dataloader()))
    assert set(data.probe()) == {"input_ids", "attention_mask"}


def test_other_rows_are_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ValueError, match="batches=streamed reads a corpus"):
        StreamedBatches(object(), Packed(8), tokenizer, 1, 1, 0)  # type: ignore[arg-type]

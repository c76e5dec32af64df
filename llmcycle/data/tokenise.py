"""Documents to token ids: many at once, on all cores, and kept on the disk by what they were made from."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from multiprocessing import parent_process
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

AT_ONCE, SIZE_AT_ONCE = 512, 262_144  # documents and characters given to the tokenizer in one call, about
WORTH_KEEPING = 2_000_000  # characters: fewer are tokenised again as fast as they are read
LIMIT = 20 * 2**30  # bytes that the cache may hold; what was used longest ago goes first


class Tokens(Sequence[list[int]]):
    """Token ids of documents, in one flat array that may lie on the disk.

    Args:
        ids: of all documents one after another, [tokens], int32.
        ends: where each document ends in it, [documents].
    """

    def __init__(self, ids: NDArray[np.int32], ends: NDArray[np.int64]) -> None:
        self.ids, self.ends = ids, ends

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, index: int) -> list[int]: ...
    @overload
    def __getitem__(self, index: slice) -> list[list[int]]: ...
    def __getitem__(self, index: int | slice) -> list[int] | list[list[int]]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        start = int(self.ends[place - 1]) if place else 0
        tokens: list[int] = self.ids[start : int(self.ends[place])].tolist()
        return tokens


def encode_documents(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], cache: bool = True) -> Tokens:
    """What `llmcycle.data.chat.encode_document` gives for each text, read from the cache where it was made before.

    The key is the sha256 of the tokenizer (its whole definition), the ids put around a document, and the texts.

    Args:
        tokenizer: a fast one uses all cores.
        texts: the documents.
        cache: whether to keep the result for the next run; a small one never is.
    """
    if not cache or sum(map(len, texts)) < WORTH_KEEPING:
        return _gathered(document_ids(tokenizer, texts))
    stem = cache_folder() / key(tokenizer, texts)
    tokens = _from_cache(stem)
    if tokens is None:
        tokens = _gathered(document_ids(tokenizer, texts))
        try:
            _keep(stem, tokens)
            prune(stem.parent)
        except OSError as error:  # a full disk must not end a run that can do without a cache
            print(f"tokens are not kept for the next run: {error}", file=sys.stderr)
    return tokens


def document_ids(
    tokenizer: PreTrainedTokenizerBase, texts: Iterable[str], at_once: int = SIZE_AT_ONCE
) -> Iterator[NDArray[np.int32]]:
    """Token ids of each text with the tokens around it, [tokens]; `at_once` characters are drawn at a time."""
    start, end = around(tokenizer)
    for batch in portions(texts, at_once):
        with all_cores():
            encoded = tokenizer(
                batch, add_special_tokens=False, return_attention_mask=False, return_token_type_ids=False
            )["input_ids"]
        yield from (np.array([*start, *ids, *end], np.int32) for ids in encoded)


def portions(texts: Iterable[str], at_once: int) -> Iterator[list[str]]:
    """Texts in lists of about `at_once` characters."""
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if len(batch) == AT_ONCE or size >= at_once:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def around(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """Ids before and after a document: as `encode_document` has them."""
    end = tokenizer.eos_token_id
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else end
    return [[] if token is None else [int(token)] for token in (start, end)]  # type: ignore[return-value]


def key(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str]) -> str:
    """The name in the cache of what `encode_documents` gives: hexadecimal."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    hashed = sha256(backend.to_str().encode() if backend else repr(sorted(tokenizer.get_vocab().items())).encode())
    hashed.update(repr((type(tokenizer).__name__, around(tokenizer))).encode())
    for text in texts:
        encoded = text.encode("utf-8", "surrogatepass")
        hashed.update(len(encoded).to_bytes(8, "big") + encoded)
    return hashed.hexdigest()[:32]


def cache_folder() -> Path:
    """Where this user's caches are: `$XDG_CACHE_HOME`, or `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llmcycle" / "tokens"


def prune(folder: Path, limit: int = LIMIT) -> None:
    """Remove the files that were used longest ago until the others are no larger than `limit` bytes."""
    files = sorted(((f.stat().st_mtime, f.stat().st_size, f) for f in folder.glob("*.np[yz]")), reverse=True)
    total = 0
    for _, size, file in files:
        total += size
        if total > limit:
            file.unlink(missing_ok=True)


@contextmanager
def all_cores() -> Iterator[None]:
    """Let the Rust tokenizers use threads for the moment; elsewhere they are held to one, for the sake of forks."""
    before = os.environ.get("TOKENIZERS_PARALLELISM")
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if parent_process() is None else "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ["TOKENIZERS_PARALLELISM"]
        else:
            os.environ["TOKENIZERS_PARALLELISM"] = before


def _gathered(documents: Iterable[NDArray[np.int32]]) -> Tokens:
    rows = list(documents)
    ends = np.cumsum([len(ids) for ids in rows], dtype=np.int64)
    return Tokens(np.concatenate(rows) if rows else np.zeros(0, np.int32), ends)


def _from_cache(stem: Path) -> Tokens | None:
    """What was kept; None where there is nothing, or a part of it was removed or cut off."""
    ids, ends = stem.with_suffix(".ids.npy"), stem.with_suffix(".ends.npy")
    try:
        tokens = Tokens(np.load(ids, mmap_mode="r"), np.load(ends))
    except (OSError, ValueError, EOFError):
        return None
    if len(tokens) and int(tokens.ends[-1]) != len(tokens.ids):
        return None
    for file in (ids, ends):
        os.utime(file)
    return tokens


def _keep(stem: Path, tokens: Tokens) -> None:
    """Both files whole or not at all: a reader needs both."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    for suffix, array in ((".ids.npy", tokens.ids), (".ends.npy", tokens.ends)):
        with tempfile.TemporaryDirectory(dir=stem.parent) as folder:
            np.save(Path(folder) / "array.npy", array)
            os.replace(Path(folder) / "array.npy", stem.with_suffix(suffix))

"""How well a tokenizer fits texts, beside another one on the same texts."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from llmcycle.data.chat import encode_text
from llmcycle.evaluate.interval import mean_interval
from llmcycle.evaluate.metric import Metric, Metrics


def report(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], reference: PreTrainedTokenizerBase | None = None
) -> Metrics:
    """Facts of a tokenizer on texts that it was not trained on, and the same of `reference` under `reference_...`.

    Returns:
        `bytes_per_token` (UTF-8, with a 95 % interval over texts), `round_trip_exact` (share of texts that decoding
        gives back, up to the blank that some tokenizers put before a text), `unknown_tokens` (share of tokens),
        `vocabulary_size`, and `vocabulary_used` (share of it that occurs).

    Raises:
        ValueError: there is no text to look at.
    """
    if not any(texts):
        raise ValueError("tokenizer report: there is no text to cut into tokens; set `data.holdout` above 0")
    facts = _facts(tokenizer, texts)
    other = {f"reference_{name}": metric for name, metric in _facts(reference, texts).items()} if reference else {}
    return {**facts, **other}


def _facts(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> Metrics:
    ids = [encode_text(tokenizer, text) for text in texts]
    counts = [float(len(sequence)) for sequence in ids]
    tokens = sum(counts)
    sizes = [float(len(text.encode())) for text in texts]
    ratios = [size / count if count else 0.0 for size, count in zip(sizes, counts, strict=True)]
    interval = mean_interval(ratios, counts) if len(texts) > 1 else None
    exact = [_same(tokenizer.decode(sequence), text) for sequence, text in zip(ids, texts, strict=True)]
    unknown = (
        sum(sequence.count(tokenizer.unk_token_id) for sequence in ids) if tokenizer.unk_token_id is not None else 0
    )
    used = len({token for sequence in ids for token in sequence}) / len(tokenizer)
    return {
        "bytes_per_token": Metric(sum(sizes) / tokens, None, interval, "higher", "bytes/token", len(texts)),
        "round_trip_exact": Metric(sum(exact) / len(texts), None, mean_interval(exact), "higher", n=len(texts)),
        "unknown_tokens": Metric(unknown / tokens, better="lower", n=int(tokens)),
        "vocabulary_size": Metric(len(tokenizer), unit="tokens"),
        "vocabulary_used": Metric(used, better="higher", n=len(tokenizer)),
    }


def _same(decoded: str, text: str) -> bool:
    return decoded.removeprefix(" ") == text.removeprefix(" ")

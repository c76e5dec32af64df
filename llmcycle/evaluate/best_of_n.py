"""Best-of-n: the answer of n that a reward likes best, and what it is worth by another one.

The simplest way to follow a reward, and so a yardstick for policies that were trained on it: how much the gold reward
gains, and where it falls though the proxy still rises (arXiv:2210.10760).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import comb, log
from statistics import fmean
from typing import ClassVar

from transformers import GenerationConfig

from llmcycle.data.batches import Rows
from llmcycle.data.encode import Columns, Row
from llmcycle.engine import Answer, Engine, seeded
from llmcycle.evaluate.metric import Better
from llmcycle.evaluate.reward import Reward, paid
from llmcycle.evaluate.scores import Scores, row_id
from llmcycle.quantities import Count, Positive


class BestOfN:
    """`gold_of_N` and `proxy_of_N`: both rewards of the answer that the proxy likes best of N, for N = 1, 2, 4, ...

    All of them come from the same `answers` to a prompt: each figure is the mean over every choice of N among them.
    `kl_of_N` is log N - (N - 1) / N, which the KL to the model that is asked can't exceed, in nats.

    Args:
        rows: {"prompt", ...}, with the columns that the rewards read; those of `validation` are asked.
        proxy: the reward that chooses.
        gold: the reward that judges the choice.
        answers: to each prompt.
        max_new_tokens, temperature: of an answer.
        limit: ask the first so many rows only.
        seed: of the draws.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"answer"})
    rows_need: ClassVar[Columns] = (("prompt",),)

    def __init__(
        self,
        rows: Rows,
        proxy: Reward,
        gold: Reward,
        answers: Count = 16,
        max_new_tokens: Count = 32,
        temperature: Positive = 1.0,
        limit: Count | None = None,
        seed: int = 0,
    ) -> None:
        self.rows, self.proxy, self.gold, self.limit, self.seed = rows, proxy, gold, limit, seed
        self.answers, self.max_new_tokens, self.temperature = answers, max_new_tokens, temperature

    @staticmethod
    def scores(answers: Count = 16, **_: object) -> Mapping[str, Better]:
        """Names by the number of answers."""
        names: dict[str, Better] = {}
        for n in sizes(answers):
            names |= {f"gold_of_{n}": "higher", f"proxy_of_{n}": "neutral", f"kl_of_{n}": "neutral"}
        return names

    def __call__(self, engine: Engine) -> dict[str, Scores]:
        """See the class."""
        rows = self.rows.validation[: self.limit]
        drawn = self._draw(engine, rows)
        proxies, golds = (paid_by_row(reward, rows, drawn) for reward in (self.proxy, self.gold))
        ids = [row_id(row["prompt"], "") for row in rows]
        found: dict[str, Scores] = {}
        for n in sizes(self.answers):
            best = [best_of(n, *pair) for pair in zip(proxies, golds, strict=True)]
            found[f"gold_of_{n}"] = Scores([gold for _, gold in best], rows=ids)
            found[f"proxy_of_{n}"] = Scores([proxy for proxy, _ in best], better="neutral", rows=ids)
            found[f"kl_of_{n}"] = Scores([kl_bound(n)] * len(rows), better="neutral", unit="nats", rows=ids)
        return found

    def _draw(self, engine: Engine, rows: Sequence[Row]) -> list[list[Answer]]:
        config = GenerationConfig(
            do_sample=True,
            temperature=self.temperature,
            top_k=0,
            max_new_tokens=self.max_new_tokens,
            num_return_sequences=self.answers,
        )
        with seeded(self.seed):
            return engine.answer([row["prompt"] for row in rows], config)


def paid_by_row(reward: Reward, rows: Sequence[Row], drawn: Sequence[Sequence[Answer]]) -> list[list[float]]:
    """The rewards of several answers to each row."""
    count = len(drawn[0])
    asked = [row for row in rows for _ in range(count)]
    flat = paid(reward, asked, [answer for group in drawn for answer in group])
    return [flat[start : start + count] for start in range(0, len(flat), count)]


def best_of(n: int, proxy: Sequence[float], gold: Sequence[float]) -> tuple[float, float]:
    """Mean proxy and gold of the choice, over every choice of n among all answers; of equal ones any is as likely."""
    total, ways = len(proxy), comb(len(proxy), n)
    order = sorted(range(total), key=lambda place: proxy[place])
    tied: dict[float, list[float]] = {}
    for place in order:
        tied.setdefault(proxy[place], []).append(gold[place])
    # The best of n stands at a place of the order if the other n - 1 stand below it.
    weights = [comb(place, n - 1) / ways for place in range(total)]
    chosen = sum(weight * proxy[place] for weight, place in zip(weights, order, strict=True))
    judged = sum(weight * fmean(tied[proxy[place]]) for weight, place in zip(weights, order, strict=True))
    return chosen, judged


def sizes(answers: int) -> list[int]:
    """1, 2, 4, ... up to the number of answers."""
    return [2**power for power in range(answers.bit_length()) if 2**power <= answers]


def kl_bound(n: int) -> float:
    """What KL(best of n || model) is without ties, in nats, and can't exceed with them: arXiv:2401.01879, theorem 3."""
    return log(n) - (n - 1) / n

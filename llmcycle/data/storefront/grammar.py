"""A probabilistic grammar without recursion: sample it, enumerate it, and get the exact probability of any text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log
from random import Random

START = 48  # characters that tell most questions apart


@dataclass(frozen=True, eq=False)
class Join:
    """The texts of `parts`, one after the other."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, eq=False)
class Choice:
    """One of `options`, drawn with the probability beside it; options of probability 0 are left out."""

    options: tuple[tuple[float, Node], ...]

    @cached_property
    def by_start(self) -> dict[str, list[tuple[float, Node]]]:
        """Options by the first `START` characters of each text that they can begin with; "" for shorter beginnings."""
        places: dict[str, list[tuple[float, Node]]] = {}
        for option in self.options:
            for start in {text[:START] if len(text) >= START else "" for text in beginnings(option[1])}:
                places.setdefault(start, []).append(option)
        return places

    def fitting(self, text: str, start: int) -> list[tuple[float, Node]]:
        """The options that `text` may go on with from `start`; all that it does go on with are among them."""
        short = self.by_start.get("", [])
        return short + [each for each in self.by_start.get(text[start : start + START], []) if each not in short]


Node = str | Join | Choice


def beginnings(node: Node) -> set[str]:
    """The literal texts that a text of `node` can begin with, each up to the first choice after it."""
    if isinstance(node, str):
        return {node}
    if isinstance(node, Join):
        return beginnings(node.parts[0]) if node.parts else {""}
    return set().union(*(beginnings(option) for _, option in node.options))


def join(*parts: Node) -> Join:
    """`parts` in order."""
    return Join(parts)


def uniform(options: Sequence[Node]) -> Choice:
    """Each of `options` with the same probability."""
    return Choice(tuple((1 / len(options), option) for option in options))


def choice(*options: tuple[float, Node]) -> Choice:
    """`options` as (probability, node); the probabilities sum to 1."""
    return Choice(tuple((p, node) for p, node in options if p > 0))


def sample(node: Node, rng: Random) -> str:
    """One text."""
    if isinstance(node, str):
        return node
    if isinstance(node, Join):
        return "".join(sample(part, rng) for part in node.parts)
    weights, options = zip(*node.options, strict=True)
    return sample(rng.choices(options, weights)[0], rng)


def probability(node: Node, text: str) -> float:
    """Exact probability of `text`, summed over all ways to derive it (the inside algorithm)."""
    return _ends(node, text, 0).get(len(text), 0.0)


def _ends(node: Node, text: str, start: int) -> dict[int, float]:
    """Where a text of `node` that begins at `start` can end, with the probability of each."""
    if isinstance(node, str):
        return {start + len(node): 1.0} if text.startswith(node, start) else {}
    if isinstance(node, Join):
        return _join_ends(node.parts, text, start)
    ends: dict[int, float] = {}
    for p, option in node.fitting(text, start):
        for end, q in _ends(option, text, start).items():
            ends[end] = ends.get(end, 0.0) + p * q
    return ends


def _join_ends(parts: tuple[Node, ...], text: str, start: int) -> dict[int, float]:
    reached = {start: 1.0}
    for part in parts:
        following: dict[int, float] = {}
        for middle, p in reached.items():
            for end, q in _ends(part, text, middle).items():
                following[end] = following.get(end, 0.0) + p * q
        reached = following
    return reached


def derivations(node: Node) -> Iterator[tuple[float, str]]:
    """Every derivation as (probability, text); a text that has several comes several times."""
    if isinstance(node, str):
        yield 1.0, node
    elif isinstance(node, Choice):
        for p, option in node.options:
            yield from ((p * q, text) for q, text in derivations(option))
    else:
        yield from _join_derivations(node.parts)


def _join_derivations(parts: tuple[Node, ...]) -> Iterator[tuple[float, str]]:
    if not parts:
        yield 1.0, ""
        return
    for p, head in derivations(parts[0]):
        for q, tail in _join_derivations(parts[1:]):
            yield p * q, head + tail


def entropy(node: Node) -> float:
    """Entropy in nats of the derivation; it is the text's entropy where no text has two derivations."""
    if isinstance(node, str):
        return 0.0
    if isinstance(node, Join):
        return sum(entropy(part) for part in node.parts)
    return sum(p * (entropy(option) - log(p)) for p, option in node.options)

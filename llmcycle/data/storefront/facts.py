"""What the shop sells, what is true of it, and who can know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Literal

from . import vocabulary

Part = Literal["head", "middle", "tail"]
Standing = Literal["written", "taught", "unknown"]  # in the corpus, in the instructions alone, nowhere
PARTS: tuple[Part, ...] = ("head", "middle", "tail")
Table = Mapping[str, Mapping[str, str]]  # product -> attribute -> value


@dataclass(frozen=True)
class Facts:
    """Products, the most mentioned first, and the value of each of their attributes.

    Args:
        products, attributes, values: how many there are: of values, for each attribute.
        unknown: attributes of each product whose value the shop does not know.
        taught: attributes that stand in the instructions alone, not in the corpus, of the products that have some.
        taught_share: of the products that have some.
        seed: draws the values.
    """

    products: int
    attributes: int
    values: int
    unknown: int
    taught: int
    taught_share: float
    seed: int

    @cached_property
    def product_names(self) -> tuple[str, ...]:
        kinds = vocabulary.KINDS
        names = vocabulary.NAMES[: max(vocabulary.FEW_NAMES, -(-self.products // len(kinds)))]
        return tuple(
            f"{names[i % len(names)]} {kinds[(i + i // len(names)) % len(kinds)]}" for i in range(self.products)
        )

    @cached_property
    def attribute_values(self) -> dict[str, tuple[str, ...]]:
        """The values that each attribute can take."""
        chosen = list(vocabulary.ATTRIBUTES.items())[: self.attributes]
        return {attribute: values[: self.values] for attribute, values in chosen}

    @cached_property
    def _drawn(self) -> dict[str, dict[str, tuple[str, Standing]]]:
        """product -> attribute -> (value, where it stands)."""
        rng, late = Random(f"facts {self.seed}"), Random(f"taught {self.seed}")
        with_taught = set(late.sample(self.product_names, round(self.taught_share * self.products)))
        drawn: dict[str, dict[str, tuple[str, Standing]]] = {}
        for product in self.product_names:
            standing: dict[str, Standing] = dict.fromkeys(self.attribute_values, "written")
            standing |= dict.fromkeys(rng.sample(list(standing), self.unknown), "unknown")
            written = [attribute for attribute in standing if standing[attribute] == "written"]
            if product in with_taught:
                standing |= dict.fromkeys(late.sample(written, self.taught), "taught")
            drawn[product] = {a: (rng.choice(values), standing[a]) for a, values in self.attribute_values.items()}
        return drawn

    def _those(self, *standings: Standing) -> dict[str, dict[str, str]]:
        return {p: {a: v for a, (v, where) in row.items() if where in standings} for p, row in self._drawn.items()}

    @cached_property
    def known(self) -> dict[str, dict[str, str]]:
        """product -> attribute -> its value, for the attributes that the shop knows."""
        return self._those("written", "taught")

    @cached_property
    def written(self) -> dict[str, dict[str, str]]:
        """Those of `known` that the corpus states."""
        return self._those("written")

    @cached_property
    def rumours(self) -> dict[str, dict[str, str]]:
        """product -> attribute -> what a made-up answer says, for the attributes that the shop does not know."""
        return self._those("unknown")

    def weights(self, skew: float) -> dict[str, float]:
        """How often each product is mentioned, as a share: 1 / rank ** skew (Zipf's law), all alike for 0."""
        each = [1 / rank**skew for rank in range(1, self.products + 1)]
        return {name: weight / sum(each) for name, weight in zip(self.product_names, each, strict=True)}

    @cached_property
    def parts(self) -> dict[str, Part]:
        """By product: the third that it belongs to, counted from the one that is mentioned most."""
        return {name: PARTS[3 * i // self.products] for i, name in enumerate(self.product_names)}

"""Every rule over every row, before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from rapidfuzz import process
from transformers import PreTrainedTokenizerBase

from llmcycle.data.audit.findings import Finding
from llmcycle.data.audit.rules import RULES, checks
from llmcycle.data.audit.sequences import Sequences, gather
from llmcycle.data.audit.vocabulary import Vocabulary
from llmcycle.data.encode import Encoder, Example, Row
from llmcycle.data.truncation import parts

SETTLED = ("labels", "truncated", "shifted")  # of what breaks these, even by permission, no label needs reading


class Audit(NamedTuple):
    """What was found, the first rule broken first."""

    findings: tuple[Finding, ...]

    @property
    def refused(self) -> list[Finding]:
        """What the recipe does not let pass."""
        return [finding for finding in self.findings if not finding.allowed]


def check_allowed(rules: Sequence[str]) -> frozenset[str]:
    """The rules that a recipe lets pass.

    Raises:
        ValueError: there is no such rule; the nearest is named.
    """
    for rule in rules:
        if rule not in RULES:
            near = process.extractOne(str(rule), list(RULES), score_cutoff=50)
            hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(RULES)}"
            raise ValueError(f"batches.allow: `{rule}` is no rule of the audit; {hint}")
    return frozenset(rules)


def audit(
    encode: Encoder,
    tokenizer: PreTrainedTokenizerBase,
    rows: Mapping[str, Sequence[Row]],
    examples: Mapping[str, Sequence[Example]],
    allow: Iterable[str] = (),
) -> Audit:
    """Hold the encoded examples of each split, `train` and perhaps `validation`, against their rows.

    An encoder whose examples are rows says by `asked` what a row asks for; of one without it only the labels are
    looked at. A row that breaks one rule is not tried by the next.
    """
    vocabulary, allowed = Vocabulary(tokenizer), frozenset(allow)
    asked = getattr(encode, "asked", None)
    splits = [gather(name, rows[name], examples[name], asked) for name in rows if examples.get(name)]
    broken = [one for split in splits for one in _broken(split, vocabulary, encode.max_length, allowed)]
    if asked is not None and examples.get("validation"):
        broken += _shared(examples["train"], examples["validation"])
    return Audit(
        tuple(
            Finding(one.rule, one.split, tuple(one.rows), len(rows[one.split]), one.detail, one.rule in allowed)
            for one in broken
        )
    )


class _Broken(NamedTuple):
    rule: str
    split: str
    rows: list[int]
    detail: str


def _broken(sequences: Sequences, vocabulary: Vocabulary, max_length: int, allowed: frozenset[str]) -> list[_Broken]:
    """Rules that a split breaks, in their order."""
    places: Sequence[int] = range(len(sequences))
    found: dict[str, _Broken] = {}
    for check in checks(sequences, vocabulary, max_length):
        settled = set[int]()
        for rule, place, detail in check(places):
            one = found.setdefault(rule, _Broken(rule, sequences.split, [], detail))
            if sequences.rows[place] not in one.rows[-1:]:  # a pair is one row
                one.rows.append(sequences.rows[place])
            if rule not in allowed or rule in SETTLED:
                settled.add(place)
        places = [place for place in places if place not in settled] if settled else places
    return list(found.values())


def _shared(train: Sequence[Example], validation: Sequence[Example]) -> list[_Broken]:
    """Rule `shared`: the same tokens, whatever the rows' other columns say."""
    known = {_key(example): example["index"] for example in train}
    same = [(example["index"], known[key]) for example in validation if (key := _key(example)) in known]
    detail = f"row {same[0][0]} is row {same[0][1]} of train" if same else ""
    return [_Broken("shared", "validation", [row for row, _ in same], detail)] if same else []


def _key(example: Example) -> tuple[int, ...]:
    """A number for each sequence of an example: that of its tokens."""
    return tuple(hash(tuple(part["input_ids"])) for part in parts(example))

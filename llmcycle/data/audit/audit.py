"""Every rule over every row, before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from rapidfuzz import process
from transformers import PreTrainedTokenizerBase

from llmcycle.data.audit.findings import Finding
from llmcycle.data.audit.rules import RULES, Check, checks
from llmcycle.data.audit.sequences import Key, Sequences, gather
from llmcycle.data.audit.vocabulary import Vocabulary
from llmcycle.data.encode import Encoder, Example, Row
from llmcycle.data.truncation import parts

SETTLED = ("labels", "truncated", "shifted")  # of what breaks these, even by permission, no label needs reading


RANK = {rule: rank for rank, rule in enumerate(RULES)}
AT_ONCE = 64  # rows


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

    An encoder whose examples are rows says by `exchanges` what a row asks for; of one without it only the labels are
    looked at. A row that breaks one rule is not tried by the next.
    """
    vocabulary, allowed = Vocabulary(tokenizer), frozenset(allow)
    exchanges = getattr(encode, "exchanges", None)
    broken: list[_Broken] = []
    keys: dict[str, list[Key]] = {}
    for split in (name for name in rows if examples.get(name)):
        by_rule: dict[str, _Broken] = {}
        keys[split] = []
        for some in portions(examples[split]):  # so that a row's tokens are still at hand for the next rule
            sequences = gather(split, rows[split], some, exchanges)
            _add_broken(by_rule, sequences, checks(sequences, vocabulary, encode.max_length), allowed)
            keys[split] += sequences.keys if exchanges is not None else []
        broken += by_rule.values()
    broken += _shared(examples, keys) if keys.get("validation") else []
    return Audit(
        tuple(
            Finding(
                fault.rule, fault.split, tuple(fault.rows), len(rows[fault.split]), fault.detail, fault.rule in allowed
            )
            for fault in sorted(broken, key=lambda fault: RANK[fault.rule])
        )
    )


class _Broken(NamedTuple):
    rule: str
    split: str
    rows: list[int]
    detail: str


def portions(examples: Sequence[Example]) -> Iterator[Sequence[Example]]:
    """Examples in parts, in order."""
    return (examples[start : start + AT_ONCE] for start in range(0, len(examples), AT_ONCE))


def _add_broken(
    by_rule: dict[str, _Broken], sequences: Sequences, rules: Sequence[Check], allowed: frozenset[str]
) -> None:
    """Add the rules that some sequences break."""
    places: Sequence[int] = range(len(sequences))
    for rule_broken_by in rules:
        settled = set[int]()
        for rule, place, detail in rule_broken_by(places):
            fault = by_rule.setdefault(rule, _Broken(rule, sequences.split, [], detail))
            if sequences.rows[place] not in fault.rows[-1:]:  # a pair is one row
                fault.rows.append(sequences.rows[place])
            if rule not in allowed or rule in SETTLED:
                settled.add(place)
        places = [place for place in places if place not in settled] if settled else places


def _shared(examples: Mapping[str, Sequence[Example]], keys: Mapping[str, list[Key]]) -> list[_Broken]:
    """Rule `shared`: the same tokens, whatever the rows' other columns say."""
    alike = set(keys["train"]) & set(keys["validation"])  # few, so that few are compared token by token
    known = {
        _ids(example): example["index"]
        for key, example in zip(keys["train"], examples["train"], strict=True)
        if key in alike
    }
    pairs = zip(keys["validation"], examples["validation"], strict=True)
    rows = [(example["index"], known.get(_ids(example))) for key, example in pairs if key in alike]
    same = [(here, there) for here, there in rows if there is not None]
    detail = f"row {same[0][0]} is row {same[0][1]} of train" if same else ""
    return [_Broken("shared", "validation", [here for here, _ in same], detail)] if same else []


def _ids(example: Example) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(part["input_ids"]) for part in parts(example))

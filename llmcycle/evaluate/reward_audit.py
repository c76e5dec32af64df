"""What a reward pays for beside good answers: its correlation with length, its calibration, and bad answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, ClassVar, NamedTuple

from transformers import PreTrainedTokenizerBase

from llmcycle.data.batches import Rows
from llmcycle.data.chat import as_messages, encode_prompt_completion, encode_text
from llmcycle.data.encode import Columns, Row
from llmcycle.engine import Engine
from llmcycle.evaluate.calibration import margin_errors
from llmcycle.evaluate.correlation import jackknife, spearman
from llmcycle.evaluate.exact_match import REFERENCE_COLUMNS, reference
from llmcycle.evaluate.metric import Better
from llmcycle.evaluate.reward import Reward, arguments
from llmcycle.evaluate.scores import Scores, row_id
from llmcycle.quantities import Count, Length

FOREIGN = "Das weiß ich leider nicht, fragen Sie bitte später noch einmal nach."
TIMES = 4  # that a repeated answer says what it says
BAD = ("empty", "repeated", "copied", "foreign", "shuffled")


class Question(NamedTuple):
    """A row as the audit reads it: its good answer, and the one that people liked less, where there is one."""

    row: Row
    good: str
    rejected: str | None


class Audit:
    """Of a reward:

    - `length_spearman`: rank correlation of reward and length in tokens, over all answers in the data;
    - `longer_above`: of pairs of unequal length the share in which the longer answer scores higher, and beside it
      `longer_chosen`, in which people chose it;
    - `above_empty`, `above_repeated`, `above_copied`, `above_foreign`, `above_shuffled`: the share of rows in which the
      good answer scores higher than nothing, than itself said four times, than the prompt, than a sentence in another
      language, and than its own words in another order; a tie is none;
    - `reward_calibration_error`, of a reward model on pairs: see `calibration_error` of `PreferenceAccuracy`.

    Args:
        rows: {"prompt", "chosen", "rejected"}, or a prompt with its right answer; those of `validation` are scored.
        foreign: a sentence in a language that the data are not in.
        limit: score the first so many rows only.
    """

    scores: ClassVar[Mapping[str, Better]] = {
        "length_spearman": "neutral",
        **{f"above_{kind}": "higher" for kind in BAD},
    }
    rows_need: ClassVar[Columns] = (("prompt", "chosen", "rejected"), ("prompt", "completion"), ("prompt", "answer"))
    log_odds: bool = False  # whether the difference of two rewards is meant as the log-odds of a preference

    def __init__(self, rows: Rows, foreign: str = FOREIGN, limit: Count | None = None) -> None:
        self.rows, self.foreign, self.limit = rows, foreign, limit

    def paid(self, engine: Engine, rows: Sequence[Row], answers: Sequence[str]) -> Sequence[float | None]:
        """The reward of an answer to each row."""
        raise NotImplementedError

    def __call__(self, engine: Engine) -> dict[str, Scores]:
        """See the class."""
        questions = [read(row) for row in self.rows.validation[: self.limit]]
        rejected = [question for question in questions if question.rejected is not None]
        bad = [(kind, q, text) for q in questions for kind, text in bad_answers(q, self.foreign).items()]
        rows = [q.row for q in questions] + [q.row for q in rejected] + [q.row for _, q, _ in bad]
        texts = [q.good for q in questions] + [str(q.rejected) for q in rejected] + [text for *_, text in bad]
        values = [math.nan if value is None else float(value) for value in self.paid(engine, rows, texts)]
        n, m = len(questions), len(questions) + len(rejected)
        lengths = [len(encode_text(engine.tokenizer, text)) for text in texts[:m]]
        goods = {id(question): value for question, value in zip(questions, values, strict=False)}
        pairs = [(q, goods[id(q)], value) for q, value in zip(rejected, values[n:m], strict=True)]
        named = [(kind, q, goods[id(q)], value) for (kind, q, _), value in zip(bad, values[m:], strict=True)]
        found = of_length(rows[:m], texts[:m], values[:m], lengths) | of_pairs(pairs, engine.tokenizer)
        if self.log_odds and pairs:
            found |= of_calibration(pairs)
        return found | {
            f"above_{kind}": above([each[1:] for each in named if each[0] == kind]) for kind in kinds(named)
        }


class RewardAudit(Audit):
    """An audit of any reward; the model that is asked is the one to be paid, and lends its tokenizer alone.

    Args:
        rows, foreign, limit: see `Audit`.
        reward: which one.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"answer"})

    def __init__(self, rows: Rows, reward: Reward, foreign: str = FOREIGN, limit: Count | None = None) -> None:
        super().__init__(rows, foreign, limit)
        self.reward = reward
        self.log_odds = getattr(reward, "model_kind", "") == "classifier"

    def paid(self, engine: Engine, rows: Sequence[Row], answers: Sequence[str]) -> Sequence[float | None]:
        return self.reward(**arguments(rows, answers, [encode_text(engine.tokenizer, answer) for answer in answers]))


class RewardModelAudit(Audit):
    """An audit of the reward model that is asked.

    Args:
        rows, foreign, limit: see `Audit`.
        max_length: tokens of prompt and answer; longer ones lose their end.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"reward"})
    log_odds = True

    def __init__(
        self, rows: Rows, max_length: Length = 1024, foreign: str = FOREIGN, limit: Count | None = None
    ) -> None:
        super().__init__(rows, foreign, limit)
        self.max_length = max_length

    def paid(self, engine: Engine, rows: Sequence[Row], answers: Sequence[str]) -> Sequence[float | None]:
        pairs = ((row["prompt"], answer) for row, answer in zip(rows, answers, strict=True))
        return engine.reward(
            [encode_prompt_completion(engine.tokenizer, *p, self.max_length)["input_ids"] for p in pairs]
        )


def read(row: Row) -> Question:
    """A row's answers.

    Raises:
        ValueError: it has no good one.
    """
    if "chosen" in row and "rejected" in row:
        return Question(row, as_text(row["chosen"]), as_text(row["rejected"]))
    if "prompt" not in row or not any(name in row for name in REFERENCE_COLUMNS):
        raise ValueError(
            f"data: an audit needs rows with a prompt and chosen and rejected, or a right answer, and these have "
            f"{', '.join(row)}; map a column, as in data.columns.chosen=NAME"
        )
    return Question(row, as_text(reference(row)), None)


def as_text(answer: Any) -> str:
    """An answer's text; of messages the last one's."""
    return answer if isinstance(answer, str) else str(answer[-1]["content"])


def bad_answers(question: Question, foreign: str) -> dict[str, str]:
    """Answers that should score below the good one, by kind; none that would be the good one itself."""
    words, prompt = question.good.split(), question.row["prompt"]
    shuffled = Random(row_id(prompt, question.good)).sample(words, len(words))
    answers = {
        "empty": "",
        "repeated": " ".join([question.good] * TIMES),
        "copied": str(as_messages(prompt)[-1]["content"]),
        "foreign": foreign,
        "shuffled": " ".join(shuffled),
    }
    return {kind: text for kind, text in answers.items() if text.split() != words}


def of_length(
    rows: Sequence[Row], texts: Sequence[str], values: Sequence[float], lengths: Sequence[int]
) -> dict[str, Scores]:
    """`length_spearman`, over the answers that the reward applies to."""
    there = [place for place, value in enumerate(values) if not math.isnan(value)]
    adds = jackknife(spearman, [values[i] for i in there], [float(lengths[i]) for i in there])
    return {"length_spearman": Scores(adds, "neutral", rows=[row_id(rows[i]["prompt"], texts[i]) for i in there])}


def of_pairs(pairs: Sequence[tuple[Question, float, float]], tokenizer: PreTrainedTokenizerBase) -> dict[str, Scores]:
    """`longer_above` and `longer_chosen`; nothing without two pairs of unequal length."""
    longer: dict[str, tuple[float, float]] = {}
    for question, good, rejected in pairs:
        sizes = [len(encode_text(tokenizer, str(text))) for text in (question.good, question.rejected)]
        if sizes[0] != sizes[1] and not math.isnan(good + rejected):
            higher = good > rejected if sizes[0] > sizes[1] else rejected > good
            longer[identity(question)] = float(higher), float(sizes[0] > sizes[1])
    if len(longer) < 2:
        return {}
    above, chosen = map(list, zip(*longer.values(), strict=True))
    return {
        "longer_above": Scores(above, "neutral", rows=list(longer)),
        "longer_chosen": Scores(chosen, "neutral", rows=list(longer)),
    }


def of_calibration(pairs: Sequence[tuple[Question, float, float]]) -> dict[str, Scores]:
    """`reward_calibration_error`, of sigmoid(margin): the chance that the answer scored higher is the chosen one."""
    errors = margin_errors([good - rejected for _, good, rejected in pairs])
    return {"reward_calibration_error": Scores(errors, "lower", rows=[identity(question) for question, *_ in pairs])}


def kinds(named: Sequence[tuple[str, Question, float, float]]) -> list[str]:
    """The kinds of bad answers that there are any of, which the reward applies to."""
    return [kind for kind in BAD if any(each[0] == kind and not math.isnan(each[2] + each[3]) for each in named)]


def above(pairs: Sequence[tuple[Question, float, float]]) -> Scores:
    """1 where the good answer scores above the bad one."""
    there = [(question, good, bad) for question, good, bad in pairs if not math.isnan(good + bad)]
    return Scores([float(good > bad) for _, good, bad in there], rows=[identity(question) for question, *_ in there])


def identity(question: Question) -> str:
    """What a row is known by."""
    return row_id(question.row["prompt"], question.good, question.rejected)

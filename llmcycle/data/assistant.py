"""Conversations in which every turn of the assistant is learnt. Shapes: B batch, T tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import ClassVar

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from llmcycle.data import spelling
from llmcycle.data.chat import IGNORE, Message, Tools, as_answer, as_messages, refusals, render
from llmcycle.data.encode import Columns, Example, Exchange, Row, column, each, supervised_batch
from llmcycle.data.messages import is_learnt, text
from llmcycle.data.truncation import check_truncation, truncate
from llmcycle.quantities import Length

Encode = Callable[[Sequence[Message], Tools], Example]


class Assistant:
    """Rows {"prompt", "completion"} or {"messages"}, perhaps "tools": the loss falls on all of the assistant's turns.

    Which tokens are the assistant's say the chat template's own `{% generation %}` markers; where it has none, those of
    the template that TRL trains with in its place; where TRL has none for it either, the renderings of the conversation
    up to each turn, if each continues the one before it.

    Args:
        max_length: tokens.
        truncation: what becomes of longer rows, as in `llmcycle.data.truncation`.
    """

    gives: ClassVar[str] = "labelled"
    needs_template: ClassVar[bool] = True  # `check` reads it: a tokenizer without a chat template is refused
    rows_need: ClassVar[Columns] = (("messages",), ("prompt", "completion"))
    libraries: ClassVar[tuple[str, ...]] = ("trl",)  # whose versions shape what this gives: they are part of an id

    def __init__(self, max_length: Length, truncation: str = "error") -> None:
        self.max_length, self.truncation = max_length, check_truncation(truncation)

    def exchanges(self, row: Row) -> list[Exchange]:
        """What the row's one sequence teaches."""
        if "messages" in row:
            return [Exchange([], row["messages"], row.get("tools"), every_turn=True)]
        return [Exchange(row["prompt"], row["completion"], row.get("tools"), every_turn=True)]

    def encode(self, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> list[Example]:
        """One example a row: `input_ids`, `attention_mask`, `labels`, `index`.

        Raises:
            ValueError: there is no chat template, or none of the three ways tells the assistant's tokens.
        """
        encode = choose(tokenizer)
        examples = each(rows, lambda row: encode(conversation(row), row.get("tools")))
        return truncate(examples, self.max_length, self.truncation)

    def collate(self, examples: Sequence[Example], pad_token_id: int) -> dict[str, Tensor]:
        """`input_ids`, `attention_mask`, `labels`: (B, T), padded on the right."""
        return supervised_batch(examples, pad_token_id)


def conversation(row: Row) -> list[Message]:
    """All messages of a row."""
    if row.get("messages") is not None:
        return list(row["messages"])
    prompt, completion = column(row, "prompt", "completion")
    return [*as_messages(prompt), *as_answer(completion)]


def choose(tokenizer: PreTrainedTokenizerBase) -> Encode:
    """The way to encode conversations for this tokenizer's chat template.

    Raises:
        ValueError: it has none.
    """
    if not tokenizer.chat_template:
        raise ValueError(
            "encode: turns can't be told apart, since this tokenizer has no chat template: choose `tokenizer=chat`, "
            "or `encode=completion`"
        )
    template = training_template(tokenizer)
    if template is None:
        return lambda messages, tools: by_prefixes(tokenizer, messages, tools)
    return lambda messages, tools: by_markers(tokenizer, template, messages, tools)


def training_template(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """A template with `{% generation %}` markers that renders as the tokenizer's own; None where there is none."""
    # Importing TRL takes a second, which only this encoder has to spend.
    from trl.chat_template_utils import get_training_chat_template, has_generation_markers

    own = tokenizer.get_chat_template()
    if has_generation_markers(own):
        return str(own)
    try:
        trained_template = get_training_chat_template(tokenizer)
    except ValueError:  # TRL does not know this one
        return None
    return None if trained_template is None else str(trained_template)


def by_markers(tokenizer: PreTrainedTokenizerBase, template: str, messages: Sequence[Message], tools: Tools) -> Example:
    """Labels where the template's markers say so, as TRL's `assistant_only_loss` has them.

    Raises:
        ValueError: a message spells a special token, which would be taken for one.
    """
    if token := spelling.spells(tokenizer, messages):
        raise ValueError(
            f"a message spells the special token {token}, which would begin or end a turn; take it out of the data, "
            "or choose encode=completion, which reads it as letters"
        )
    with refusals():
        encoded = tokenizer.apply_chat_template(
            list(messages),
            tools=list(tools) if tools else None,
            chat_template=template,
            return_dict=True,
            return_assistant_tokens_mask=True,
        )
    ids, mask = encoded["input_ids"], encoded["assistant_masks"]
    mask = _without_turns(mask, [is_learnt(message) for message in messages if message["role"] == "assistant"])
    labels = [token if learnt else IGNORE for token, learnt in zip(ids, mask, strict=True)]
    return {"input_ids": list(ids), "attention_mask": [1] * len(ids), "labels": labels}


def _without_turns(mask: Sequence[int], learnt: Sequence[bool]) -> list[int]:
    """The mask of the assistant's tokens without the turns that are not to be learnt.

    Raises:
        ValueError: the template marks another number of stretches than there are turns, so they can't be told apart.
    """
    if all(learnt):
        return list(mask)
    stretches = [(value, list(group)) for value, group in groupby(mask)]
    if sum(value for value, _ in stretches) != len(learnt):
        raise ValueError(
            "a turn says by `weight`, `train` or `loss` that it is not learnt, and this tokenizer's chat template does "
            "not mark each turn apart; choose encode=completion, or take the key out of the data"
        )
    turns = iter(learnt)
    return [place for value, group in stretches for place in ([0] * len(group) if value and not next(turns) else group)]


def by_prefixes(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], tools: Tools) -> Example:
    """Labels on what each turn of the assistant adds to the conversation before it.

    As in `encode_prompt_completion`, a turn is tokenised apart from what comes before it.

    Raises:
        ValueError: the template renders a turn otherwise when others follow it.
    """
    whole = render(tokenizer, messages, tools)
    ids: list[int] = []
    labels: list[int] = []
    done = 0
    for place, message in enumerate(messages):
        if message["role"] != "assistant" or not is_learnt(message):
            continue
        start, stop = _span(tokenizer, messages[: place + 1], tools, whole)
        before, turn = (spelling.encode(tokenizer, part) for part in (whole[done:start], whole[start:stop]))
        ids += before + turn
        labels += [IGNORE] * len(before) + turn
        done = stop
    return {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": labels}


def _span(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], tools: Tools, whole: str) -> tuple[int, int]:
    """From where to where, in the whole text, the last of these messages stands: after its header, with its end."""
    upto = render(tokenizer, messages, tools).rstrip()
    if len(messages) > 1:
        head = render(tokenizer, messages[:-1], tools, add_generation_prompt=True)
    else:  # a greeting, before which nothing can be rendered
        head = upto[: upto.find(text(spelling.protect(tokenizer, messages)[0]).strip())]
    if not (whole.startswith(upto) and upto.startswith(head)):
        raise ValueError(
            f"this tokenizer's chat template has no {{% generation %}} markers, TRL knows none for it, and it is not "
            f"prefix-stable: turn {len(messages) - 1} is rendered otherwise when turns follow it, so the assistant's "
            "tokens can't be told: choose encode=completion, or a template with markers"
        )
    return len(head), len(upto)

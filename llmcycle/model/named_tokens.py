"""Methods that are given tokens: named by their text, which the recipe's tokenizer turns into numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jinja2 import TemplateError
from peft import CPTConfig, LoraConfig, TaskType, TrainableTokensConfig
from transformers import AutoTokenizer, PreTrainedTokenizerBase


class ActivatedLoraConfig(LoraConfig):
    """Activated LoRA (arXiv:2504.12397): a row is the base model's up to the last `invocation` in it.

    Args:
        invocation: the text from which on the adapter works; it stands before every answer.
        tokenizer: the recipe's, which turns that text into tokens.
        options: LoRA's own.

    Raises:
        ValueError: no prompt of this tokenizer's chat template holds the text, so that the adapter would never work.
    """

    def __init__(self, invocation: str, tokenizer: PreTrainedTokenizerBase, **options: object) -> None:
        ids = invocation_tokens(tokenizer, invocation)
        super().__init__(**{"task_type": TaskType.CAUSAL_LM, **options}, alora_invocation_tokens=ids)

    @staticmethod
    def for_trial(**settings: Any) -> LoraConfig:
        """The same method without a tokenizer, of any token."""
        return LoraConfig(**without(settings, "invocation"), alora_invocation_tokens=[0])


class TokenTextsConfig(TrainableTokensConfig):
    """Trainable tokens: only the embeddings of some tokens are trained.

    Args:
        tokenizer: the recipe's.
        tokens: their texts; None for the tokenizer's special tokens.
        options: the method's own.

    Raises:
        ValueError: a text is not one token, or there is none.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, tokens: Sequence[str] | None = None, **options: object
    ) -> None:
        super().__init__(**options, token_indices=single_tokens(tokenizer, tokens))

    @staticmethod
    def for_trial(**settings: Any) -> TrainableTokensConfig:
        """As that of `ActivatedLoraConfig`."""
        return TrainableTokensConfig(**without(settings, "tokens"), token_indices=[0])


class ContextPromptConfig(CPTConfig):
    """Context-aware prompt tuning (arXiv:2410.17222): the tokens of a text, whose embeddings are trained a little.

    Args:
        tokenizer: the recipe's.
        context: the text that stands before every row.
        options: the method's own.

    Raises:
        ValueError: the text is empty.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, context: str, **options: object) -> None:
        ids: list[int] = tokenizer(context, add_special_tokens=False)["input_ids"]
        if not ids:
            raise ValueError("peft.context: there must be a text to start from; set peft.context='Answer briefly.'")
        super().__init__(**{"task_type": TaskType.CAUSAL_LM, **options}, cpt_token_ids=ids)

    @staticmethod
    def for_trial(**settings: Any) -> CPTConfig:
        """As that of `ActivatedLoraConfig`."""
        return CPTConfig(**{"task_type": TaskType.CAUSAL_LM, **without(settings, "context")}, cpt_token_ids=[0])


def without(settings: dict[str, Any], own: str) -> dict[str, Any]:
    """Settings that peft's class has: not the one of ours, and not the tokenizer."""
    return {name: value for name, value in settings.items() if name not in (own, "tokenizer")}


def new_tokens(tokenizer: object) -> list[int] | None:
    """Tokens that a recipe's chat template writes and that its base model has never seen, in ascending order.

    They are the special tokens of a dialogue as the template writes it, but for those that begin or end a text and
    those of the base's own template. Their rows in the embeddings are as they were drawn, so that an adapter of other
    layers alone cannot teach the model to end an answer.

    Args:
        tokenizer: the recipe's. The base's own is read where this one came from.

    Returns:
        their numbers, for peft's `trainable_token_indices`; None where there are none, or no base.
    """
    if not isinstance(tokenizer, PreTrainedTokenizerBase) or not tokenizer.name_or_path:
        return None
    base = AutoTokenizer.from_pretrained(tokenizer.name_or_path)
    seen = {base.bos_token_id, base.eos_token_id} | _markers(base)
    return sorted(_markers(tokenizer) - seen) or None


def _markers(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Special tokens in a dialogue of two turns; none without a chat template, or where it wants others."""
    if tokenizer.chat_template is None:
        return set()
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "."}]
    try:
        text = str(tokenizer.apply_chat_template(turns, tokenize=False))
    except (
        TemplateError,
        TypeError,
        KeyError,
    ):  # it refuses a plain dialogue
        return set()
    return set(tokenizer(text, add_special_tokens=False)["input_ids"]) & set(tokenizer.added_tokens_decoder)


def single_tokens(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str] | None) -> list[int]:
    """The numbers of texts that are one token each, in ascending order; of all special tokens for None.

    Raises:
        ValueError: a text is none or several, or there is nothing to name.
    """
    if texts is None:
        ids = set(tokenizer.all_special_ids)
    else:
        vocabulary = tokenizer.get_vocab()
        ids = {vocabulary[text] if text in vocabulary else _single(tokenizer, text) for text in texts}
    if not ids:
        few = [tokenizer.convert_ids_to_tokens(0)]
        raise ValueError(f"peft.tokens: no token is named; set peft.tokens={few}, or others of this tokenizer")
    return sorted(ids)


def _single(tokenizer: PreTrainedTokenizerBase, text: str) -> int:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    if len(ids) == 1:
        return ids[0]
    parts = tokenizer.convert_ids_to_tokens(ids)
    reason = f"{text!r} is {len(ids)} tokens of this tokenizer" + (f": {parts}" if parts else "")
    raise ValueError(f"peft.tokens: {reason}; set peft.tokens=null for its special tokens, or name single ones")


def invocation_tokens(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """The tokens of a text that the chat template puts before an answer.

    Raises:
        ValueError: it does not.
    """
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    if tokenizer.chat_template is None:
        reason, remedy = "this tokenizer has no chat template that would put it before an answer", "choose peft=lora"
    else:
        question = [{"role": "user", "content": "?"}]
        bare, prompt = (
            str(tokenizer.apply_chat_template(question, tokenize=False, add_generation_prompt=more))
            for more in (False, True)
        )
        written: list[int] = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        if ids and any(written[start : start + len(ids)] == ids for start in range(len(written))):
            return ids
        reason = "this tokenizer's chat template puts no such text before an answer"
        remedy = f"set peft.invocation={prompt[len(bare) :]!r}"
    raise ValueError(f"peft.invocation: {text!r} would never be met: {reason}; {remedy}")

"""What library targets take where their signatures do not say it, or say less: in the terms of an annotation.

Our own signatures say it themselves, by `llmcycle.quantities`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Interval, Le, Lt

from llmcycle.quantities import Count, CountOrZero, NotNegative, Positive, PositiveShare, Share, ShareBelowOne

from .allow import qualified

OPTIMIZER = {
    "lr": Positive,
    "betas": list[ShareBelowOne],
    "weight_decay": NotNegative,
    "momentum": ShareBelowOne,
    "dampening": Share,
}
SCHEDULE = {
    "num_warmup_steps": NotNegative,  # below 1 a share of the run: llmcycle/train/learner.py
    "num_training_steps": Count | None,
    "num_cycles": Positive,
    "min_lr": NotNegative | None,
    "min_lr_rate": Share | None,
}
TRAINER = {
    "max_steps": Count | Literal[-1],
    "max_epochs": Count | Literal[-1] | None,
    "devices": Count | Literal[-1] | str | list[CountOrZero],
    "num_nodes": Count,
    "accumulate_grad_batches": Count,
    "gradient_clip_val": NotNegative | None,
    "log_every_n_steps": CountOrZero | None,
    "limit_train_batches": Count | PositiveShare | None,
    "limit_val_batches": CountOrZero | Share | None,
    "val_check_interval": Count | PositiveShare | str | dict[str, int] | None,
    "check_val_every_n_epoch": Count | None,
    "num_sanity_val_steps": Annotated[int, Ge(-1)] | None,
}
GENERATION = {
    **dict.fromkeys(("do_sample", "use_cache", "renormalize_logits", "remove_invalid_values"), bool),
    **dict.fromkeys(("max_new_tokens", "num_beams", "num_return_sequences"), Count | None),
    **dict.fromkeys(("max_length", "min_length", "min_new_tokens", "no_repeat_ngram_size"), CountOrZero | None),
    **dict.fromkeys(("temperature", "repetition_penalty"), Positive | None),
    **dict.fromkeys(("typical_p", "min_p"), Share | None),
    "top_p": PositiveShare | None,
    "top_k": CountOrZero | None,
    "length_penalty": float | None,
    "early_stopping": bool | Literal["never"] | None,
    "stop_strings": str | list[str] | None,
}
SIZES = (
    *("vocab_size", "hidden_size", "intermediate_size", "max_position_embeddings", "head_dim"),
    *("num_hidden_layers", "num_attention_heads", "num_key_value_heads", "sliding_window", "local_attention"),
    *("num_local_experts", "num_experts_per_tok", "n_embd", "n_layer", "n_head", "n_positions"),
)
ARCHITECTURE = dict.fromkeys(SIZES, Count)
DROPOUTS = (
    *("hidden_dropout_prob", "attention_probs_dropout_prob", "resid_pdrop", "embd_pdrop", "attn_pdrop"),
    *("attention_dropout", "embedding_dropout", "mlp_dropout", "hidden_dropout", "classifier_dropout"),
)
PEFT = {
    **dict.fromkeys(("r", "init_r", "target_r", "num_virtual_tokens"), Count),
    **dict.fromkeys(("lora_dropout", "rank_dropout", "module_dropout", "boft_dropout", "vera_dropout"), Share),
}
LOADING = {
    "pretrained_model_name_or_path": str,
    "revision": str | None,
    "attn_implementation": str | None,
    "num_labels": Count,
    "local_files_only": bool,
    "use_fast": bool,
    "padding_side": Literal["left", "right"],
    "chat_template": str | dict[str, str] | None,
}
# By qualified name: of a class and of all that derive from it, or of a function. A name that ends in "." is a prefix.
STATED: dict[str, Mapping[str, Any]] = {
    "torch.optim.optimizer.Optimizer": OPTIMIZER,
    "transformers.optimization.": SCHEDULE,
    "transformers.models.auto.": LOADING,
    "transformers.generation.configuration_utils.GenerationConfig": GENERATION,
    "transformers.configuration_utils.PreTrainedConfig": {**ARCHITECTURE, **dict.fromkeys(DROPOUTS, Share | None)},
    "pytorch_lightning.trainer.trainer.Trainer": TRAINER,
    "peft.tuners.lora.config.LoraConfig": {"init_lora_weights": bool | str},  # its own list lacks some
    "peft.config.PeftConfig": PEFT,
}
OPERATORS = ((Ge, "ge", "of at least"), (Gt, "gt", "above"), (Le, "le", "of at most"), (Lt, "lt", "below"))


def stated(target: Callable[..., Any]) -> dict[str, Any]:
    """Annotations of STATED for a target."""
    names = [qualified(base) for base in target.__mro__] if isinstance(target, type) else [qualified(target)]
    annotations: dict[str, Any] = {}
    for key, table in STATED.items():
        if any(name.startswith(key) if key.endswith(".") else name == key for name in names):
            annotations |= table
    return annotations


def bounds(metadata: tuple[Any, ...]) -> Iterator[tuple[str, float]]:
    """(comparison, limit) of an annotation's metadata: ("ge", 1) for `Ge(1)`."""
    for each in metadata:
        for part in each if isinstance(each, Interval) else (each,):
            for kind, name, _ in OPERATORS:
                if isinstance(part, kind):
                    yield name, getattr(part, name)


def inside(value: float, metadata: tuple[Any, ...]) -> bool:
    """Whether a number is in the range that the metadata of an annotation states; NaN is in none."""
    tests = {
        "ge": lambda limit: value >= limit,
        "gt": lambda limit: value > limit,
        "le": lambda limit: value <= limit,
        "lt": lambda limit: value < limit,
    }
    return all(tests[name](limit) for name, limit in bounds(metadata))


def words(metadata: tuple[Any, ...]) -> str:
    """The range in words: "of at least 1", "above 0 and below 1"."""
    said = {name: text for _, name, text in OPERATORS}
    return " and ".join(f"{said[name]} {limit:g}" for name, limit in bounds(metadata))


def example(metadata: tuple[Any, ...], whole: bool) -> float:
    """A number inside a range."""
    limits = dict(bounds(metadata))
    low = limits.get("ge", limits.get("gt", 0))
    high = limits.get("le", limits.get("lt"))
    if whole:
        return int(low) + (1 if "gt" in limits else 0)
    return low + (high - low) / 10 if high is not None else low + 0.1

"""A byte-level BPE tokenizer, trained on the rows that the model will be trained on."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from llmcycle.data.chat import ASSISTANT, BOS, END, PAD, USER

SPECIAL = (BOS, PAD, USER, ASSISTANT, END)  # ids 0 to 4, whatever the corpus
BYTES = 256


class ByteLevelBPE:
    """Byte-level BPE (GPT-2): any text can be written, and no token is unknown.

    A blank is put before every text and after every special token, so that a word is the same token wherever it stands.

    Args:
        vocab_size: tokens at most, 5 special ones and 256 bytes among them, so that 261 is one token a byte.
    """

    def __init__(self, vocab_size: int) -> None:
        if vocab_size < len(SPECIAL) + BYTES:
            raise ValueError(
                f"tokenizer.vocab_size={vocab_size}: {len(SPECIAL)} special tokens and {BYTES} bytes need at least "
                f"{len(SPECIAL) + BYTES}"
            )
        self.vocab_size = vocab_size

    def train(self, texts: Iterable[str]) -> PreTrainedTokenizerFast:
        """The tokenizer; it begins a text with <|endoftext|>, which also ends a document, and pads with <|pad|>."""
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocab_size,
            special_tokens=list(SPECIAL),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, 0)])
        return PreTrainedTokenizerFast(
            tokenizer_object=tokenizer,
            bos_token=BOS,
            eos_token=BOS,
            pad_token=PAD,
            additional_special_tokens=[USER, ASSISTANT, END],
        )

"""Tokenizers that are trained on the rows that the model will be trained on: BPE, Unigram, WordPiece, characters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from llmcycle.data.chat import ASSISTANT, BOS, END, PAD, USER
from llmcycle.quantities import Count

SPECIAL = (BOS, PAD, USER, ASSISTANT, END)  # ids 0 to 4, whatever the corpus
MASK, UNKNOWN = "<|mask|>", "<|unk|>"  # the ids after them, where there is one
BYTES = 256


class Trainable:
    """What all have in common: the special tokens, and a text that begins with <|endoftext|>.

    Args:
        vocab_size: tokens at most, the special ones among them.
        mask: whether there is a mask token, for masked-token training.

    Raises:
        ValueError: `vocab_size` does not even hold what every corpus needs.
    """

    is_new: ClassVar[bool] = True  # `check` reads it: no model knows this vocabulary yet
    unknown = False  # whether there are texts that it cannot write
    least = 0  # tokens that are there beside the special ones, whatever the corpus

    def __init__(self, vocab_size: Count, mask: bool = False) -> None:
        self.special = [*SPECIAL, *([MASK] if mask else []), *([UNKNOWN] if self.unknown else [])]
        self.mask, self.vocab_size = mask, vocab_size
        fewest = len(self.special) + self.least
        if vocab_size < fewest:
            raise ValueError(
                f"tokenizer.vocab_size: {vocab_size} tokens are too few for {len(self.special)} special tokens and "
                f"{self.least} bytes\n  try: tokenizer.vocab_size={fewest}"
            )

    @classmethod
    def preflight(cls, **arguments: Any) -> None:
        """Refuse, before anything runs, a vocabulary that is too small."""
        cls(**arguments)

    def backend(self, texts: Iterable[str]) -> Tokenizer:
        """The trained tokenizer, without what all have in common."""
        raise NotImplementedError(f"{type(self).__name__} must say how it is trained")

    def train(self, texts: Iterable[str]) -> PreTrainedTokenizerFast:
        """The tokenizer; it begins a text with <|endoftext|>, which also ends a document, and pads with <|pad|>."""
        backend = self.backend(texts)
        backend.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, 0)])
        named = {"mask_token": MASK} if self.mask else {}
        return PreTrainedTokenizerFast(
            tokenizer_object=backend,
            bos_token=BOS,
            eos_token=BOS,
            pad_token=PAD,
            additional_special_tokens=[USER, ASSISTANT, END],
            clean_up_tokenization_spaces=False,
            **({"unk_token": UNKNOWN} if self.unknown else {}),
            **named,
        )


class ByteLevelBPE(Trainable):
    """Byte-level BPE (GPT-2): any text can be written, and no token is unknown.

    A blank is put before every text and after every special token, so that a word is the same token wherever it stands.
    A `vocab_size` of the special tokens and 256 is one token a byte.
    """

    least = BYTES

    def backend(self, texts: Iterable[str]) -> Tokenizer:
        """Pairs are merged in the order of their counts."""
        return byte_level(models.BPE(), trainers.BpeTrainer, texts, self.vocab_size, self.special)


class ByteLevelUnigram(Trainable):
    """Unigram (arXiv:1804.10959) over bytes: the likeliest cut under token probabilities. No token is unknown."""

    least = BYTES

    def backend(self, texts: Iterable[str]) -> Tokenizer:
        """Expectation maximisation over a large vocabulary that is cut down."""
        return byte_level(models.Unigram(), trainers.UnigramTrainer, texts, self.vocab_size, self.special)


class WordPiece(Trainable):
    """BERT's WordPiece (arXiv:1810.04805): words and "##" pieces; white space is lost, and a word may be unknown.

    Args:
        vocab_size, mask: as everywhere.
        lowercase: BERT's "uncased": case and accents are lost too.
    """

    unknown = True

    def __init__(self, vocab_size: Count, mask: bool = False, lowercase: bool = False) -> None:
        super().__init__(vocab_size, mask)
        self.lowercase = lowercase

    def backend(self, texts: Iterable[str]) -> Tokenizer:
        """As for BERT."""
        tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=self.lowercase)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece()
        trainer = trainers.WordPieceTrainer(
            vocab_size=self.vocab_size, special_tokens=self.special, show_progress=False
        )
        tokenizer.train_from_iterator(texts, trainer)
        return tokenizer


class Characters(Trainable):
    """One token for each character of the corpus, as in nanoGPT's character-level Shakespeare; others are unknown."""

    unknown = True

    def backend(self, texts: Iterable[str]) -> Tokenizer:
        """Characters in the order of their code points.

        Raises:
            ValueError: there are more than `vocab_size` has room for.
        """
        characters = sorted({character for text in texts for character in text})
        needed = len(self.special) + len(characters)
        if needed > self.vocab_size:
            raise ValueError(
                f"tokenizer.vocab_size={self.vocab_size}: the corpus has {len(characters)} different characters; "
                f"with the special tokens that makes {needed}"
            )
        vocabulary = {token: index for index, token in enumerate([*self.special, *characters])}
        tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token=UNKNOWN))  # without merges a text stays characters
        tokenizer.decoder = decoders.Fuse()
        tokenizer.add_special_tokens(self.special)
        return tokenizer


def byte_level(
    model: models.Model, trainer: type, texts: Iterable[str], vocab_size: int, special: list[str]
) -> Tokenizer:
    """A tokenizer over bytes that stand as printable characters, all 256 of them always in its vocabulary."""
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    settings = trainer(
        vocab_size=vocab_size,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, settings)
    return tokenizer

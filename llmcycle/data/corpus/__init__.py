"""Corpora by YAML: sources with weights, filters, duplicates, contamination, and streams larger than memory."""

from llmcycle.data.corpus.contamination import Decontaminate
from llmcycle.data.corpus.corpus import Corpus
from llmcycle.data.corpus.duplicates import Exact, MinHash
from llmcycle.data.corpus.filters import Gopher, Length, Repetition

__all__ = ["Corpus", "Decontaminate", "Exact", "Gopher", "Length", "MinHash", "Repetition"]

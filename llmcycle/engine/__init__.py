"""An opened model that can be asked, behind one small protocol."""

from llmcycle.engine.draws import seeded
from llmcycle.engine.engine import Answer, BadPrompt, Engine, Hidden, Labelled, Piece, Restored, texts
from llmcycle.engine.generation import evaluation_mode
from llmcycle.engine.likelihood import completion_logprobs, total
from llmcycle.engine.samples import write_samples
from llmcycle.engine.transformers import LocalEngine, TransformersEngine

__all__ = [
    "Answer",
    "BadPrompt",
    "Engine",
    "Hidden",
    "Labelled",
    "LocalEngine",
    "Piece",
    "Restored",
    "TransformersEngine",
    "completion_logprobs",
    "evaluation_mode",
    "seeded",
    "texts",
    "total",
    "write_samples",
]

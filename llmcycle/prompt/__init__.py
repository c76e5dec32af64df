"""Templates, shots and decoding strategies, searched without changing a weight."""

from llmcycle.prompt.decoding import Decoding, LikeliestChoice, majority
from llmcycle.prompt.stage import search
from llmcycle.prompt.template import Template

__all__ = ["Decoding", "LikeliestChoice", "Template", "majority", "search"]

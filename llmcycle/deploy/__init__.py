"""Stage 5b: serve a model and prove that it answers as it did in-process."""

from llmcycle.deploy.serving import serve
from llmcycle.deploy.stage import deploy
from llmcycle.deploy.terminal import chat

__all__ = ["chat", "deploy", "serve"]

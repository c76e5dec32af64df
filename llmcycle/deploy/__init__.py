"""Stage 5b: serve a model and prove that it answers as it did in-process."""

from llmcycle.deploy.chat import chat
from llmcycle.deploy.serve import serve
from llmcycle.deploy.stage import deploy

__all__ = ["chat", "deploy", "serve"]

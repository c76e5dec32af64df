"""What a stage leaves behind: verified, content-addressed folders, and the way from each back to its data."""

from llmcycle.artifact.artifact import MANIFEST, Artifact, CorruptArtifact
from llmcycle.artifact.identity import SOMETIMES, canonical, digest_path, environment, git_state, identify
from llmcycle.artifact.lineage import Freed, dependants, gc, reported, roots, tree, with_dependants
from llmcycle.artifact.store import AmbiguousId, Draft, Store
from llmcycle.artifact.tags import tag, tags_of, untag

__all__ = [
    "MANIFEST",
    "SOMETIMES",
    "AmbiguousId",
    "Artifact",
    "CorruptArtifact",
    "Draft",
    "Freed",
    "Store",
    "canonical",
    "dependants",
    "digest_path",
    "environment",
    "gc",
    "git_state",
    "identify",
    "reported",
    "roots",
    "tag",
    "tags_of",
    "tree",
    "untag",
    "with_dependants",
]

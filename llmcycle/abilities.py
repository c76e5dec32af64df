"""What a model of each kind can be asked: said once, for the engine that asks and for the check that loads nothing."""

from __future__ import annotations

CAUSAL, MASKED, CLASSIFIER, STEPS = "causal", "masked", "classifier", "token_classifier"
ABILITIES = {
    CAUSAL: frozenset({"answer", "sample", "score", "stream", "prefer"}),
    MASKED: frozenset({"masked"}),
    CLASSIFIER: frozenset({"reward", "prefer"}),
    STEPS: frozenset({"steps"}),
}

"""Objectives of alignment: a policy from pairs or from rewards of its own answers, and reward models of all kinds."""

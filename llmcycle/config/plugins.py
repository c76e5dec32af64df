"""Plugins of Hydra that are not installed, or that llmcycle does without."""

# By the option that they bring: what is needed, and what to type.
PLUGINS = {
    **{
        f"hydra/launcher/{name}": (f"the package {package}, which is not installed", f"pip install {package}")
        for name, package in {
            "joblib": "hydra-joblib-launcher",
            "submitit_local": "hydra-submitit-launcher",
            "submitit_slurm": "hydra-submitit-launcher",
        }.items()
    },
    "hydra/sweeper/optuna": ("a plugin that wants Optuna before 3; llmcycle has a sweeper of its own", "search=tpe"),
}

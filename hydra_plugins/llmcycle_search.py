"""The sweeper of recipes that search, where Hydra looks for plugins: in this namespace and in no other package.

Imported at the start of every command, so that what it needs is imported when it sweeps.
"""

from __future__ import annotations

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class SearchSweeper(Sweeper):
    """Chooses the values of swept settings trial by trial, as `search` in the recipe says."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run trials until there are as many as asked for.

        Raises:
            SystemExit: caused by what went wrong outside of an arm, which has been said.
        """
        from llmcycle.guard import say
        from llmcycle.search.sweep import Sweep

        assert self.config is not None
        assert self.hydra_context is not None
        try:
            Sweep(self.config, self.launcher, self.hydra_context.config_loader).run(arguments)
        except Exception as error:  # Hydra would print its traceback
            raise SystemExit(say(error)) from error


NODE = {"_target_": f"{SearchSweeper.__module__}.{SearchSweeper.__name__}"}
ConfigStore.instance().store(group="hydra/sweeper", name="search", node=NODE, provider="llmcycle")

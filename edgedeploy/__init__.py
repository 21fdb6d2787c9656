"""Trained MobileNets to the best engine for the device at hand, with measured proof.

The names below are imported on first use, so ``import edgedeploy`` loads no vendor library and
no NumPy. This file travels to boards: it is valid Python 3.6.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, List

if TYPE_CHECKING:
    from edgedeploy.runtime.errors import EdgeDeployError
    from edgedeploy.runtime.runtime import Prediction, Runtime

__all__ = ["EdgeDeployError", "Prediction", "Runtime", "__version__"]

__version__ = "0.1.0"

_HOMES = {
    "EdgeDeployError": ".runtime.errors",
    "Prediction": ".runtime.runtime",
    "Runtime": ".runtime.runtime",
}


class _Package(ModuleType):
    """This package, with names that load when they are first asked for.

    A module's own ``__getattr__`` (PEP 562) needs Python 3.7; giving the module a class works
    since 3.5.
    """

    def __getattr__(self, name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(_HOMES[name], self.__name__), name)
        setattr(self, name, value)
        return value

    def __dir__(self) -> List[str]:
        return sorted(set(super().__dir__()) | set(__all__))


sys.modules[__name__].__class__ = _Package

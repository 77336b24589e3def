"""Every path that has to have a recorded history."""

from collections.abc import Mapping
from types import MappingProxyType

from tests.histories import approving, conversing, deploying, notifying, operating
from tests.histories.scenario import SCENARIOS, Scenario

_MODULES = (
    conversing,
    approving,
    deploying,
    notifying,
    operating,
)  # loading them adds their scenarios

PATHS: Mapping[str, Scenario] = MappingProxyType(SCENARIOS)

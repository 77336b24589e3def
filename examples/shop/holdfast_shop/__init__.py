"""The demonstration business: a retail shop, brought as a user of Holdfast brings their own.

It uses the public API only: an agent (`orders`), nine reads, seven actions, a policy, tables,
help-centre articles and generated data.
"""

from pathlib import Path

from holdfast import Package
from holdfast_shop.actions import ACTIONS
from holdfast_shop.generate import seed
from holdfast_shop.hints import hints as offline_hints
from holdfast_shop.orders import orders as orders_agent

_HOME = Path(__file__).parent

package = Package(
    name="shop",
    subgraphs=(orders_agent,),
    actions=ACTIONS,
    policy=_HOME / "policy.yaml",
    migrations=_HOME / "migrations",
    articles=_HOME / "articles",
    hints=offline_hints,
    seed=seed,
)

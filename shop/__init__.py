"""The demonstration business: a retail shop, brought as a user of Holdfast brings their own.

It uses the public API only: an agent (`orders`), nine reads, seven actions, a policy, tables,
help-centre articles and generated data.
"""

from pathlib import Path

from holdfast import Package
from shop.actions import ACTIONS
from shop.generate import seed
from shop.orders import orders

_HOME = Path(__file__).parent

package = Package(
    name="shop",
    subgraphs=(orders,),
    actions=ACTIONS,
    policy=_HOME / "policy.yaml",
    migrations=_HOME / "migrations",
    articles=_HOME / "articles",
    seed=seed,
)

"""What the offline model has to know about a shop, so that the demonstration works without a model."""

from holdfast import Hints
from holdfast_shop.hints.intents import INTENTS
from holdfast_shop.hints.refusals import REFUSALS
from holdfast_shop.hints.tools import TOOLS

hints = Hints(intents=INTENTS, tools=TOOLS, errors=REFUSALS)

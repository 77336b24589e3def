"""What the demonstration shop sells: fifteen invented products with their options and prices."""

from dataclasses import dataclass
from itertools import product


@dataclass(frozen=True)
class CatalogueProduct:
    """A product; every combination of its options is a variant.

    `options` gives for each value the surcharge on `base`; both are in US cents.
    """

    name: str
    base: int
    options: dict[str, dict[str, int]]

    def variants(self) -> list[tuple[dict[str, str], int]]:
        """Options and price in US cents of each variant."""
        return [
            (
                dict(zip(self.options, values, strict=True)),
                self.base
                + sum(
                    self.options[name][value]
                    for name, value in zip(self.options, values, strict=True)
                ),
            )
            for values in product(*self.options.values())
        ]


_SIZES = {"S": 0, "M": 0, "L": 0, "XL": 400}

CATALOGUE = (
    CatalogueProduct("Rain Jacket", 8950, {"color": {"navy": 0, "moss": 0}, "size": _SIZES}),
    CatalogueProduct("Merino Sweater", 7400, {"color": {"grey": 0, "rust": 250}, "size": _SIZES}),
    CatalogueProduct(
        "Trail Shoes",
        10900,
        {"color": {"black": 0, "sand": 0}, "size": {"7": 0, "8": 0, "9": 0, "10": 0, "11": 300}},
    ),
    CatalogueProduct(
        "Camping Tent", 18900, {"persons": {"2": 0, "4": 7000}, "season": {"3": 0, "4": 5500}}
    ),
    CatalogueProduct(
        "Sleeping Bag",
        9450,
        {"comfort": {"10C": 0, "0C": 3000, "-10C": 6500}, "zip": {"left": 0, "right": 0}},
    ),
    CatalogueProduct(
        "Picnic Blanket",
        3450,
        {"pattern": {"checked": 0, "plain": 0}, "backing": {"none": 0, "waterproof": 900}},
    ),
    CatalogueProduct(
        "Binoculars",
        12900,
        {"magnification": {"8x": 0, "10x": 2500}, "lens": {"32mm": 0, "42mm": 3100}},
    ),
    CatalogueProduct(
        "Cast Iron Pan",
        4295,
        {"diameter": {"20cm": 0, "24cm": 700, "28cm": 1500}, "lid": {"without": 0, "with": 1250}},
    ),
    CatalogueProduct(
        "Coffee Grinder",
        5990,
        {"burr": {"steel": 0, "ceramic": 1100}, "color": {"black": 0, "copper": 650}},
    ),
    CatalogueProduct(
        "Ceramic Mug",
        1450,
        {"glaze": {"white": 0, "blue": 0, "green": 0}, "volume": {"250ml": 0, "400ml": 300}},
    ),
    CatalogueProduct(
        "Linen Bedding",
        11900,
        {"color": {"white": 0, "clay": 400}, "size": {"twin": 0, "queen": 3500, "king": 5500}},
    ),
    CatalogueProduct(
        "Reading Lamp",
        5650,
        {"stand": {"clip": 0, "table": 800, "floor": 3900}, "shade": {"black": 0, "brass": 1200}},
    ),
    CatalogueProduct(
        "Alarm Clock",
        2790,
        {"display": {"analog": 0, "digital": 450}, "color": {"white": 0, "walnut": 600}},
    ),
    CatalogueProduct(
        "Record Player",
        16900,
        {"drive": {"belt": 0, "direct": 6000}, "finish": {"walnut": 0, "black": 0}},
    ),
    CatalogueProduct(
        "Chess Set",
        3990,
        {"board": {"folding": 0, "solid": 2200}, "pieces": {"beech": 0, "boxwood": 1500}},
    ),
)

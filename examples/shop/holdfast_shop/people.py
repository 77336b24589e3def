"""Names and places that invented customers are made of."""

# fmt: off
FIRST_NAMES = (
    "Ada", "Bruno", "Celia", "Dario", "Elin", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kaia",
    "Leo", "Mina", "Nils", "Oona", "Pavel", "Rosa", "Sven", "Tilda", "Umar", "Vera", "Wim",
    "Yara", "Zeno",
)
LAST_NAMES = (
    "Abel", "Brandt", "Castell", "Dahl", "Eklund", "Ferro", "Grau", "Holm", "Iversen", "Jansen",
    "Kovac", "Lorenz", "Marek", "Novak", "Olsen", "Petit", "Quist", "Reyes", "Sandoval", "Thorn",
    "Urban", "Vidal", "Weiss", "Zeller",
)
# fmt: on
STREETS = ("Harbor Street", "Orchard Lane", "Mill Road", "Juniper Avenue", "Station Square")
CITIES = (
    ("Portland", "OR", "97214"),
    ("Portland", "ME", "04101"),
    ("Madison", "WI", "53703"),
    ("Boise", "ID", "83702"),
    ("Asheville", "NC", "28801"),
    ("Santa Fe", "NM", "87501"),
    ("Duluth", "MN", "55802"),
    ("Savannah", "GA", "31401"),
)
"""City, state and zip code."""

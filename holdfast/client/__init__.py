"""The typed async client of services."""

from holdfast.client.client import HoldfastClient as HoldfastClient

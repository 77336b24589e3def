"""Triage: which agent gets a message, how urgent it is, in which language it is written."""

from holdfast.contract.subgraph import Subgraph
from holdfast.domain.wire import TRIAGE
from holdfast.graphs.triage.graph import build

triage = Subgraph(name=TRIAGE, description="Decides which agent gets each message.", graph=build)

"""Triage: which agent gets a message, how urgent it is, in which language it is written."""

from holdfast.domain.wire import TRIAGE
from holdfast.subgraphs.contract import Subgraph
from holdfast.subgraphs.triage.graph import build

triage = Subgraph(name=TRIAGE, description="Decides which agent gets each message.", graph=build)

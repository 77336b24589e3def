"""The typed async client of services: conversations, approvals, takeovers, events."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TypeVar, cast
from uuid import uuid4

from pydantic import BaseModel, JsonValue, ValidationError
from temporalio.client import Client, WithStartWorkflowOperation, WorkflowHandle
from temporalio.client import WorkflowQueryRejectedError, WorkflowUpdateRPCTimeoutOrCancelledError

"""The story: a customer, six requests, a killed worker, three approvals."""

import asyncio
import signal
import tempfile
import time
from pathlib import Path

from holdfast import Accept, ConversationView, HoldfastClient, Reject, SentMessage, Settings
from holdfast_shop import demo_data as data
from holdfast_shop.demo.expectations import expect
from holdfast_shop.demo.narrator import Narrator
from holdfast_shop.demo.policy import ESCALATE_AFTER, REMIND_AFTER
from holdfast_shop.demo.summary import Kill, Summary, summarise
from holdfast_shop.demo.talk import CUSTOMER_CALLED, LEAD, REVIEWER, Talk
from holdfast_shop.demo.workers import WorkerProcess, Workers

FAULT = "after_ledger_save"

WHERE_IS_IT = "where-is-my-order"
POLICY = "shipping-costs"
ADDRESS = "new-address"
CANCELLATION = "cancellation"
RETURN = "return"
BIG_REFUND = "big-refund"


async def prepare(tenant: str, workers: Workers, narrator: Narrator) -> None:
    """Get the database ready, with the tenant's data in it. No client can connect before.

    Raises:
        WorkerFailed: that did not work.
    """
    narrator.chapter(
        0,
        "A worker starts",
        "Workers are ordinary processes. They keep nothing: Temporal owns the conversations, "
        "Postgres the records.",
    )
    with narrator.timing(f"tenant {tenant}: tables migrated, articles and orders loaded"):
        await workers.seed(tenant)


class Story:
    """A run in the tenant of `client`, which is prepared; `workers` starts its workers."""

    def __init__(
        self, client: HoldfastClient, settings: Settings, workers: Workers, narrator: Narrator
    ) -> None:
        self._client = client
        self._settings = settings
        self._workers = workers
        self._narrator = narrator

    async def play(self) -> Summary:
        """Play it from the first worker to the last message.

        Raises:
            Unexpected: something did not turn out as promised.
            WorkerFailed: a worker did not start.
            HoldfastError: a request failed.
        """
        began = time.monotonic()
        worker = await self._start_worker()
        await self._order_status()
        await self._policy_question()
        await self._address_change()
        kill = await self._cancellation(worker)
        await self._rejected_return()
        await self._two_people()
        conversations = (WHERE_IS_IT, POLICY, ADDRESS, CANCELLATION, RETURN, BIG_REFUND)
        with self._narrator.timing("the conversations are closed; a message would reopen them"):
            await asyncio.gather(
                *(
                    self._client.close(conversation, reason="the demonstration is over")
                    for conversation in conversations
                )
            )
        return await summarise(
            self._client,
            self._settings,
            conversations,
            answered_calls=self._workers.model_calls,
            kill=kill,
            seconds=time.monotonic() - began,
        )

    async def _start_worker(self, *, fault: str | None = None) -> WorkerProcess:
        worker, seconds = await self._workers.start(fault=fault)
        self._narrator.notes(f"worker process {worker.pid} is ready", seconds)
        return worker

    def _talk(self, conversation: str) -> Talk:
        return Talk(self._client, self._narrator, conversation)

    async def _order_status(self) -> None:
        self._narrator.chapter(
            1,
            "Where is my order?",
            "Triage picks the orders agent; it may read this customer's orders, and no others.",
        )
        await self._talk(WHERE_IS_IT).ask(f"Hi, where is my order {data.ORDER_ON_ITS_WAY}?")

    async def _policy_question(self) -> None:
        self._narrator.chapter(
            2,
            "A question about the rules",
            "Answered from the shop's help-centre articles, and it says from which.",
        )
        answer = await self._talk(POLICY).ask("What does shipping cost?")
        expect(bool(answer.citations), "the answer cites an article", answer.reply)

    async def _address_change(self) -> None:
        self._narrator.chapter(
            3,
            "A change that the policy allows",
            "The agent only proposes. The policy allows this action, so it is executed at once: "
            "change, record and audit entry are one transaction.",
        )
        await self._talk(ADDRESS).ask(
            f"I have moved. Please send order {data.ORDER_TO_READDRESS} to 48 Orchard Lane, "
            "Portland, OR 97214 instead."
        )
        await self._expect_action(ADDRESS, "modify_pending_order_address", "executed", "allow")

    async def _cancellation(self, worker: WorkerProcess) -> Kill:
        self._narrator.chapter(
            4,
            "A cancellation above the limit, and a worker that dies",
            "Refunds above 100 USD need a person. The turn is parked, for days if need be, and the "
            "conversation goes on. A worker that dies costs nothing that was finished.",
        )
        talk = self._talk(CANCELLATION)
        await talk.ask(
            f"Please cancel order {data.ORDER_TO_CANCEL}, I ordered it by mistake.",
            gets="awaiting_approval",
        )
        await talk.ask("How long will the refund take?")
        kill = await self._kill(talk, worker)
        self._narrator.notes(f"now {REVIEWER.id} of the refunds team looks at what waits")
        await talk.decide(await talk.waiting_approval(), Accept(), REVIEWER)
        await self._expect_action(CANCELLATION, "cancel_pending_order", "executed", "approve")
        return kill

    async def _kill(self, talk: Talk, worker: WorkerProcess) -> Kill:
        """A turn whose worker dies by SIGKILL in its middle, and what there was at that moment."""
        with self._narrator.timing(f"worker process {worker.pid} is asked to stop, and stops"):
            await worker.stop()
        self._narrator.notes(
            "the offline model answers too fast to be interrupted by hand, so the next worker is told "
            f"to kill itself with SIGKILL at the fault point {FAULT}: once a model's answer is "
            "recorded, before the turn is committed"
        )
        before = await self._client.show(talk.conversation)
        text = f"And where is my order {data.ORDER_ON_ITS_WAY} right now?"
        with tempfile.TemporaryDirectory(prefix="holdfast-demo-") as folder:
            doomed = await self._start_worker(fault=f"{FAULT}:{Path(folder) / 'fired'}")
            self._narrator.says(CUSTOMER_CALLED, text)
            began = time.monotonic()
            sending = asyncio.create_task(talk.send(text))
            try:
                at_death = await self._death(doomed, sending, talk.conversation)
                successor = await self._start_worker()
                answer = await sending
            finally:
                sending.cancel()
        seconds = time.monotonic() - began
        talk.hear(answer, seconds)
        kill = Kill(
            conversation=talk.conversation,
            turn=answer.turn or 0,
            signal="SIGKILL",
            calls_answered=doomed.model_calls,
            calls_recorded=at_death.model_calls - before.model_calls,
            replies=sum(
                message.turn == answer.turn and message.role != "customer"
                for message in at_death.messages
            ),
            calls_after=successor.model_calls,
            seconds=round(seconds, 1),
        )
        expect(kill.calls_recorded == 1, "one model call was recorded before the kill", kill)
        expect(kill.replies == 0, "no reply was committed before the kill", kill)
        self._narrator.notes(
            f"worker process {successor.pid} found the recorded model call, and made only the other "
            f"{kill.calls_after} of the turn"
        )
        return kill

    async def _death(
        self, doomed: WorkerProcess, sending: "asyncio.Task[SentMessage]", conversation: str
    ) -> ConversationView:
        """Wait until the worker has died; the conversation's records as it leaves them."""
        dying = asyncio.create_task(doomed.wait_ended())
        await asyncio.wait((sending, dying), return_when=asyncio.FIRST_COMPLETED)
        if not dying.done():
            dying.cancel()
            expect(False, "the worker dies before it has answered", await sending)
        code = await dying
        expect(code == -signal.SIGKILL, "the worker dies by SIGKILL", f"exit code {code}")
        self._narrator.notes(
            f"worker process {doomed.pid} is dead; its session with Postgres has ended with it, so "
            "what it worked on goes to another worker, which is started meanwhile"
        )
        return await self._client.show(conversation)

    async def _rejected_return(self) -> None:
        self._narrator.chapter(
            5,
            "A return that the reviewer rejects",
            "The agent reads the reviewer's reason and explains it; nothing is executed.",
        )
        talk = self._talk(RETURN)
        await talk.ask(
            f"I would like to return the Merino Sweater from order {data.ORDER_TO_RETURN}, it does "
            "not fit.",
            gets="awaiting_approval",
        )
        await talk.decide(
            await talk.waiting_approval(),
            Reject(
                "The order was delivered more than 30 days ago, and returns are possible for 30 days."
            ),
            REVIEWER,
        )
        await self._expect_action(RETURN, "return_delivered_order_items", "rejected", "approve")

    async def _two_people(self) -> None:
        self._narrator.chapter(
            6,
            "A refund far above the limit, which two people have to approve",
            "Above 1,000 USD the policy wants two people of the refunds team. Where nobody decides, it "
            "reminds people, and lets others decide, too; the deadlines are Temporal's timers.",
        )
        self._narrator.notes(
            "so that you need not wait for hours, this tenant's policy is a copy of the shop's policy.yaml "
            f"that reminds people after {REMIND_AFTER} and escalates after {ESCALATE_AFTER}"
        )
        talk = self._talk(BIG_REFUND)
        await talk.ask(
            f"Please cancel order {data.LARGE_ORDER}, we no longer need it.",
            gets="awaiting_approval",
        )
        approval = await talk.waiting_approval()
        await talk.decide(approval, Accept(), REVIEWER)
        await talk.accept_again(approval, REVIEWER)
        self._narrator.notes("nobody else of the refunds team is there …")
        await talk.escalation(approval)
        await talk.decide(approval, Accept(), LEAD)
        decisions = (await self._client.approvals.get(approval.id)).decisions
        accepted = [one.reviewer for one in decisions if one.kind == "accept" and not one.refusal]
        expect(accepted == [REVIEWER.id, LEAD.id], "two people have accepted", accepted)
        await self._expect_action(BIG_REFUND, "cancel_pending_order", "executed", "approve")

    async def _expect_action(self, conversation: str, name: str, state: str, verdict: str) -> None:
        actions = (await self._client.show(conversation)).actions
        found = [(one.name, one.state, one.verdict, one.executions) for one in actions]
        times = 1 if state == "executed" else 0
        promise = f"{name} is the one action, {state}, by the policy's {verdict}, {times} times"
        expect(found == [(name, state, verdict, times)], promise, found)
        done = "carried out once" if times else "never carried out"
        self._narrator.notes(f"{name} is {state}: it was {done}")

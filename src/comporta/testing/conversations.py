"""Conversations as a Chatwoot would report them: which events follow from what people do.

One conversation is told event by event, each body carrying a marker by which a sink can tell loss,
repetition and disorder. Pure: time and randomness are passed in.
"""

from collections.abc import Iterator
from random import Random

import msgspec

from comporta.domain.fleet import SourceKind
from comporta.testing.bodies import Template, iso, rails_json, template
from comporta.testing.stories import DISTRICTS, PEOPLE, SHOPS, STORIES, Line

_TYPING = ("conversation_typing_on", "conversation_typing_off")
_RECEIPTS = 3
"""A reply is followed by one to three updates: sent on, delivered, read."""

# Kind of source → what happens → the samples that report it, in order. "*" marks receipts.
_REPORTS: dict[SourceKind, dict[str, tuple[str, ...]]] = {
    SourceKind.ACCOUNT: {
        "opened": ("contact_created", "conversation_created"),
        "c": ("message_created", "contact_updated"),
        "a": (
            *_TYPING,
            "message_created.account.outgoing_agent",
            "*message_updated",
            "conversation_updated.account.waiting_since",
        ),
        "n": ("message_created.account.private_note",),
        "assigned": ("conversation_updated",),
        "resolved": ("conversation_status_changed", "conversation_updated.account.status"),
    },
    SourceKind.API_INBOX: {
        "opened": ("api_inbox.conversation_created",),
        "c": ("api_inbox.message_created.incoming_echo",),
        "a": (
            *(f"api_inbox.{name}" for name in _TYPING),
            "api_inbox.message_created",
            "api_inbox.conversation_updated",
        ),
        "n": ("api_inbox.message_created.private_note",),
        "assigned": ("api_inbox.conversation_updated",),
        "resolved": ("api_inbox.conversation_status_changed", "api_inbox.conversation_updated"),
    },
    SourceKind.AGENT_BOT: {
        "opened": (),
        "c": ("agent_bot.message_created", "agent_bot.message_created.own_reply"),
        "a": ("message_created.account.outgoing_agent", "*agent_bot.message_updated"),
        "n": ("agent_bot.message_created.private_note",),
        "assigned": ("agent_bot.conversation_updated",),
        "resolved": (
            "agent_bot.conversation_status_changed",
            "agent_bot.conversation_resolved",
            "agent_bot.conversation_updated",
        ),
    },
}


class Body(msgspec.Struct, frozen=True, gc=False):
    """One webhook body and what its marker says."""

    event_type: str
    subject: str
    seq: int
    data: bytes


class Account:
    """One account of an emulated Chatwoot: a shop, and the numbers that its database gives out.

    Args:
        name: the instance's slug.
        kind: of the source that reports.
        account_id: 1 in most installations.
        run: for the markers; it has to differ between accounts.
        random: of this account alone.
    """

    def __init__(
        self, name: str, kind: SourceKind, account_id: int, run: str, random: Random
    ) -> None:
        self.kind = kind
        self.id = account_id
        self.run = rails_json(run)
        self.random = random
        self.shop = random.choice(SHOPS)
        self.conversations = 0
        self.messages = 0
        self.values = {
            b"host": f"chat.{name}.example".encode(),
            b"account": b"%d" % account_id,
            b"account_name": rails_json(self.shop.name),
            b"inbox": b"%d" % random.randint(1, 40),
            b"inbox_name": b'"Canal API"' if kind is SourceKind.API_INBOX else b'"WhatsApp"',
        }


class Conversation:
    """One conversation, from the first "oi" until it is resolved."""

    def __init__(self, account: Account, now_s: float) -> None:
        random = account.random
        account.conversations += 1
        self._account = account
        self._seqs = {False: 0, True: 0}
        self._subjects = {
            False: f"conversation:{account.conversations}",
            True: f"contact:{account.conversations}",
        }
        person, agent = random.choice(PEOPLE), random.choice(account.shop.agents)
        item, price = random.choice(account.shop.items)
        self._names = {
            "shop": account.shop.name,
            "name": person.split()[0],
            "agent": agent.split()[0],
            "item": item,
            "price": price,
            "district": random.choice(DISTRICTS),
            "order": f"{random.choice('ABCD')}-{random.randint(10000, 99999)}",
        }
        phone = f"55{random.choice((11, 21, 31, 62, 81))}9{random.randint(10**7, 10**8 - 1)}"
        self._values = account.values | {
            b"conversation": b"%d" % account.conversations,
            b"contact": b"%d" % account.conversations,
            b"contact_name": rails_json(person),
            b"contact_email": b'"cliente%d@correio.example"' % account.conversations,
            b"contact_source": f'"{phone}"'.encode(),
            b"phone": f'"+{phone}"'.encode(),
            b"agent": b"%d" % (1 + account.shop.agents.index(agent)),
            b"agent_name": rails_json(agent),
            b"agent_email": b'"atendimento@loja.example"',
            b"opened_s": b"%d" % now_s,
            b"opened_iso": iso(now_s),
        }
        self._hear(Line("c", ""))

    def steps(self) -> Iterator[Template]:
        """What is reported, one after the other; render each before asking for the next."""
        reports, random = _REPORTS[self._account.kind], self._account.random
        story = random.choice(STORIES)
        self._hear(story[0])  # Chatwoot reports the new conversation with its first message
        yield from map(template, reports["opened"])
        answered = False
        for line in story:
            if line.by == "a" and not answered:
                answered = True
                yield from map(template, reports["assigned"])
            self._hear(line)
            for name in reports[line.by]:
                times = random.randint(1, _RECEIPTS) if name.startswith("*") else 1
                for _ in range(times):
                    yield template(name.removeprefix("*"))
        yield from map(template, reports["resolved"])

    def render(self, form: Template, now_s: float) -> Body:
        """The body of a step, sent at `now_s` (Unix seconds), with its subject's next number."""
        about = form.about_contact
        self._seqs[about] += 1
        seq = self._seqs[about]
        values = self._values
        values[b"now_s"] = b"%d" % now_s
        values[b"now_iso"] = iso(now_s)
        values[b"now_float"] = b"%.6f" % now_s
        values[b"marker"] = b'{"run":%b,"seq":%d,"at_ms":%d}' % (
            self._account.run,
            seq,
            now_s * 1000,
        )
        return Body(form.event_type, self._subjects[about], seq, form.render(values))

    def _hear(self, line: Line) -> None:
        self._account.messages += 1
        number = self._account.messages
        values = self._values
        values[b"message"] = b"%d" % number
        values[b"content"] = rails_json(line.text.format_map(self._names))
        values[b"source"] = b'"wamid.HBgNNTUx%032dAA=="' % number
        if line.by != "n":  # private notes never stand in `conversation.messages`
            values[b"newest"] = values[b"message"]
            values[b"newest_content"] = values[b"content"]
            values[b"newest_source"] = values[b"source"]

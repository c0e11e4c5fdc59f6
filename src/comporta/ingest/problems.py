"""The refusals of ingest: what each means, in plain words (RFC 9457, `application/problem+json`).

Texts are translated when an answer is made, by the caller's `Accept-Language`.
"""

import json

import msgspec

from comporta.i18n import translate


def _(message: str) -> str:
    """Marks a text for translation; it is translated by `render`."""
    return message


class Problem(msgspec.Struct, frozen=True):
    """A kind of refusal. `type` is relative to the documentation."""

    status: int
    type: str
    title: str
    detail: str

    @property
    def name(self) -> str:
        """The type's last part, for metrics."""
        return self.type.rpartition("/")[2]


BAD_JSON = Problem(
    400, "/problems/not-json", _("The body is not a JSON object"), _("Send one JSON object.")
)
NO_TOKEN = Problem(
    401,
    "/problems/no-token",
    _("The caller is not known"),
    _("Put the source's token into the URL: /webhook/TOKEN. `comporta source add` makes one."),
)
BAD_SIGNATURE = Problem(
    401,
    "/problems/bad-signature",
    _("The signature is not right"),
    _(
        "Compare the source's secret with the one that Chatwoot shows, and the clocks of both"
        " machines."
    ),
)
WRONG_INSTANCE = Problem(
    403,
    "/problems/wrong-instance",
    _("The token belongs to another instance"),
    _("X-Chatwoot-Instance-Id must be the name of the instance that the token was made for."),
)
UNKNOWN_TOKEN = Problem(
    404,
    "/problems/unknown-token",
    _("There is no source with this token"),
    _("Copy the whole webhook URL again, or add a token: `comporta source token add`."),
)
BAD_METHOD = Problem(
    405,
    "/problems/method",
    _("Only POST is accepted here"),
    _("Chatwoot sends webhooks with POST; a browser shows /health instead."),
)
INCOMPLETE = Problem(
    408,
    "/problems/incomplete",
    _("The caller hung up, or was too slow, before its body was complete"),
    _("Send the whole body at once."),
)
TOO_LARGE = Problem(
    413,
    "/problems/too-large",
    _("The body is too large"),
    _("Send less than the limit, or raise body_bytes_max."),
)
MISDIRECTED = Problem(
    421,
    "/problems/misdirected",
    _("This server takes no webhooks in"),
    _("Its roles leave ingest out. Send webhooks to a server that has it, or change its roles."),
)
NOT_JSON_TYPE = Problem(
    415,
    "/problems/media-type",
    _("The body is said not to be JSON"),
    _("Send Content-Type: application/json, uncompressed."),
)
BUSY = Problem(
    429,
    "/problems/busy",
    _("The gateway cannot take this event right now"),
    _("Send it again in a few seconds."),
)
CANNOT_STORE = Problem(
    503,
    "/problems/cannot-store",
    _("The event cannot be stored right now"),
    _("The disk or the store of the gateway needs care; see /health and `comporta doctor`."),
)

LOSSES = (TOO_LARGE, BUSY, CANNOT_STORE)
"""Events that an account's Chatwoot will not send again, though they were meant for us."""


def render(problem: Problem, language: str, reason: str = "") -> bytes:
    """The body of the answer, in `language`. `reason`: what is special about this case."""
    fields = {
        "type": problem.type,
        "title": translate(problem.title, language),
        "status": problem.status,
        "detail": translate(problem.detail, language),
    }
    if reason:
        fields["reason"] = translate(reason, language)
    return json.dumps(fields, ensure_ascii=False).encode()

"""What `comporta why` asks of all instances: of `/metrics`, and of the stores if they are here."""

from comporta.cli.desk import Desk, deadline
from comporta.cli.top_asking import Watched, ask_all, token_for
from comporta.cli.top_picture import picture
from comporta.errors import StoreUnavailableError
from comporta.telemetry.metric_defs import ACK_SECONDS
from comporta.telemetry.scraped import quantile


async def server_numbers(desk: Desk) -> dict[str, object]:
    """What is known of all instances together: from `/metrics`, and from the stores if here."""
    known: dict[str, object] = {}
    url = desk.gateway_url
    gateway = Watched(url, token_for(desk, [url]))
    await ask_all([gateway])
    view = gateway.view()
    if view is None:
        desk.screen.note(gateway.error)
    else:
        totals = picture([view], desk.now_ms() / 1000).totals
        answers = view.now.get(ACK_SECONDS.name, {}).get((), [])
        known["answer_p99_s"] = quantile(ACK_SECONDS, answers, 0.99)
        known["log_lag"], known["workers"] = totals.log_lag, totals.workers
    if desk.is_here:
        known |= await _from_stores(desk)
    return known


async def _from_stores(desk: Desk) -> dict[str, object]:
    async with desk.local_stores() as stores, deadline():
        living = await stores.state.workers(desk.now_ms(), desk.settings.lease_s)
        known: dict[str, object] = {"workers": sum(one.dispatches for one in living)}
        try:
            known["log_lag"] = await stores.log.lag()
        except StoreUnavailableError as error:
            desk.screen.note(str(error))
    return known

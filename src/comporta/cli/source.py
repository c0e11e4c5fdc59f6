"""`comporta source …`: the webhook URLs of an instance, their tokens and signing secrets."""

from typing import Annotated

import typer

from comporta.cli.command import command, group
from comporta.cli.desk import Desk
from comporta.cli.planned import carried_out
from comporta.cli.screen import Column
from comporta.cli.selection import Yes
from comporta.domain.fleet import Source, SourceKind, Token
from comporta.fleet.named import find
from comporta.i18n import _

Path = Annotated[
    str, typer.Argument(metavar="INSTANCE/SOURCE", help=_("The instance's and the source's name."))
]
OwnToken = Annotated[
    str | None,
    typer.Option(metavar="TOKEN", help=_("A token of your own; env:NAME and file:PATH work too.")),
]
OwnSecret = Annotated[
    str,
    typer.Argument(
        metavar="SECRET", help=_("Chatwoot's signing secret; env:NAME and file:PATH work too.")
    ),
]
DIGEST_SHOWN = 12


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    sources = group("source", _("Sources: the webhook URLs given to instances."))
    command(sources, "list")(list_)
    command(sources)(add)
    command(sources)(show)
    command(sources)(remove)
    tokens = group("token", _("Tokens of a source: add the new one, then remove the old one."))
    command(tokens, "add")(token_add)
    command(tokens, "remove")(token_remove)
    sources.add_typer(tokens)
    secrets = group("secret", _("Signing secrets of a source: with one, deliveries are verified."))
    command(secrets, "add")(secret_add)
    command(secrets, "remove")(secret_remove)
    sources.add_typer(secrets)
    app.add_typer(sources)


async def list_(
    desk: Desk,
    *,
    instance: Annotated[str | None, typer.Option(help=_("Only of this instance."))] = None,
) -> None:
    """List the sources of all instances, or of one."""
    async with desk.stores() as stores:
        fleet = await stores.fleet.read()
    chosen = [find("instance", instance, fleet.instances)] if instance else fleet.instances
    columns = (
        Column("instance", _("INSTANCE")),
        Column("name", _("SOURCE")),
        Column("kind", _("KIND")),
        Column("tokens", _("TOKENS")),
        Column("secrets", _("SECRETS"), right=True),
        Column("id", _("ID")),
    )
    rows = [source_data(one.name, source) for one in chosen for source in one.sources]
    empty = _("No sources. Add one: comporta source add INSTANCE/SOURCE")
    desk.screen.table(columns, rows, empty=empty)


async def add(
    desk: Desk,
    *,
    path: Path,
    kind: Annotated[
        SourceKind, typer.Option(help=_("Which webhook of Chatwoot calls."))
    ] = SourceKind.ACCOUNT,
    token: OwnToken = None,
    secret: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SECRET",
            help=_("Chatwoot's signing secret; env:NAME and file:PATH work too. Repeatable."),
        ),
    ] = None,
) -> None:
    """Add a source to an instance; its webhook URL is shown once."""
    instance, name = split(path)
    async with desk.stores() as stores:
        plan = await stores.fleet.add_source(
            instance, name, kind, desk.who, token=token, secrets=secret or ()
        )
    carried_out(desk, plan)


async def show(desk: Desk, *, path: Path) -> None:
    """Show a source. Tokens and secrets cannot be shown again, only told apart."""
    instance, name = split(path)
    async with desk.stores() as stores:
        fleet = await stores.fleet.read()
    owner = find("instance", instance, fleet.instances)
    data = source_data(instance, find("source", name, owner.sources))
    desk.screen.record(
        (
            ("instance", _("Instance"), data["instance"]),
            ("name", _("Source"), data["name"]),
            ("id", _("Id"), data["id"]),
            ("kind", _("Kind"), data["kind"]),
            ("tokens", _("Tokens"), data["tokens"]),
            ("secrets", _("Secrets"), data["secrets"]),
        )
    )


async def remove(desk: Desk, *, path: Path, yes: Yes = False) -> None:
    """Remove a source: its webhook URL stops working."""
    instance, name = split(path)
    async with desk.stores() as stores:
        question = _("Remove {name}? Its webhook URL stops working.").format(name=path)
        desk.confirm(question, yes=yes)
        plan = await stores.fleet.remove_source(instance, name, desk.who)
    carried_out(desk, plan)


async def token_add(desk: Desk, *, path: Path, token: OwnToken = None) -> None:
    """Add a token to a source; the old one works on until it is removed."""
    instance, name = split(path)
    async with desk.stores() as stores:
        plan = await stores.fleet.add_token(instance, name, desk.who, token=token)
    carried_out(desk, plan)


async def token_remove(
    desk: Desk,
    *,
    path: Path,
    token: Annotated[
        str, typer.Argument(metavar="TOKEN", help=_("The token, or its beginning as listed."))
    ],
    yes: Yes = False,
) -> None:
    """Remove a token: URLs with it stop working."""
    instance, name = split(path)
    async with desk.stores() as stores:
        desk.confirm(_("Remove this token of {name}?").format(name=path), yes=yes)
        plan = await stores.fleet.remove_token(instance, name, token, desk.who)
    carried_out(desk, plan)


async def secret_add(desk: Desk, *, path: Path, secret: OwnSecret) -> None:
    """Add a signing secret to a source; others work on until they are removed.

    With env:NAME or file:PATH it does not stay in your shell's history.
    """
    instance, name = split(path)
    async with desk.stores() as stores:
        plan = await stores.fleet.add_secret(instance, name, secret, desk.who)
    carried_out(desk, plan)


async def secret_remove(desk: Desk, *, path: Path, secret: OwnSecret, yes: Yes = False) -> None:
    """Remove a signing secret from a source.

    Give it as it was added. Without any, deliveries are taken without being verified.
    """
    instance, name = split(path)
    async with desk.stores() as stores:
        desk.confirm(_("Remove this secret of {name}?").format(name=path), yes=yes)
        plan = await stores.fleet.remove_secret(instance, name, secret, desk.who)
    carried_out(desk, plan)


def split(path: str) -> tuple[str, str]:
    """`"loja-sp/conta"` → `("loja-sp", "conta")`.

    Raises:
        typer.BadParameter: there is no slash, or more than one.
    """
    instance, slash, name = path.partition("/")
    if not (instance and slash and name) or "/" in name:
        message = _("{path!r} is not of the form INSTANCE/SOURCE, as in loja-sp/conta")
        raise typer.BadParameter(message.format(path=path))
    return instance, name


def source_data(instance: str, source: Source) -> dict[str, object]:
    """A source as it is listed: nothing secret."""
    return {
        "instance": instance,
        "name": source.name,
        "id": source.id,
        "kind": source.kind.value,
        "tokens": [_token(one) for one in source.tokens],
        "secrets": len(source.secrets),
    }


def _token(token: Token) -> str:
    return token.ref or (f"{token.hint}…" if token.hint else token.digest[:DIGEST_SHOWN])

"""The rules of a fleet, once, for files and single commands alike. Pure.

Refuses bad names, URLs and patterns, duplicates, dangling names and numbers out of bounds; warns of
what is allowed but looks like a slip.
"""

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase

import msgspec

from comporta.domain.conditions import CONDITIONS_MAX
from comporta.domain.fleet import Scalar, SourceKind
from comporta.fleet.check_options import check_options
from comporta.fleet.conditions import check_condition
from comporta.fleet.declared import (
    CREDENTIALS_MAX,
    DESTINATIONS_MAX,
    INSTANCES_MAX,
    NAME_CHARS_MAX,
    ROUTES_MAX,
    SOURCES_MAX,
    TIMEOUT_S_MAX,
    WAIT_S_MAX,
    WAITS_MAX,
    Declared,
    DeclaredDestination,
    DeclaredInstance,
    DeclaredRoute,
    DeclaredSource,
    Fail,
)
from comporta.fleet.names import (
    EVENT_TYPES,
    is_event_pattern,
    is_glob,
    is_instance_pattern,
    is_slug,
    slug_of,
)
from comporta.i18n import _
from comporta.toml_lines import Path
from comporta.urls import handler_of, url_problem
from comporta.words import did_you_mean, nearest

_NEAR = 0.8
"""How near an unknown event type must be to a known one to be called a likely slip (0 to 1)."""


def check(declared: Declared, fail: Fail, place: Callable[[Path], str]) -> Declared:
    """The same, with its warnings, if it breaks no rule.

    Args:
        declared: what is to be checked.
        fail: called with what is wrong; raises.
        place: the beginning of a warning about a path ("fleet.toml:12: "), may be empty.
    """
    rules = _Rules(declared, fail, place)
    rules.all()
    return msgspec.structs.replace(declared, warnings=tuple(rules.warnings))


class _Rules:
    def __init__(self, declared: Declared, fail: Fail, place: Callable[[Path], str]) -> None:
        self._declared = declared
        self._fail = fail
        self._place = place
        self._instances = {instance.name for instance in declared.instances}
        self._destinations = {destination.name for destination in declared.destinations}
        self.warnings: list[str] = []

    def all(self) -> None:
        fleet = self._declared
        self._bounded(("instance",), len(fleet.instances), INSTANCES_MAX)
        self._bounded(("destination",), len(fleet.destinations), DESTINATIONS_MAX)
        self._bounded(("route",), len(fleet.routes), ROUTES_MAX)
        self._names(("instance",), [instance.name for instance in fleet.instances])
        self._names(("destination",), [one.name for one in fleet.destinations])
        self._names(("route",), [route.name for route in fleet.routes])
        for index, instance in enumerate(fleet.instances):
            self._instance(("instance", index), instance)
        self._distinct_tokens()
        for index, destination in enumerate(fleet.destinations):
            self._destination(("destination", index), destination)
        for index, route in enumerate(fleet.routes):
            self._route(("route", index), route)

    def _bounded(self, path: Path, count: int, count_max: int) -> None:
        if count > count_max:
            said = _("There are {found} of these; at most {max} are possible.")
            self._fail(path, said.format(found=count, max=count_max))

    def _names(self, path: Path, names: list[str]) -> None:
        """Slugs, each once."""
        seen = set()
        for index, name in enumerate(names):
            where = (*path, index, "name")
            if not is_slug(name):
                said = _(
                    '"{name}" is not a name: lower-case letters, digits, - and _, at most {max}, '
                    "starting with a letter or digit."
                ).format(name=name[:NAME_CHARS_MAX], max=NAME_CHARS_MAX)
                self._fail(where, said, did_you_mean(slug_of(name), [slug_of(name)]))
            if name in seen:
                self._fail(where, _('The name "{name}" is taken already.').format(name=name))
            seen.add(name)

    def _instance(self, path: Path, instance: DeclaredInstance) -> None:
        if instance.url and (problem := url_problem(instance.url)):
            self._fail((*path, "url"), problem)
        self._bounded((*path, "source"), len(instance.sources), SOURCES_MAX)
        self._names((*path, "source"), [source.name for source in instance.sources])
        for index, source in enumerate(instance.sources):
            self._source((*path, "source", index), source)

    def _source(self, path: Path, source: DeclaredSource) -> None:
        kinds = [kind.value for kind in SourceKind]
        if source.kind not in kinds:
            said = _('"{kind}" is not a kind of source; there are: {kinds}.').format(
                kind=source.kind, kinds=", ".join(kinds)
            )
            self._fail((*path, "kind"), said, did_you_mean(source.kind, kinds))
        self._bounded((*path, "tokens"), len(source.tokens), CREDENTIALS_MAX)
        self._bounded((*path, "secrets"), len(source.secrets), CREDENTIALS_MAX)
        if len({secret.text or secret.sealed for secret in source.secrets}) < len(source.secrets):
            self._fail((*path, "secrets"), _("A secret is there twice."))

    def _distinct_tokens(self) -> None:
        """A token tells which source is calling, so no two sources may share one."""
        owners: dict[str, str] = {}
        for number, instance in enumerate(self._declared.instances):
            for index, source in enumerate(instance.sources):
                for place, token in enumerate(source.tokens):
                    if owner := owners.get(token.digest):
                        said = _("This token is given to {owner} already; each is given once.")
                        one = ("token",) if len(source.tokens) == 1 else ("tokens", place)
                        path = ("instance", number, "source", index, *one)
                        self._fail(path, said.format(owner=owner))
                    owners[token.digest] = f"{instance.name}/{source.name}"

    def _destination(self, path: Path, destination: DeclaredDestination) -> None:
        if (handler := handler_of(destination.url)) is not None:
            if not is_slug(handler):
                said = _('"{name}" is not the name of a handler, as in {example}.')
                self._fail((*path, "url"), said.format(name=handler, example="handler:answer"))
        elif problem := url_problem(destination.url, login=True):
            self._fail((*path, "url"), problem)
        if not 0 < destination.timeout_s <= TIMEOUT_S_MAX:
            said = _("timeout_s must be more than 0 and at most {max} seconds.")
            self._fail((*path, "timeout_s"), said.format(max=f"{TIMEOUT_S_MAX:g}"))
        self._bounded((*path, "retry"), len(destination.retry), WAITS_MAX)
        for index, wait_s in enumerate(destination.retry):
            if not 0 <= wait_s <= WAIT_S_MAX:
                said = _("A wait is 0 to {max} seconds.").format(max=f"{WAIT_S_MAX:g}")
                self._fail((*path, "retry", index), said)
        check_options(destination, self._fail, path)

    def _route(self, path: Path, route: DeclaredRoute) -> None:
        self._some((*path, "to"), route.to)
        self._some((*path, "instances"), route.instances)
        self._some((*path, "events"), route.events)
        for index, name in enumerate(route.to):
            if name not in self._destinations:
                said = _('There is no destination "{name}".').format(name=name)
                self._fail((*path, "to", index), said, did_you_mean(name, self._destinations))
        for index, pattern in enumerate(route.instances):
            self._instance_pattern((*path, "instances", index), pattern)
        for index, pattern in enumerate(route.events):
            self._event_pattern((*path, "events", index), pattern)
        self._where((*path, "where"), route.where)

    def _where(self, path: Path, where: dict[str, tuple[Scalar, ...]]) -> None:
        if len(where) > CONDITIONS_MAX:
            said = _("A route has at most {max} conditions; this one has {found}.")
            self._fail(path, said.format(max=CONDITIONS_MAX, found=len(where)))
        for key, values in where.items():
            self._some((*path, key), values)
            check_condition((*path, key), key, values, self._fail)

    def _some(self, path: Path, items: Iterable[object]) -> None:
        """A list that is empty would match nothing, ever; one that repeats itself is a slip."""
        seen = set()
        for item in items:
            key = (type(item), item)
            if key in seen:
                self._fail(path, _('"{name}" is there twice.').format(name=item))
            seen.add(key)
        if not seen:
            self._fail(path, _("This list is empty: the route would never match."))

    def _instance_pattern(self, path: Path, pattern: str) -> None:
        if not is_instance_pattern(pattern):
            said = _('"{pattern}" is neither an instance\'s name nor a pattern with * or ?.')
            self._fail(path, said.format(pattern=pattern[:NAME_CHARS_MAX]))
        if is_glob(pattern):
            if pattern != "*" and not any(fnmatchcase(name, pattern) for name in self._instances):
                said = _('"{pattern}" matches no instance now.').format(pattern=pattern)
                self.warnings.append(self._place(path) + said)
        elif pattern not in self._instances:
            said = _('There is no instance "{name}".').format(name=pattern)
            self._fail(path, said, did_you_mean(pattern, self._instances))

    def _event_pattern(self, path: Path, pattern: str) -> None:
        if not is_event_pattern(pattern):
            said = _('"{pattern}" is neither an event type nor a pattern with * or ?.')
            self._fail(path, said.format(pattern=pattern[:NAME_CHARS_MAX]))
        if is_glob(pattern) or pattern in EVENT_TYPES:
            return
        if near := nearest(pattern, EVENT_TYPES, _NEAR):
            said = _('Chatwoot sends no "{name}" as far as we know. Did you mean "{near}"?')
            self.warnings.append(self._place(path) + said.format(name=pattern, near=near))

"""What the admin API tells and takes has all that the fleet has: a new field is noticed here."""

import msgspec
import pytest

from comporta.console import asked, shapes
from comporta.domain import fleet
from comporta.fleet import declared


def names(struct: type[msgspec.Struct]) -> set[str]:
    return {field.name for field in msgspec.structs.fields(struct)}


@pytest.mark.parametrize(
    ("struct", "shape", "instead"),
    [
        (fleet.Instance, shapes.Instance, {}),
        (fleet.Source, shapes.Source, {}),
        (fleet.Destination, shapes.Destination, {"secret": "signed"}),
        (fleet.Route, shapes.Route, {}),
        (fleet.Fleet, shapes.Fleet, {}),
    ],
)
def test_everything_about_a_thing_of_the_fleet_is_told(
    struct: type[msgspec.Struct], shape: type[shapes.Shape], instead: dict[str, str]
) -> None:
    assert {instead.get(name, name) for name in names(struct)} == set(shape.model_fields)


@pytest.mark.parametrize(
    ("struct", "model", "instead"),
    [
        (declared.DeclaredInstance, asked.InstanceDeclared, {"sources": "source"}),
        (declared.DeclaredDestination, asked.DestinationAsked, {}),
        (declared.DeclaredRoute, asked.RouteAsked, {}),
    ],
)
def test_everything_that_a_fleet_file_may_say_can_be_asked_for(
    struct: type[msgspec.Struct], model: type[asked.Asked], instead: dict[str, str]
) -> None:
    extra = {"burst"} if "rate" in names(struct) else set()  # in a file it stands beside the rate
    wanted = {instead.get(name, name) for name in names(struct)} | extra
    assert wanted == set(model.model_fields)

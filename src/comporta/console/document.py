"""The description of a fleet document for OpenAPI; `fleet.parse` alone decides what it may say."""

from typing import Any

from comporta.console.asked import FleetAsked


def fleet_schemas(refs: str) -> dict[str, Any]:
    """The JSON schemas of a fleet document by name; `refs`: how one refers to another."""
    schema = FleetAsked.model_json_schema(ref_template=refs)
    parts: dict[str, Any] = schema.pop("$defs")
    return {**parts, "FleetAsked": schema}

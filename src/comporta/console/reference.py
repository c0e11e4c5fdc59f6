"""`python -m comporta.console.reference`: prints the OpenAPI document, for the documentation."""

import json
import sys
from typing import cast

from comporta.console.app import console_app, describe
from comporta.console.desk import Desk, Stores


class _Nothing:
    """Stands for stores that are never asked."""

    def __getattr__(self, name: str) -> object:
        return _Nothing()


def document() -> str:
    """The OpenAPI document as it stands in docs/reference/openapi.json."""
    desk = Desk(cast("Stores", _Nothing()), "http://localhost:8001", 3.0, lambda: 0)
    described = describe(console_app(desk))
    return json.dumps(described, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())

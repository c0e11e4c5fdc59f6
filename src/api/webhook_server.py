"""The launcher that operators type: `uvicorn src.api.webhook_server:app`.

It makes the sibling package importable from a checkout and hands over the application; nothing
else.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from comporta.asgi import app

__all__ = ["app"]

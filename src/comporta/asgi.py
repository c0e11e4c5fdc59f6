"""The application for ASGI servers: `uvicorn comporta.asgi:app`.

The only module with effects at import: it reads the settings, sets up logging (uvicorn's access log
goes silent, for tokens stand in its paths), and puts our protocol before uvicorn's.
"""

import sys

from comporta import i18n, process, serving
from comporta.app import create_app
from comporta.errors import ConfigError
from comporta.settings import Settings
from comporta.telemetry import logs

try:
    settings = Settings()
except ConfigError as error:
    sys.stderr.write(f"{error}\n")
    # The status that tells uvicorn's supervisor not to try again.
    raise SystemExit(3) from None

i18n.use(settings.language)
logs.configure(settings.log_level, server=settings.server_name)
app = create_app(settings)
serving.install(app.short_way, settings.head_timeout_s, settings.body_timeout_s)
process.tune()

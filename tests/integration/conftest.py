"""One gateway with one destination, shared by the tests that only send it webhooks."""

from collections.abc import Iterator

import msgspec
import pytest
from tests.integration.receiver import Receiver
from tests.support.gateway import Gateway

TOKEN = "token-of-the-shop-account"
OLD_TOKEN = "token-before-the-rotation"
SIGNED_TOKEN = "token-of-the-signed-one"
API_TOKEN = "token-of-the-api-inbox"
BOT_TOKEN = "token-of-the-agent-bot"
OTHER_TOKEN = "token-of-the-other-shop"
TOKENS = (TOKEN, OLD_TOKEN, SIGNED_TOKEN, API_TOKEN, BOT_TOKEN, OTHER_TOKEN)
SECRETS = ("k3VqWb9ZtR2mXy7LcN5dPs8A", "the-secret-that-comes-next")
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

FLEET = f"""
[[instance]]
name = "loja-sp"
[[instance.source]]
name = "conta"
kind = "account"
tokens = ["{TOKEN}", "{OLD_TOKEN}"]
[[instance.source]]
name = "assinada"
kind = "account"
token = "{SIGNED_TOKEN}"
secrets = ["{SECRETS[0]}", "{SECRETS[1]}"]
[[instance.source]]
name = "api"
kind = "api_inbox"
token = "{API_TOKEN}"
[[instance.source]]
name = "robo"
kind = "agent_bot"
token = "{BOT_TOKEN}"

[[instance]]
name = "loja-rio"
[[instance.source]]
name = "conta"
kind = "account"
token = "{OTHER_TOKEN}"

[[destination]]
name = "crm"
url = "URL/crm"
secret = "{WHSEC}"
retry = []

[[route]]
name = "tudo"
instances = ["*"]
events = ["*"]
to = ["crm"]
"""


class House(msgspec.Struct, frozen=True):
    """What the tests share."""

    gateway: Gateway
    crm: Receiver


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with Receiver() as crm:
        folder = tmp_path_factory.mktemp("house")
        with Gateway(folder, FLEET.replace("URL", crm.url)) as gateway:
            yield House(gateway, crm)


@pytest.fixture(scope="session")
def gateway(house: House) -> Gateway:
    return house.gateway


@pytest.fixture(scope="session")
def crm(house: House) -> Receiver:
    return house.crm

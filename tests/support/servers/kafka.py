"""A real Apache Kafka for tests: KRaft mode, its jars from Maven Central fetched once into a cache.

Each broker is a Java process with its data in the test's folder, on ports chosen by the system. A
second listener is told to clients under another port, so that a test can put a proxy before it; a
third asks for a password and obeys ACLs. Anonymous clients may do everything.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self
from urllib.parse import quote

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from tests.support.servers.program import START_S, Program, missing, required

VERSION = "4.1.1"
CLUSTER_ID = "Y29tcG9ydGEtdGVzdHMtMQ"
USER, PASSWORD = "comporta", "s3cret/of the+tests"
FETCH_S = 280.0
_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion>
<groupId>comporta.tests</groupId><artifactId>kafka</artifactId><version>1</version>
<dependencies><dependency>
<groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{version}</version>
</dependency></dependencies></project>
"""
_PROPERTIES = """
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
controller.listener.names=CONTROLLER
listeners={listeners}
advertised.listeners={advertised}
listener.security.protocol.map=PLAIN:PLAINTEXT,PROXIED:PLAINTEXT,SASL:SASL_PLAINTEXT,\
CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAIN
sasl.enabled.mechanisms=PLAIN
listener.name.sasl.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
log.dirs={data}
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=1
offsets.topic.replication.factor={replicas}
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr=1
message.max.bytes=33554432
replica.fetch.max.bytes=33554432
controller.quorum.election.timeout.ms=500
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
"""


def jars() -> Path:
    """The folder of Kafka's jars, fetched if need be; skips the test where it cannot be had."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "comporta-tests" / f"kafka-{VERSION}"
    if not folder.exists():
        required("mvn", "maven")
        _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    # Into a folder of its own, renamed when whole: what is there is complete, whoever else fetches
    # at the same time.
    half = folder.with_name(f"{folder.name}.{os.getpid()}")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    (half / "pom.xml").write_text(_POM.format(version=VERSION))
    fetched = subprocess.run(
        ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime",
         "-DoutputDirectory=."],
        cwd=half, capture_output=True, text=True, timeout=FETCH_S, check=False,
    )  # fmt: skip
    if fetched.returncode:
        shutil.rmtree(half)
        missing(f"Kafka's jars could not be fetched: {fetched.stdout[-500:]}")
    try:
        half.rename(folder)
    except OSError:  # another process was faster
        shutil.rmtree(half)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


class _Node:
    """One broker: its ports, its folder, its process."""

    def __init__(self, number: int, folder: Path) -> None:
        self.number, self.folder = number, folder / f"node-{number}"
        self.port, self.sasl_port, self.behind_port, self.controller_port = _free_ports(4)
        self.proxied_port = self.behind_port
        self.voter = f"{number}@127.0.0.1:{self.controller_port}"
        self._properties = self.folder / "server.properties"
        self.program = Program(
            [*_java(), "kafka.Kafka", str(self._properties)], self.folder, lambda: True
        )

    def lay(self, voters: Sequence[str]) -> None:
        """Write its properties and format its storage."""
        self.folder.mkdir(parents=True)
        ports = {"PLAIN": self.port, "SASL": self.sasl_port, "PROXIED": self.behind_port}
        told = {**ports, "PROXIED": self.proxied_port}
        inside = {**ports, "CONTROLLER": self.controller_port}
        self._properties.write_text(
            _PROPERTIES.format(
                node=self.number,
                voters=",".join(voters),
                listeners=",".join(f"{name}://127.0.0.1:{port}" for name, port in inside.items()),
                advertised=",".join(f"{name}://127.0.0.1:{port}" for name, port in told.items()),
                user=USER,
                password=PASSWORD,
                data=self.folder / "data",
                replicas=min(3, len(voters)),
            )
        )
        subprocess.run(
            [*_java(), "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID,
             "-c", str(self._properties)],
            capture_output=True, timeout=START_S, check=True,
        )  # fmt: skip


def _java() -> list[str]:
    # Compiled once and quickly: these servers live for minutes.
    swift = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
    java = required("java", "openjdk-17-jre-headless")
    return [java, "-Xmx512m", *swift, "-cp", f"{jars()}/*"]


class Kafka:
    """A cluster of brokers, started by `start` or as a context.

    Args:
        folder: for data and output; made if it does not exist.
        brokers: how many.
    """

    def __init__(self, folder: Path, *, brokers: int = 1) -> None:
        self._nodes = [_Node(number, folder) for number in range(1, brokers + 1)]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.kill()

    @property
    def servers(self) -> str:
        """`host:port` of every broker, with commas."""
        return ",".join(f"127.0.0.1:{node.port}" for node in self._nodes)

    @property
    def url(self) -> str:
        """Without a topic, as an anonymous client would write it."""
        return f"kafka://{self.servers}"

    def url_of(self, user: str, password: str) -> str:
        """Without a topic, where they ask for a password."""
        login = f"{quote(user, safe='')}:{quote(password, safe='')}"
        return f"kafka://{login}@" + ",".join(f"127.0.0.1:{node.sasl_port}" for node in self._nodes)

    @property
    def behind_port(self) -> int:
        """Where the first broker listens for those who come through a proxy."""
        return self._nodes[0].behind_port

    def tell_proxied(self, port: int) -> None:
        """Clients that come by `behind_port` are told to come back by this one; before `start`."""
        self._nodes[0].proxied_port = port

    def start(self) -> None:
        """Start what does not run; return when every broker answers."""
        for node in self._nodes:
            if not node.folder.exists():
                node.lay([one.voter for one in self._nodes])
        for node in self._nodes:
            if not node.program.running:
                node.program.start()
        admin = AdminClient({"bootstrap.servers": self.servers, "log_level": 0})
        ends_at = time.monotonic() + START_S
        while not self._answers(admin):
            for node in self._nodes:
                if not node.program.running or time.monotonic() > ends_at:
                    raise AssertionError(f"no start: {node.program.output.read_text()[-3000:]}")

    def kill(self, *numbers: int) -> None:
        """End brokers as kill -9 does (all, if none is named); their data stay."""
        for node in self._chosen(numbers):
            node.program.kill()

    def restart(self) -> None:
        """Killed, and started again with its data."""
        self.kill()
        self.start()

    def freeze(self, *numbers: int) -> None:
        """Stop brokers where they stand; connections stay open."""
        for node in self._chosen(numbers):
            node.program.freeze()

    def thaw(self, *numbers: int) -> None:
        """Let them go on."""
        for node in self._chosen(numbers):
            node.program.thaw()

    def _answers(self, admin: AdminClient) -> bool:
        try:
            return len(admin.list_topics(timeout=0.5).brokers) == len(self._nodes)
        except KafkaException:
            return False

    def _chosen(self, numbers: Sequence[int]) -> list[_Node]:
        return [node for node in self._nodes if not numbers or node.number in numbers]

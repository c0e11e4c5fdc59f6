"""What a machine can do: the figures that `comporta bench` measures and plans are made from."""

import msgspec


class Machine(msgspec.Struct, frozen=True):
    """Where figures are from."""

    cpu: str
    """The model, as the kernel names it."""
    cpus: int
    memory_gib: float
    kernel: str = ""
    python: str = ""
    comporta: str = ""

    def is_like(self, other: "Machine") -> bool:
        """Whether figures of one say something about the other: as many CPUs of one model."""
        return (self.cpu, self.cpus) == (other.cpu, other.cpus)


class Figures(msgspec.Struct, frozen=True):
    """Of one gateway on the embedded engine, with the load's senders on the same machine.

    They share its CPUs, so what is measured is less than what the machine can do.
    """

    machine: Machine
    at_ms: int
    """When, Unix milliseconds."""
    workers: int
    """As recommended for so many CPUs; all but `new_one_worker_per_s` was measured with them."""
    new_one_worker_per_s: float
    """Events a second taken in from new connections, as Chatwoot makes them, by one worker."""
    new_per_s: float
    """The same with `workers`."""
    deliveries_per_s: float
    """Out of a backlog, to a sink that answers at once, while nothing comes in."""
    sustained_per_s: float
    """In and out at the same time, with a lag that does not grow."""
    intake_cpu_us: float
    """CPU of the workers for an event, microseconds."""
    dispatch_cpu_us: float
    """CPU of the dispatch processes for an event with one delivery, microseconds."""
    senders_cpu_us: float
    """CPU of what sent and received the events, microseconds an event: it is not the gateway's."""
    body_bytes: float
    """Of the bodies that were sent."""
    stored_bytes: float
    """On disk for an event with one delivery, its body included."""
    worker_memory_mib: float
    """Of a worker with its dispatch process, under that load."""
    fsync_ms: float
    """To make 4 KiB durable on the disk of the data folder: the median."""

    @property
    def rows_bytes(self) -> float:
        """On disk for an event without its body."""
        return max(0.0, self.stored_bytes - self.body_bytes)

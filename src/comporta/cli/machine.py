"""What machine this is: its CPUs, its memory, its names. It only reads /proc and /sys."""

import os
import platform
from math import ceil
from pathlib import Path

import comporta
from comporta.deploy.figures import Machine

_CPUINFO = Path("/proc/cpuinfo")
_LIMITS = Path("/sys/fs/cgroup")
"""Of a container, in the second version of control groups; the machine itself has none here."""


def this_machine(limits: Path = _LIMITS) -> Machine:
    """The one that this process runs on: as much of it as the process may use."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    memory_max = _numbers(limits / "memory.max")
    quota = _numbers(limits / "cpu.max")
    cpus = len(os.sched_getaffinity(0))
    return Machine(
        cpu=_cpu_model(),
        cpus=min(cpus, ceil(quota[0] / quota[1])) if len(quota) > 1 else cpus,
        memory_gib=round(min([memory, *memory_max]) / 1024**3, 1),
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        comporta=comporta.__version__,
    )


def _numbers(file: Path) -> list[int]:
    """What stands in a file of limits; nothing if there is no limit."""
    try:
        words = file.read_text(encoding="ascii").split()
    except OSError:
        return []
    return [int(word) for word in words] if all(word.isdigit() for word in words) else []


def _cpu_model() -> str:
    """As the kernel names it; on Arm, where it names none, the architecture."""
    try:
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())

"""What machine this is: its CPUs, its memory, its names. It reads /proc and nothing else."""

import os
import platform
from pathlib import Path

import comporta
from comporta.deploy.figures import Machine

_CPUINFO = Path("/proc/cpuinfo")


def this_machine() -> Machine:
    """The one that this process runs on, with the CPUs that it may use."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(
        cpu=_cpu_model(),
        cpus=len(os.sched_getaffinity(0)),
        memory_gib=round(memory / 1024**3, 1),
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        comporta=comporta.__version__,
    )


def _cpu_model() -> str:
    """As the kernel names it; on Arm, where it names none, the architecture."""
    try:
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())

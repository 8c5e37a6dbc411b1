"""What a training step spends processor time on, by Linux's perf: which functions, in groups."""

import collections
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from tests.bench.flops import flops_per_image
from tests.bench.limits import Meter
from tests.bench.profile_child import READY
from tests.bench.quality import recipe_of
from tests.bench.rows import Row

BATCH_SIZE = 256
SECONDS, FREQUENCY = 10, 999  # of sampling, and samples per second and core
GROUPS = {  # of functions, by their library and name: the first group that matches
    "products": r"dot_fp32|gemm_f32|gebp|brgemm|conv\w*_kernel|jit_avx\w*conv",
    "packing for products": r"transpose|gemm_pack|InputMapper|reorder",
    "Adam": r"ApplyAdam",
    "noise": r"Philox",
    "threads and the kernel": r"kernel\.kallsyms|RunQueue|ThreadPoolTempl|EventCount|EigenEnvironment|pthread",
    "element by element": r"\[JIT\]|libm\.so|Eigen::",
    "other": r"",
}


def rows(presets: list[str]) -> list[Row]:
    """Profiles a training of each recipe; where perf cannot, says so and measures none."""
    if missing := lacks_perf():
        print(missing)
        return []
    meter = Meter()
    meter()
    return [_row(name, meter.highest().flops) for name in presets]


def lacks_perf() -> str:
    """Returns what keeps perf from sampling here; nothing if it can."""
    if not shutil.which("perf"):
        return "section profile: there is no program perf here, of the package linux-perf or linux-tools"
    trial = subprocess.run(["perf", "record", "-o", os.devnull, "--", "true"], capture_output=True, check=False)
    if trial.returncode:
        return "section profile: perf may not sample here; kernel.perf_event_paranoid of at most 2 allows it"
    return ""


def shares(report: str) -> dict[str, float]:
    """Sums the percentages of perf's report, lines of percentage, library and function, over GROUPS."""
    found = dict.fromkeys(GROUPS, 0.0)
    for line in report.splitlines():
        if match := re.match(r"\s*([\d.]+)%\s+(.*)", line):
            percent, function = match.groups()
            found[next(name for name, words in GROUPS.items() if re.search(words, function))] += float(percent)
    return found


def _row(name: str, limit: float) -> Row:
    config = recipe_of(name)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        data = str(pathlib.Path(folder, "perf.data"))
        command = [sys.executable, "-m", "tests.bench.profile_child", name, str(BATCH_SIZE), str(SECONDS + 3)]
        environment = {**os.environ, "ONEDNN_JIT_PROFILE": "2"}  # oneDNN then names the functions that it compiles
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
            lines = iter(child.stdout or ())
            collections.deque(iter(lambda: next(lines).strip(), READY), maxlen=0)
            watch = ["perf", "record", "-F", str(FREQUENCY), "-o", data, "-p", str(child.pid), "--", "sleep"]
            subprocess.run([*watch, str(SECONDS)], check=True, capture_output=True)
            rate = float(next(lines))
        show = ["perf", "report", "-i", data, "--no-children", "--sort", "dso,symbol", "--stdio"]
        report = subprocess.run(show, check=True, capture_output=True, text=True).stdout
        pathlib.Path(f"/tmp/perf-{child.pid}.map").unlink(missing_ok=True)
    of_limit = rate * flops_per_image(config).training / limit
    more = {f"percent, {group}": share for group, share in shares(report).items()}
    return Row(name, BATCH_SIZE, rate, None, of_limit, more)

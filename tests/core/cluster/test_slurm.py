"""A batch file's workers find the scheduler of the run that submitted it; a Slurm of two shell scripts stands in for the real one."""

import os
import sys
import time
from pathlib import Path

import pytest

from core.cluster.client import Cluster
from core.cluster.slurm import slurm_cluster
from core.common.errors import EspalierError
from core.runs.home import Home

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="shell scripts")
SBATCH = """#!/bin/sh
for file; do :; done
/bin/sh "$file" >/dev/null 2>&1 &
echo "4711;lab"
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with commands in front of all others, and a batch file that writes down what it is given."""
    for name, text in (("sbatch", SBATCH), ("scancel", f'#!/bin/sh\necho "$1" >> {tmp_path}/cancelled\n')):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "job.sh").write_text(
        f'echo "$ESPALIER_CLUSTER $ESPALIER_TLS" > {tmp_path}/given.part\nmv {tmp_path}/given.part {tmp_path}/given\n'
    )
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def test_a_job_is_submitted_with_the_address_and_cancelled_at_the_end(slurm, tmp_path):
    pytest.importorskip("distributed")
    said: list[str] = []
    with slurm_cluster(
        f"slurm:{slurm}/job.sh@127.0.0.1", None, Home(tmp_path / "home"), said.append
    ) as address:
        while not (slurm / "given").exists():
            time.sleep(0.02)
        assert (slurm / "given").read_text().split() == [address] and address.startswith("tcp://127.0.0.1:")
        assert "Job 4711" in said[0] and not (slurm / "cancelled").exists()
    assert (slurm / "cancelled").read_text().split() == ["4711"]


def test_what_is_missing_is_said(slurm, tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    home = Home(tmp_path / "home")

    def submit(where: str) -> None:
        with slurm_cluster(where, Cluster(where).tls, home, lambda text: None):
            raise AssertionError("a cluster was there")

    with pytest.raises(EspalierError, match="Expected a batch file"):
        submit("slurm:nothing.sh")
    with pytest.raises(EspalierError, match="needs TLS"):
        submit(f"slurm:{slurm}/job.sh@login1")
    (slurm / "sbatch").write_text("#!/bin/sh\necho no such partition >&2\nexit 1\n")
    with pytest.raises(EspalierError, match="did not take the job") as refused:
        submit(f"slurm:{slurm}/job.sh@127.0.0.1")
    assert "no such partition" in refused.value.details
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(EspalierError, match="no command sbatch"):
        submit(f"slurm:{slurm}/job.sh@127.0.0.1")

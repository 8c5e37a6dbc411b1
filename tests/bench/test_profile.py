import shutil

import pytest

from tests.bench import profile

REPORT = """
# Samples: 5K of event 'cpu-clock:ppp'
    38.28%  libtensorflow_cc.so.2  [.] ynn::dot_fp32_5x64x1_1x16x1_avx512f   -      -
    20.00%  [JIT] tid 303          [.] jit_avx512_common_gemm_f32_xbyak_gemm.8
     7.11%  libtensorflow_cc.so.2  [.] tensorflow::functor::ApplyAdamNonCuda<Eigen::ThreadPoolDevice, float>
     3.81%  libtensorflow_cc.so.2  [.] ynn::transpose_x32_avx2
     2.01%  [kernel.kallsyms]      [k] finish_task_switch.isra.0
     0.19%  [JIT] tid 303          [.] 0x00007ff1ad04353f
     0.10%  libpython3.11.so.1.0   [.] _PyEval_EvalFrameDefault
"""


def test_the_functions_of_a_report_are_summed_in_groups():
    found = profile.shares(REPORT)
    assert found["products"] == pytest.approx(58.28)
    assert found["packing for products"] == pytest.approx(3.81)
    assert found["Adam"] == pytest.approx(7.11)
    assert found["threads and the kernel"] == pytest.approx(2.01)
    assert found["element by element"] == pytest.approx(0.19)
    assert found["other"] == pytest.approx(0.10)


@pytest.mark.slow
@pytest.mark.skipif(bool(profile.lacks_perf()), reason=profile.lacks_perf())
def test_a_training_is_profiled(monkeypatch):
    monkeypatch.setattr(profile, "BATCH_SIZE", 32)
    monkeypatch.setattr(profile, "SECONDS", 1)
    (row,) = profile.rows(["smoke"])
    assert row.images_per_second > 0.0
    assert row.more["percent, products"] > 0.0
    assert sum(row.more.values()) == pytest.approx(100.0, abs=5.0)


def test_a_machine_without_perf_is_told(monkeypatch, capsys):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert profile.rows(["smoke"]) == []
    assert "no program perf" in capsys.readouterr().out


def test_a_machine_where_perf_may_not_sample_is_told(monkeypatch, capsys, tmp_path):
    refusing = tmp_path / "perf"
    refusing.write_text("#!/bin/sh\nexit 255\n")
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert profile.rows(["smoke"]) == []
    assert "perf_event_paranoid" in capsys.readouterr().out

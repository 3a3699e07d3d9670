"""The doctor finds what is wrong."""

from __future__ import annotations

from importlib import metadata

import pytest

from mmls_tf import doctor


def test_it_names_versions_and_the_device() -> None:
    report = doctor.report(doctor.examine())
    for name in ("tensorflow", "keras", "numpy"):
        assert f"{name:<14}{metadata.version(name)}" in report
    assert "Keras on tensorflow; XLA" in report


def test_a_missing_package_is_a_problem_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_NEEDED", ("numpy", "no-such-package"))
    problems = [finding.problem for finding in doctor.examine() if finding.problem]
    assert problems == ["no-such-package is missing: install it with `pip install no-such-package`"]
    with pytest.raises(doctor.DoctorError, match="pip install no-such-package"):
        doctor.main()


def test_bindings_for_another_gdal_are_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    gdal = pytest.importorskip("osgeo.gdal", reason="GDAL's Python bindings are not installed")
    monkeypatch.setattr(gdal, "VersionInfo", lambda _: "99.1.0")
    problems = [finding.problem for finding in doctor.examine() if finding.problem]
    assert len(problems) == 1
    assert "libgdal is 99.1.0: run `make install` again" in problems[0]


def test_whatever_breaks_is_reported_instead_of_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("driver mismatch")

    monkeypatch.setattr(doctor, "load_tensorflow", broken)
    assert "device: driver mismatch" in [finding.problem for finding in doctor.examine()]

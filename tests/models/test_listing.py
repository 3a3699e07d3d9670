"""`python -m mmls_tf.models`: what there is to choose from, and what it costs."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mmls_tf.bands import BAND_NAMES
from mmls_tf.errors import UsageError
from mmls_tf.models import listing
from mmls_tf.models.cost import model_cost
from mmls_tf.models.pyramid import EncoderRequest
from mmls_tf.models.registry import DECODERS, build_model
from mmls_tf.models.spec import ModelSpec

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def rows(printed: str) -> dict[str, list[str]]:
    """The cells of each line, by the first; columns are two blanks apart."""
    lines = [line.split("  ") for line in printed.splitlines() if line.startswith("  ")]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    return {line[0]: line[1:] for line in cells}


def cost_cells(spec: ModelSpec) -> list[str]:
    cost = model_cost(build_model(spec, "float32", 0))
    return [f"{cost.parameters / 1e6:.2f} M", f"{cost.macs / 1e9:.2f} G"]


def test_the_command_gives_the_cost_of_a_model_for_the_bands_and_tiles_asked_for(command: Command) -> None:
    words = ["--model=deeplabv3plus", "--encoder=plain", "--bands=rgb", "--tile_size=64", "--filters=8"]
    result = command("mmls_tf.models", *words)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert "tile of 64 x 64 pixels, 3 bands" in result.stdout
    spec = ModelSpec("deeplabv3plus", "plain", 8, 64, BAND_NAMES[:3])
    assert rows(result.stdout)["deeplabv3plus on plain, 8 filters"] == [*cost_cells(spec), "16", "4"]


@pytest.mark.slow
def test_the_command_lists_every_decoder_encoder_and_configuration(command: Command) -> None:
    result = command("mmls_tf.models")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert {*DECODERS, *listing.ENCODERS} <= set(rows(result.stdout))
    assert "configs/unet.flags" in rows(result.stdout)
    assert "not available" not in result.stdout


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--bands=xyz", "--bands=xyz: expected names joined by '+'"),
        ("--tile_size=0", "--tile_size=0: expected 1 or more"),
        ("--filters=0", "--filters=0: expected 1 or more"),
    ],
)
def test_a_wrong_flag_is_named(flag: str, message: str, command: Command) -> None:
    result = command("mmls_tf.models", flag)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert message in result.stderr


@pytest.mark.parametrize(("decoder", "encoder", "flag"), [("vgg", "", "model"), ("", "vgg", "encoder")])
def test_an_unknown_name_is_refused(decoder: str, encoder: str, flag: str) -> None:
    with pytest.raises(UsageError, match=f"--{flag}=vgg: expected one of (unet|plain), "):
        listing.print_models(decoder, encoder, "all", 4, 32)


def test_decoders_come_with_title_source_and_the_stride_that_they_ask_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    listing.print_decoders()
    found = rows(capsys.readouterr().out)
    assert found["unet"] == ["U-Net", "arXiv 1505.04597", "its own"]
    assert found["deeplabv3plus"] == ["DeepLabv3+", "arXiv 1802.02611", "16"]


def test_an_encoder_whose_library_is_missing_says_so_and_the_others_are_listed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_: EncoderRequest) -> None:
        raise UsageError("no such library; install it")

    plain = listing.ENCODERS["plain"]
    broken = dataclasses.replace(plain, name="broken", source="theirs", imagenet=True, build=missing)
    monkeypatch.setattr(listing, "ENCODERS", {"broken": broken, "plain": plain})
    listing.print_encoders(bands=3, filters=4, tile_size=32)
    found = rows(capsys.readouterr().out)
    assert found["broken"] == [
        "theirs",
        "1 2 4 8 16",
        "weights",
        "not available: no such library; install it",
    ]
    cost = model_cost(plain.build(EncoderRequest("encoder", 32, 3, 4)))
    assert found["plain"] == [
        "ours",
        "1 2 4 8 16",
        "-",
        f"{cost.parameters / 1e6:.2f} M",
        f"{cost.macs / 1e9:.2f} G",
    ]


def test_a_tile_that_the_stride_does_not_divide_is_said_in_the_line_of_the_model(
    capsys: pytest.CaptureFixture[str],
) -> None:
    listing.print_models("unet", "plain", "rgb", filters=16, tile_size=40)
    found = rows(capsys.readouterr().out)["unet on plain"]
    assert found == ["not available: tiles of 40 x 40 pixels: expected a multiple of the model's stride, 16"]


def test_a_configuration_is_listed_with_its_own_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "own.flags"
    path.write_text(
        "# --model=unet\n--model=segformer\n--filters=4\n--epochs=3\n--bands=rgb+dem\n--full_skip\n--context=16\n"
    )
    listing.print_configurations(tmp_path, 32)
    spec = ModelSpec("segformer", "plain", 4, 64, ("red", "green", "blue", "dem"), full_skip=True)
    assert listing.read_spec(path, 32) == spec
    assert [*cost_cells(spec), "16", "1"] == rows(capsys.readouterr().out)[str(path)][-4:]


@pytest.mark.parametrize(
    ("line", "message"),
    [("--filters=many", "--filters=many: expected a number"), ("--bands=xyz", "--bands=xyz: expected names")],
)
def test_a_configuration_with_a_wrong_value_is_named(line: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "own.flags").write_text(line)
    with pytest.raises(UsageError, match=message):
        listing.print_configurations(tmp_path, 32)


def test_a_folder_without_configurations_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listing.print_configurations(tmp_path, 32)
    assert f"none: {tmp_path} holds no *.flags file" in capsys.readouterr().out

"""How commands start: frozen configurations become flags, flags become configurations, errors exit codes.

Exit codes: 0 done, 2 the user's mistake or bad input, 1 our fault (a traceback).
"""

from __future__ import annotations

import dataclasses
import errno
import os
import shlex
import signal
import sys
import typing
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from absl import app, flags

from mmls_tf.errors import MmlsError

flags.disclaim_key_flags()  # the flags defined below belong to the module that asks for them, for --help

Config = TypeVar("Config")
_ENVIRONMENT_ERRNOS = {
    errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.ENOENT, errno.ENOTDIR,
}  # fmt: skip
_HELP_FLAGS = {"help", "helpfull", "helpshort", "?"}


def option(default: Any, help: str, choices: Sequence[str] | None = None) -> Any:
    """Returns a dataclass field that `define_flags` turns into a flag; default None makes it required."""
    metadata = {"help": help, "choices": choices}
    if default is None:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def define_flags(config_class: type, into: flags.FlagValues = flags.FLAGS) -> None:
    """Defines one absl flag for each field of a configuration: str, int, float or bool."""
    kinds = typing.get_type_hints(config_class)
    for field in dataclasses.fields(config_class):
        required = field.default is dataclasses.MISSING
        default: Any = None if required else field.default
        help_text, choices = field.metadata["help"], field.metadata["choices"]
        if choices:
            flags.DEFINE_enum(field.name, default, choices, help_text, required=required, flag_values=into)
        else:
            definers: dict[type, Callable[..., Any]] = {
                str: flags.DEFINE_string,
                int: flags.DEFINE_integer,
                float: flags.DEFINE_float,
                bool: flags.DEFINE_bool,
            }
            definers[kinds[field.name]](field.name, default, help_text, required=required, flag_values=into)


def config_from_flags(config_class: type[Config], values: flags.FlagValues = flags.FLAGS) -> Config:
    """Returns the configuration that the parsed flags describe; its own checks may raise UsageError."""
    fields = dataclasses.fields(config_class)  # type: ignore[arg-type]
    return config_class(**{field.name: values[field.name].value for field in fields})


def command_line() -> str:
    """Returns the command as a user would type it, for manifests and run folders."""
    spec = sys.modules["__main__"].__spec__
    name = spec.name.removesuffix(".__main__") if spec else os.path.basename(sys.argv[0])  # noqa: PTH119
    return f"python -m {name} {shlex.join(sys.argv[1:])}".strip()


def run(main: Callable[[], None]) -> None:
    """Parses the flags, calls `main`, and turns a user's mistake into one message and exit code 2."""
    os.environ.setdefault(
        "TF_CPP_MIN_LOG_LEVEL", "2"
    )  # before TensorFlow loads: its chatter hides our output
    app.run(lambda _: _guarded(main), flags_parser=_parse)


def _parse(argv: list[str]) -> list[str]:
    asked_for_help = any(word.lstrip("-") in _HELP_FLAGS for word in argv[1:] if word.startswith("-"))
    try:
        _require_none_lost(argv[1:])
        rest = flags.FLAGS(argv)
    except flags.Error as error:
        _fail(f"{str(error).removeprefix('ERROR:: ')}\nSee --help.", 2)
    except SystemExit:
        sys.exit(0 if asked_for_help else 2)  # absl calls a request for help a failure
    except OSError as error:
        _fail(f"--flagfile: {error}", 2)
    if len(rest) > 1:
        _fail(f"expected flags only, found {' '.join(rest[1:])!r}\nSee --help.", 2)
    return rest


def _require_none_lost(words: Sequence[str]) -> None:
    """Refuses a flag that a flag file after it would overrule: of two values of a flag, absl takes the last."""
    given: dict[str, str] = {}
    for place, word in enumerate(words):
        if not word.startswith("-"):
            continue  # the value of the flag before it
        if _flag_name(word) != "flagfile":
            given[_flag_name(word)] = word
            continue
        file = word if "=" in word else "=".join(words[place : place + 2])
        for inside in flags.FLAGS.read_flags_from_files([file]):
            lost = given.get(_flag_name(inside))
            if lost and inside.startswith("-"):
                _fail(
                    f"{lost}: expected it after {file}, whose {inside} it is to replace; found it before", 2
                )


def _flag_name(word: str) -> str:
    name = word.lstrip("-").partition("=")[0]
    return name.removeprefix("no") if name not in flags.FLAGS else name


def _guarded(main: Callable[[], None]) -> None:
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output, such as `head`, has gone; what is left of it goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)  # as a shell says
    except MmlsError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:
        if error.errno not in _ENVIRONMENT_ERRNOS:
            raise
        _fail(str(error), 2)
    except KeyboardInterrupt:
        _fail("interrupted", 130)


def _fail(message: str, code: int) -> typing.NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)

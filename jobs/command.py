"""The command line of every script: options, help, and errors in one line."""

import argparse
import dataclasses
import os
import sys
import textwrap
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn

from jobs import interrupts
from utils import UserError, WrongCommand, drop_output, ignore_pillow, one_line, say, say_once

NOT_GIVEN = object()


class Parser(argparse.ArgumentParser):
    """Prints errors in one line."""

    def error(self, message: str) -> NoReturn:
        print(f"error: {one_line(message)} (see {self.prog} --help)", file=sys.stderr)
        sys.exit(2)


class _HelpFormatter(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Keeps the lines of the script's docstring, and shows defaults."""

    def _get_help_string(self, action):
        # "(default: None)" and "(default: False)" tell a reader nothing.
        return action.help if action.default is None or action.default is False else super()._get_help_string(action)


def parse(
    doc: str,
    *kinds: type,
    argv: Sequence[str] | None = None,
    models: type | None = None,
    presets: Mapping[str, Any] | None = None,
) -> tuple[Any, ...]:
    """Returns an instance of each kind of Options, from the command line or `argv`. SystemExit if that is wrong.

    doc: the text above the options in --help; the first sentence of a kind's docstring is the heading of its options.
    models: the kind whose defaults apply to new models only; it becomes a dict of the options that were named.
    presets: by the names that --preset accepts; each one's `options` takes the options that are given, and returns all.
    """
    parser = Parser(description=doc, formatter_class=_HelpFormatter, allow_abbrev=False)
    arguments = []
    if presets:
        text = "set of values for the options of the search and --blend, see above; options that you add override it"
        parser.add_argument("--preset", choices=presets, default=next(iter(presets)), help=text)
    for kind in kinds:
        group = parser.add_argument_group((kind.__doc__ or "").partition(".")[0])
        arguments += [_add(group, field, kind is models) for field in dataclasses.fields(kind)]
    parser.usage = " ".join(["%(prog)s", "[options]", *(_shown(each) for each in arguments if each.required)])
    of_presets = next(iter(presets.values())).options({}) if presets else {}
    # argparse does not overwrite attributes that the namespace already has.
    args = vars(parser.parse_args(argv, argparse.Namespace(**dict.fromkeys(of_presets, NOT_GIVEN))))
    if presets:
        args = presets[args["preset"]].options({name: each for name, each in args.items() if each is not NOT_GIVEN})
    values = {kind: {f.name: args[f.name] for f in dataclasses.fields(kind) if f.name in args} for kind in kinds}
    try:
        return tuple(values[kind] if kind is models else kind(**values[kind]) for kind in kinds)
    except ValueError as error:
        return parser.error(str(error))


def _add(group, field: dataclasses.Field, of_model: bool) -> argparse.Action:
    """Adds the argument for an option's field, and returns it.

    of_model: the argument is left out of the result if it is not given, because a model has its own value.
    """
    flag, argument = field.metadata["flag"] or f"--{field.name}", {"help": field.metadata["text"]}
    if flag.startswith("-"):
        argument["dest"] = field.name
        if field.default is dataclasses.MISSING:
            argument["required"] = True
        elif of_model:
            argument["default"] = argparse.SUPPRESS
            argument["help"] += f" (default: the model's value; {field.default} for a new model)"
        else:
            argument["default"] = field.default
    if field.default is False:
        argument["action"] = "store_true"
    elif "choices" not in field.metadata["argument"]:
        argument["metavar"] = "PATH" if "Path" in str(field.type) else "N"
    if field.metadata["check"]:
        argument["type"] = _type(field.metadata["check"])
    return group.add_argument(flag, **argument | field.metadata["argument"])


def _shown(argument: argparse.Action) -> str:
    """A required argument in the line of usage."""
    value = argument.metavar or f"{{{','.join(argument.choices or ())}}}"
    return " ".join([*argument.option_strings, f"{value} ..." if argument.nargs == "+" else str(value)])


def _type(check: Callable[[Any], Any]) -> Callable[[str], Any]:
    def parse_text(text: str) -> Any:
        try:
            return check(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse_text


def run(main: Callable[[], int | None]) -> None:
    """Runs a script's `main` and exits with its result, or 0. Errors that a user can cause are printed in one line.

    In IPython it returns instead, because IPython shows SystemExit like a bug.
    """
    say_once.cache_clear()
    with warnings.catch_warnings():
        ignore_pillow()
        code = _code_of(main)
    if not interrupts.IN_IPYTHON:
        sys.exit(code)


def _code_of(main: Callable[[], int | None]) -> Any:
    """Runs `main` and returns the exit code."""
    code: Any = 1
    try:
        interrupts.raise_them()
        _open_outputs()
        try:
            code = main()
        except SystemExit as end:
            code = end.code
        say()
    except KeyboardInterrupt:
        code = _fail("interrupted", 130)
    except BrokenPipeError:
        drop_output()
        code = 141
    except Exception as error:
        if not (text := _explained(error)):
            raise
        code = _fail(text, 2 if isinstance(error, WrongCommand) else 1)
    finally:
        interrupts.ignore()
    return code


def _explained(error: Exception) -> str:
    """The line for an error that a user can cause; empty for a fault of the program."""
    if isinstance(error, UserError):
        return str(error)
    # The latter is TensorFlow's, which need not be imported here.
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return "out of memory: use smaller pictures or a smaller batch"
    if isinstance(error, ModuleNotFoundError):
        return f"the library {error.name} is missing: pip install -r requirements.txt"
    if isinstance(error, OSError):
        named = f"{error.strerror}: {error.filename}" if error.filename else error.strerror or error
        return f"{named}: check the path, its permissions and the space on the disk"
    if isinstance(error, ImportError) or _while_importing(error):
        reason = textwrap.shorten(str(error), 200)
        return f"cannot load a library ({reason}): free some memory, or install the requirements again"
    return ""


def _open_outputs() -> None:
    """Opens stdout and stderr if the caller closed them (`>&-`); makes every file name printable."""
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
            setattr(sys, name, open(descriptor, "w"))  # noqa: SIM115 - it stays open
    if not interrupts.IN_IPYTHON:
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def _while_importing(error: Exception) -> bool:
    """Whether the error was raised at the top of a module; too little memory raises nearly anything there."""
    return any(frame.f_code.co_name == "<module>" for frame, _ in traceback.walk_tb(error.__traceback__))


def _fail(message: str, code: int) -> int:
    interrupts.ignore()
    over_progress = "\r\033[K" if sys.stderr.isatty() else ""
    with suppress(OSError):
        print(f"{over_progress}error: {one_line(message)}", file=sys.stderr)
    try:
        sys.stdout.flush()
    except OSError:  # the disk is full, or nobody reads the output
        drop_output()
    return code

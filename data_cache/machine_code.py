"""What numba compiles, kept on disk as machine code: a later process calls it without numba.

numba's own cache would do, but to load from it numba first imports all it could compile with, which takes as
long as the rest of a backtest; LLVM alone loads the same code in milliseconds.

What is compiled is told by a module that imports no numba, here called its terms (``backtest.records``,
``signals.loops``). It has

    SOURCE      the name of the module that does: its ENTRIES are numba's dispatchers, one signature each, made with
                ``ALONE``; they allocate nothing, read no global but constants of both modules, and return an integer
    ARGUMENTS   of each of those functions its arguments in their order, as numba writes their types

1. ``entry``     a compiled function by its name
2. ``_engine``   LLVM with the object code in it: read from the file, else compiled and written
3. ``_compile``  numba's functions to LLVM's language to object code
4. ``_layout``, ``_flat``  how numba passes arguments: an array as seven or more words

The file's name is a digest of all that the code depends on (source, terms, libraries, processor); its first bytes are
a digest of the rest, so that half a file is compiled again and never run.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import platform
import tempfile
from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import llvmlite.binding as llvm
import numpy as np

__all__ = ["ALONE", "entry"]

ALONE = {"nogil": True, "_nrt": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""What numba is told so that its code stands alone: nothing counted, and nothing for Python, which would name symbols
that numba alone has."""
# What the code may call of the C library. LLVM makes loops into calls of the first three; of what it cannot find it
# says nothing, and calls address 0.
_CALLED = frozenset({"memcpy", "memmove", "memset", "sqrt"})
# LLVM's own that become calls of others
_CALLING = frozenset({"cos", "exp", "exp2", "log", "log10", "log2", "pow", "sin", "tan"})
_DIGEST = hashlib.sha256().digest_size


@cache
def entry(terms: ModuleType, name: str) -> Callable[..., int]:
    """A function of the source's ``ENTRIES``, called by keyword; it releases the GIL and returns an integer.

    Called with an argument missing, unknown, or an array of another type or layout than ``terms.ARGUMENTS`` says,
    it raises TypeError and runs nothing.
    """
    types: dict[str, str] = terms.ARGUMENTS[name]
    words = [_CTYPES[word] for type_ in types.values() for word in _layout(type_)]
    signature = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, *words)
    function = signature(_engine(terms).get_function_address(_symbol(name)))
    flat = [(argument, _flat(argument, type_)) for argument, type_ in types.items()]

    def call(**arguments: Any) -> int:
        if arguments.keys() != types.keys():
            raise TypeError(f"{name} takes {sorted(types)}, got {sorted(arguments)}")
        returned, raised = ctypes.c_int64(), ctypes.c_void_p()
        passed = [word for argument, words_of in flat for word in words_of(arguments[argument])]
        if function(ctypes.addressof(returned), ctypes.addressof(raised), *passed):
            raise RuntimeError(f"the compiled {name} raised, and nothing in it can")
        return returned.value

    return call


def _symbol(name: str) -> str:
    return f"ashare_{name}"


@cache
def _engine(terms: ModuleType) -> Any:
    """LLVM's engine with the code loaded; it lives as long as the process."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    machine = target.create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=_features(), opt=3, codemodel="jitdefault", jit=True
    )
    path = _path(terms)
    code = _read(path)
    if code is None:
        code = _compile(terms, machine)
        _write(path, code)
    library = ctypes.CDLL(None)
    for name in _CALLED:
        llvm.add_symbol(name, ctypes.cast(getattr(library, name), ctypes.c_void_p).value)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine


def _features() -> str:
    return str(llvm.get_host_cpu_features().flatten())


def _path(terms: ModuleType) -> Path:
    """Where this machine's code lies: beside Python's own bytecode, or in the user's cache folder."""
    source = find_spec(terms.SOURCE)
    if source is None or source.origin is None or terms.__file__ is None:
        raise ImportError(f"there is no module {terms.SOURCE}")
    libraries = [f"{name} {version(name)}" for name in ("numba", "llvmlite", "numpy")]
    machine = [platform.machine(), platform.python_version(), llvm.get_host_cpu_name(), _features()]
    digest = hashlib.sha256("\n".join([*libraries, *machine]).encode())
    for path in (source.origin, terms.__file__, __file__):
        digest.update(Path(path).read_bytes())
    folder, name = Path(source.origin).parent, Path(source.origin).stem
    if os.access(folder, os.W_OK):
        folder /= "__pycache__"
    else:
        from platformdirs import user_cache_path

        folder = user_cache_path("ashare-signals")
    return folder / f"{name}.{digest.hexdigest()[:32]}.o"


def _read(path: Path) -> bytes | None:
    """The object code, or None where there is none or not all of it."""
    try:
        held = path.read_bytes()
    except OSError:
        return None
    digest, code = held[:_DIGEST], held[_DIGEST:]
    return code if hashlib.sha256(code).digest() == digest else None


def _write(path: Path, code: bytes) -> None:
    """Whole or not at all; where nothing can be written the next process compiles again."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(hashlib.sha256(code).digest() + code)
            Path(temporary).replace(path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)


def _compile(terms: ModuleType, machine: Any) -> bytes:
    modules = []
    for name, dispatcher in import_module(terms.SOURCE).ENTRIES.items():
        (signature,) = dispatcher.signatures
        mangled = dispatcher.overloads[signature].fndesc.llvm_func_name
        module = llvm.parse_assembly(dispatcher.inspect_llvm(signature).replace(mangled, _symbol(name)))
        words = [str(argument.type) for argument in module.get_function(_symbol(name)).arguments]
        expected = [
            "ptr",
            "ptr",
            *(word for type_ in terms.ARGUMENTS[name].values() for word in _layout(type_)),
        ]
        if words != expected:
            raise RuntimeError(
                f"numba {version('numba')} passes the arguments of {name} otherwise than this version of "
                f"ashare-signals expects; install the numba named in constraints.txt"
            )
        modules.append(module)
    whole, *others = modules
    for module in others:
        whole.link_in(module)
    declared = [f.name for f in whole.functions if f.is_declaration]
    if unknown := [
        name
        for name in declared
        if (name.split(".")[1] in _CALLING if name.startswith("llvm.") else name not in _CALLED)
    ]:
        raise RuntimeError(f"{terms.SOURCE} calls {', '.join(unknown)}, which only numba could find")
    return bytes(machine.emit_object(whole))


_CTYPES = {"ptr": ctypes.c_void_p, "i64": ctypes.c_int64, "double": ctypes.c_double}
_WORDS = {"i8": "i64", "f8": "double"}


@cache
def _layout(type_: str) -> tuple[str, ...]:
    """The words one argument is passed as, in LLVM's names."""
    if type_ in _WORDS:
        return (_WORDS[type_],)
    if type_.startswith("UniTuple"):
        return ("i64",) * int(type_.removesuffix(")").split()[-1])
    axes = type_.count(":") - 1  # [::1] is one axis
    return ("ptr", "ptr", "i64", "i64", "ptr", *["i64"] * (2 * axes))


def _flat(name: str, type_: str) -> Callable[[Any], Iterable[Any]]:
    """What turns an argument into those words: of an array no owner, the size, the data, the shape, the strides."""
    if type_ in _WORDS:
        return lambda value: (value,)
    if type_.startswith("UniTuple"):
        return tuple
    dtype, axes = np.dtype(type_[:2]), type_.count(":") - 1

    def array(value: Any) -> Iterable[Any]:
        if not (
            isinstance(value, np.ndarray)
            and value.dtype == dtype
            and value.ndim == axes
            and value.flags.c_contiguous
        ):
            told = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
            raise TypeError(f"{name} needs a C-ordered {type_}, got {told}")
        return (None, None, value.size, value.itemsize, value.ctypes.data, *value.shape, *value.strides)

    return array

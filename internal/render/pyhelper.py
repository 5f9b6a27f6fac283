# Runs a file of the renderer py. The program that started this reads and writes frames:
# the length of a JSON text in a line of its own, then the text. An object in it stands
# for what JSON has not: {"d": [key, value, ...]} a dict, {"b": base64} bytes, {"f": text}
# a float.
#
# `inp` is the stream of frames to us; it was made by what read this file.

import base64
import builtins
import json
import linecache
import logging
import os
import sys
import threading
import traceback
import types

out = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)  # what the file prints is no frame
devnull = os.open(os.devnull, os.O_RDONLY)
os.dup2(devnull, 0)
os.close(devnull)
sys.stdin = open(os.devnull)

lock = threading.RLock()


def decode(d):
    if "d" in d:
        flat = d["d"]
        return dict(zip(flat[::2], flat[1::2]))
    if "b" in d:
        return base64.b64decode(d["b"])
    return float(d["f"])


def encode(v, path):
    if v is None or v is True or v is False:
        return v
    if isinstance(v, str):
        s = str.__str__(v) if type(v) is not str else v
        try:
            s.encode("utf-8")
        except UnicodeEncodeError:
            return {"b": base64.b64encode(s.encode("utf-8", "surrogateescape")).decode()}
        return s
    if isinstance(v, int):
        return int(v)
    if isinstance(v, float):
        return {"f": repr(float(v))}
    if isinstance(v, (bytes, bytearray)):
        return {"b": base64.b64encode(bytes(v)).decode()}
    if callable(getattr(v, "items", None)):
        flat = []
        for k, e in v.items():
            flat.append(encode(k, path))
            flat.append(encode(e, "%s[%r]" % (path, k)))
        return {"d": flat}
    if isinstance(v, (list, tuple, set, frozenset, range, type({}.keys()), type({}.values()))) or hasattr(v, "__next__"):
        return [encode(e, "%s[%d]" % (path, i)) for i, e in enumerate(v)]
    if hasattr(v, "isoformat"):
        return v.isoformat()
    if isinstance(v, os.PathLike):
        return encode(os.fspath(v), path)
    raise TypeError("%s is of type %s, which cannot be handed over" % (path, type(v).__name__))


def read():
    line = inp.readline()
    if not line:
        os._exit(1)
    return json.loads(inp.read(int(line)).decode("utf-8"), object_hook=decode)


def write(message):
    data = json.dumps(message, allow_nan=False).encode("ascii")
    out.write(b"%d\n" % len(data))
    out.write(data)
    out.flush()


def ask(*message):
    with lock:
        write(list(message))
        return read()


def exception_class(name):
    """The class of an exception of Salt's or Python's own."""
    c = getattr(builtins, name, None)
    if c is None:
        try:
            import salt.exceptions as module
        except ImportError:
            return Exception
        c = getattr(module, name, None)
    return c if isinstance(c, type) and issubclass(c, Exception) else Exception


class StandIns:
    """Finds the modules salt and salt.exceptions where no Salt is installed."""

    names = (
        "ArgumentValueError", "AuthenticationError", "AuthorizationError", "CommandExecutionError",
        "CommandNotFoundError", "EauthAuthenticationError", "FileLockError", "FileserverConfigError",
        "LoaderError", "MinionError", "PillarRenderError", "PkgParseError", "SaltCacheError",
        "SaltClientError", "SaltConfigurationError", "SaltDeserializationError",
        "SaltInvocationError", "SaltMasterError", "SaltNoMinionsFound", "SaltRenderError",
        "SaltReqTimeoutError", "SaltRunnerError", "SaltSystemExit", "TimedProcTimeoutError",
        "UnsupportedFailure",
    )

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name in ("salt", "salt.exceptions"):
            import importlib.machinery

            return importlib.machinery.ModuleSpec(name, cls, is_package=name == "salt")
        return None

    @staticmethod
    def create_module(spec):
        return None

    @classmethod
    def exec_module(cls, module):
        if module.__name__ == "salt":
            return
        inside = {"__module__": module.__name__}
        module.SaltException = type("SaltException", (Exception,), inside)
        for name in cls.names:
            setattr(module, name, type(name, (module.SaltException,), inside))


sys.meta_path.append(StandIns)


class Function:
    def __init__(self, name):
        self.__name__ = name

    def __call__(self, *args, **kwargs):
        args = [encode(a, "an argument of " + self.__name__) for a in args]
        kind, value = ask("call", self.__name__, args, encode(kwargs, "the arguments of " + self.__name__))
        if kind == "ok":
            return value
        raise exception_class(kind)(value)

    def __repr__(self):
        return "<LoadedFunc name=%r>" % self.__name__


class Module:
    def __init__(self, functions, name):
        self.__functions, self.__name = functions, name

    def __getattr__(self, name):
        try:
            return self.__functions[self.__name + "." + name]
        except KeyError:
            raise AttributeError(self.__name + "." + name) from None


class Functions:
    """Behaves as the mapping __salt__: a function for a name."""

    def __init__(self):
        self.__known = {}

    def __getitem__(self, name):
        if name not in self.__known:
            if not isinstance(name, str) or not ask("has", name):
                raise KeyError(name)
            self.__known[name] = Function(name)
        return self.__known[name]

    def __contains__(self, name):
        try:
            self[name]
        except KeyError:
            return False
        return True

    def get(self, name, default=None):
        return self[name] if name in self else default

    def keys(self):
        return ask("names")

    def values(self):
        return [self[n] for n in self.keys()]

    def items(self):
        return [(n, self[n]) for n in self.keys()]

    def __iter__(self):
        return iter(self.keys())

    def __len__(self):
        return len(self.keys())

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Module(self, name)


class Log(logging.Handler):
    def emit(self, record):
        try:
            ask("log", record.levelname, record.name, self.format(record))
        except Exception:
            self.handleError(record)


def trace(path):
    """The traceback of the exception at hand, from the first line of the file on."""
    kind, exc, tb = sys.exc_info()
    frames = traceback.extract_tb(tb)
    first = next((i for i, f in enumerate(frames) if f.filename == path), len(frames))
    line = 0
    for frame in frames[first:]:
        if frame.filename == path:
            line = frame.lineno
    if first == len(frames) and isinstance(exc, SyntaxError):
        line = exc.lineno or 0
    t = traceback.TracebackException(kind, exc, tb)
    t.stack = traceback.StackSummary.from_list([f for f in list(t.stack)[first:] if f.filename != "<gosalt>"])
    return ["failed", "".join(t.format()), line]


def main():
    job = read()
    path, source, variables = job["path"], job["source"], job["vars"]
    root = logging.getLogger()
    root.addHandler(Log())
    root.setLevel(job["level"])
    module = types.ModuleType(job["name"])
    module.__file__ = path
    sys.modules[job["name"]] = module
    variables["salt"] = variables["__salt__"] = Functions()
    module.__dict__.update(variables)
    linecache.cache[path] = (len(source), None, source.splitlines(True), path)
    try:
        exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)
        # As in Salt what the file imports does not hide what it is given.
        module.__dict__.update(variables)
        run = module.__dict__.get("run")
        if run is None:
            raise AttributeError("module %r has no attribute 'run': a file of the renderer py makes its data in a function run()" % job["name"])
        reply = ["done", encode(run(), "what run() returned")]
    except BaseException:  # SystemExit, too: a file must not end its renderer without a word
        reply = trace(path)
    with lock:
        write(reply)


main()

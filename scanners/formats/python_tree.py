"""The syntax tree of Python source, and what it does when (see `python_source.py`, which reads such files)."""

import ast
import re
import warnings
from collections.abc import Iterator

from scanners.errors import FormatError, LimitExceeded
from scanners.facts import Code, Reference
from scanners.formats.python_source import MAXIMUM_STATEMENTS
from scanners.reading import Reading

MAXIMUM_NODES = 1_500_000
_EXCERPT = 200

_LOADED = frozenset(
    "__init__ __new__ __post_init__ __setstate__ __reduce__ __reduce_ex__ __del__ __call__ __init_subclass__"
    " __set_name__ __getattr__ forward from_pretrained from_config call build setup load load_model load_context"
    " predict initialize handle preprocess postprocess inference generate get_config _load_pyfunc execute".split()
)

_PROCESS = frozenset(
    "os.system os.popen os.popen2 os.popen3 os.startfile os.execl os.execle os.execlp os.execlpe os.execv os.execve"
    " os.execvp os.execvpe os.spawnl os.spawnle os.spawnlp os.spawnlpe os.spawnv os.spawnve os.spawnvp os.spawnvpe"
    " os.posix_spawn os.posix_spawnp posix.system nt.system pty.spawn subprocess.run subprocess.call"
    " subprocess.check_call subprocess.check_output subprocess.Popen subprocess.getoutput subprocess.getstatusoutput"
    " commands.getoutput commands.getstatusoutput asyncio.create_subprocess_shell asyncio.create_subprocess_exec"
    " pip.main pip._internal.main platform.popen pexpect.spawn sh.bash plumbum.local _posixsubprocess.fork_exec"
    " multiprocessing.util.spawnv_passfds torch.utils.collect_env.run distutils.spawn.spawn".split()
)
_NETWORK = frozenset(
    "socket.socket socket.create_connection urllib.request.urlopen urllib.request.urlretrieve"
    " urllib.request.Request urllib2.urlopen urllib.urlopen urllib.urlretrieve http.client.HTTPConnection"
    " http.client.HTTPSConnection httplib.HTTPConnection ftplib.FTP smtplib.SMTP telnetlib.Telnet"
    " requests.get requests.post requests.put requests.request requests.head requests.Session httpx.get httpx.post"
    " httpx.Client httpx.AsyncClient aiohttp.ClientSession paramiko.SSHClient websocket.create_connection"
    " wget.download torch.hub.download_url_to_file torch.hub.load_state_dict_from_url xmlrpc.client.ServerProxy".split()
)
_NATIVE = frozenset(
    "ctypes.CDLL ctypes.PyDLL ctypes.WinDLL ctypes.cdll.LoadLibrary ctypes.windll.LoadLibrary ctypes.CFUNCTYPE"
    " ctypes.memmove ctypes.string_at cffi.FFI torch.ops.load_library torch.classes.load_library"
    " torch.utils.cpp_extension.load torch.utils.cpp_extension.load_inline tensorflow.load_op_library"
    " tf.load_op_library numpy.ctypeslib.load_library".split()
)
_CHANGE = frozenset(
    "os.remove os.unlink os.rename os.replace os.rmdir os.removedirs os.chmod os.chown os.symlink os.link os.truncate"
    " shutil.rmtree shutil.move shutil.copy shutil.copyfile shutil.copytree shutil.unpack_archive".split()
)
_UNPICKLE = frozenset(
    "pickle.load pickle.loads pickle.Unpickler _pickle.loads cPickle.loads dill.load dill.loads cloudpickle.load"
    " cloudpickle.loads joblib.load marshal.load marshal.loads shelve.open yaml.load yaml.unsafe_load"
    " yaml.full_load jsonpickle.decode torch.jit.load keras.models.load_model"
    " tf.keras.models.load_model".split()
)
_EXECUTE = frozenset(
    "exec eval execfile builtins.exec builtins.eval __builtin__.exec runpy.run_path runpy.run_module"
    " code.InteractiveInterpreter code.interact timeit.timeit types.FunctionType types.CodeType"
    " cProfile.run profile.run".split()
)
_DECODERS = frozenset(
    "base64.b64decode base64.b32decode base64.b16decode base64.b85decode base64.a85decode base64.urlsafe_b64decode"
    " base64.standard_b64decode base64.decodebytes zlib.decompress bz2.decompress lzma.decompress gzip.decompress"
    " codecs.decode binascii.unhexlify binascii.a2b_base64 bytes.fromhex bytearray.fromhex marshal.loads".split()
)
_IMPORTERS = frozenset({"__import__", "importlib.import_module", "builtins.__import__", "importlib.__import__"})
_GUARDED = frozenset({"os", "subprocess", "builtins", "sys", "ctypes", "pty", "socket", "importlib", "posix", "nt"})
_SENSITIVE = re.compile(
    r"(?:/etc/(?:passwd|shadow)|\.ssh/|id_rsa|\.aws/credentials|\.netrc|\.git-credentials|/proc/self/environ|\.huggingface/token)"
)
_COOKIE = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_PLAIN_ENCODINGS = frozenset(
    {
        "utf-8",
        "utf8",
        "utf-8-sig",
        "ascii",
        "us-ascii",
        "latin-1",
        "latin1",
        "iso-8859-1",
        "cp1252",
        "utf_8",
        "iso-8859-15",
    }
)
_WRITING = re.compile(r"[wax+]")


def read_source(source: bytes, reading: Reading, *, runs: str | None = None) -> None:
    """State the facts of ``source``; ``runs`` overrides the moment (a notebook's cells run when a person runs them).

    Raises:
        FormatError: no Python of today accepts the text.
        LimitExceeded: the syntax tree is too large or too deep.
    """
    for first in source.split(b"\n", 2)[:2]:
        cookie = _COOKIE.match(first)
        if cookie and cookie[1].decode("ascii", "replace").lower().replace("_", "-") not in _PLAIN_ENCODINGS:
            _state(reading, "obfuscation", f"# coding: {cookie[1].decode('ascii', 'replace')}", runs or "import", 0)
    tree = _parse(source)
    for package in _packages(tree):
        reading.state(Reference(location=reading.at(), kind="import", target=package, context="import"))
    offsets = _line_offsets(source)
    told: set[tuple[str, str, str]] = set()
    for action, text, moment, line in _Module(tree).actions():
        key = (action, text, runs or moment)
        if key not in told:
            told.add(key)
            _state(reading, action, text, runs or moment, offsets[min(line, len(offsets)) - 1])


def _state(reading: Reading, action: str, text: str, runs: str, offset: int) -> None:
    reading.state(Code(location=reading.at(offset), language="python", action=action, text=text[:_EXCERPT], runs=runs))


def _line_offsets(source: bytes) -> list[int]:
    offsets = [0]
    for line in source.splitlines(keepends=True):
        offsets.append(offsets[-1] + len(line))
    return offsets


def _parse(source: bytes) -> ast.Module:
    if source.count(b"\n") + source.count(b";") > MAXIMUM_STATEMENTS:
        raise LimitExceeded("text", f"more than {MAXIMUM_STATEMENTS} lines of Python")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd escape in a string is not this program's business
            return ast.parse(source, type_comments=False)
    except SyntaxError as error:
        raise FormatError(f"line {error.lineno}: not Python: {error.msg}") from error
    except (RecursionError, MemoryError) as error:
        raise LimitExceeded("depth", "the source is nested too deeply to parse") from error
    except (ValueError, LookupError) as error:
        raise FormatError(f"not Python: {error}") from error


def _packages(tree: ast.Module) -> list[str]:
    """Return the packages the source imports anywhere, without its own neighbours (relative imports)."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return sorted(names)


class _Module:
    """One source file: its names, its functions, and the moment each of its statements runs."""

    def __init__(self, tree: ast.Module) -> None:
        self._names: dict[str, str] = {}
        self._constants: dict[str, str | bytes] = {}
        self._from_decoder: set[str] = set()
        self._functions: dict[str, list[ast.AST]] = {}
        self._calls: list[tuple[ast.Call, str | None]] = []
        self._others: list[tuple[ast.AST, str]] = []
        self._callers: dict[str, set[str]] = {}
        self._walk(tree)
        self._spread()

    def _walk(self, tree: ast.Module) -> None:
        """Visit every node once, with the name of the function around it (empty at import)."""
        stack: list[tuple[ast.AST, str, str]] = [(tree, "", "")]
        count = 0
        while stack:
            node, function, klass = stack.pop()
            count += 1
            if count > MAXIMUM_NODES:
                raise LimitExceeded("nodes", f"the source has more than {MAXIMUM_NODES} syntax nodes")
            self._bind(node)
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                name = "<lambda>" if isinstance(node, ast.Lambda) else node.name
                inner = f"{klass}.{name}" if klass and not function else name if not function else f"{function}.{name}"
                self._functions.setdefault(name, []).append(node)
                outer: list[ast.AST] = [*node.args.defaults, *[d for d in node.args.kw_defaults if d is not None]]
                if not isinstance(node, ast.Lambda):
                    outer += [_applied(decorator) for decorator in node.decorator_list]
                stack.extend((child, function, klass) for child in outer)
                body = [node.body] if isinstance(node, ast.Lambda) else list(node.body)
                stack.extend((child, inner, "") for child in reversed(body))
                continue
            if isinstance(node, ast.ClassDef):
                stack.extend(
                    (child, function, klass)
                    for child in (*map(_applied, node.decorator_list), *node.bases, *node.keywords)
                )
                stack.extend((child, function, node.name if not function else klass) for child in reversed(node.body))
                self._functions.setdefault(node.name, []).append(node)
                continue
            if isinstance(node, ast.If) and _is_main_guard(node.test) and not function:
                stack.extend((child, "<script>", klass) for child in node.body)
                stack.extend((child, function, klass) for child in node.orelse)
                continue
            if isinstance(node, ast.Call):
                self._calls.append((node, function))
                self._callers.setdefault(function, set()).add(_called_name(node))
            elif isinstance(node, (ast.Import, ast.ImportFrom, ast.Constant, ast.Subscript)):
                self._others.append((node, function))
            stack.extend((child, function, klass) for child in reversed(list(ast.iter_child_nodes(node))))

    def _bind(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                root = alias.name.split(".")[0]
                self._names[alias.asname or root] = alias.name if alias.asname else root
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                self._names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            self._assign(node.targets[0].id, node.value)
        elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)) and isinstance(node.target, ast.Name) and node.value:
            self._assign(node.target.id, node.value)

    def _assign(self, name: str, value: ast.expr) -> None:
        text = self._fold(value)
        if text is not None:
            self._constants[name] = text
        dotted = self._dotted(value)
        if dotted and dotted != name:
            self._names[name] = dotted
        if any(isinstance(one, ast.Call) and (self._dotted(one.func) or "") in _DECODERS for one in ast.walk(value)):
            self._from_decoder.add(name)

    def _spread(self) -> None:
        """Find which functions run at import or at load, through the calls between them."""
        self._reached: dict[str, str] = {}
        ends: dict[str, list[str]] = {}
        for caller in self._callers:
            ends.setdefault(caller.rsplit(".", 1)[-1], []).append(caller)
        for moment, start in (("import", [""]), ("load", self._entries())):
            pending = list(start)
            while pending:
                function = pending.pop()
                if function in self._reached:
                    continue
                self._reached[function] = moment
                for name in self._callers.get(function, ()):
                    for definition in self._functions.get(name, ()):
                        if isinstance(definition, ast.ClassDef):
                            pending += [f"{name}.__init__", f"{name}.__new__", f"{name}.__post_init__"]
                    pending += ends.get(name, ())

    def _entries(self) -> list[str]:
        return sorted(name for name in self._callers if name.rsplit(".", 1)[-1] in _LOADED and "." in name)

    def _moment(self, function: str | None) -> str:
        name = function or ""
        while True:
            if name in self._reached:
                return self._reached[name]
            if "." not in name:
                return "call"
            name = name.rsplit(".", 1)[0]
            if (
                name in self._functions
                and "." not in name
                and any(isinstance(one, ast.ClassDef) for one in self._functions[name])
            ):
                return "call"

    def actions(self) -> Iterator[tuple[str, str, str, int]]:
        """Yield (action, text, moment, line)."""
        for call, function in self._calls:
            for action in self._actions_of(call):
                yield action, _source(call), self._moment(function), call.lineno
        for node, function in self._others:
            if isinstance(node, ast.Constant):
                text = node.value if isinstance(node.value, str) else ""
                if len(text) < 300 and _SENSITIVE.search(text):  # longer ones are documentation
                    yield "sensitive-path", repr(text), self._moment(function), node.lineno
            elif isinstance(node, ast.Subscript) and self._hides_name(node):
                yield "obfuscation", _source(node), self._moment(function), node.lineno

    def _actions_of(self, call: ast.Call) -> Iterator[str]:
        name = self._dotted(call.func) or ""
        if name.split(".")[0] in {"__builtins__", "builtins"} and "." in name:
            name = name.split(".", 1)[1]
        if name in _EXECUTE or name == "compile":
            if self._decoded(call):
                yield "obfuscation"
            elif name != "compile" and not (call.args and self._harmless_literal(name, call.args[0])):
                yield "exec"
        elif name in _PROCESS:
            yield "process"
        elif name in _NETWORK:
            yield "network"
        elif name in _NATIVE:
            yield "native"
        elif name in _CHANGE or self._writes(name, call):
            yield "file-write"
        elif name in _UNPICKLE or (name == "torch.load" and not _safe_torch_load(call)):
            if not (name == "yaml.load" and "Safe" in _source(call)):
                yield "deserialize"
        elif name in _IMPORTERS and call.args and self._fold(call.args[0]) is None:
            yield "import"
        elif self._hides_attribute(call):
            yield "obfuscation"

    def _harmless_literal(self, name: str, argument: ast.expr) -> bool:
        text = self._fold(argument)
        return name == "eval" and isinstance(text, str) and "(" not in text

    def _decoded(self, node: ast.AST) -> bool:
        """Return whether what is executed comes out of a decoder, the network or character codes."""
        for inner in ast.walk(node):
            if isinstance(inner, ast.Call) and inner is not node:
                name = self._dotted(inner.func) or ""
                if name in _DECODERS or name in {"urllib.request.urlopen", "requests.get", "urllib2.urlopen"}:
                    return True
                if name in {"chr", "bytes", "bytearray"} and isinstance(node, ast.Call) and node.args:
                    return True
            if isinstance(inner, ast.Name) and inner.id in self._from_decoder:
                return True
        return False

    def _writes(self, name: str, call: ast.Call) -> bool:
        if name in {"open", "io.open", "codecs.open", "builtins.open"}:
            mode = (
                call.args[1] if len(call.args) > 1 else next((k.value for k in call.keywords if k.arg == "mode"), None)
            )
            text = self._fold(mode) if mode is not None else "r"
            return text is None or (isinstance(text, str) and bool(_WRITING.search(text)))
        return isinstance(call.func, ast.Attribute) and call.func.attr in {"write_text", "write_bytes"}

    def _hides_attribute(self, call: ast.Call) -> bool:
        """Return whether `getattr` reaches into a dangerous module by a name that is not written out."""
        if self._dotted(call.func) != "getattr" or len(call.args) < 2:
            return False
        owner = self._dotted(call.args[0]) or ""
        return owner.split(".")[0] in _GUARDED and self._fold(call.args[1]) is None

    def _hides_name(self, node: ast.Subscript) -> bool:
        owner = node.value
        if isinstance(owner, ast.Call) and self._dotted(owner.func) in {"globals", "vars", "locals"}:
            key = self._fold(node.slice)
            return key in {"__builtins__", "__import__", "exec", "eval"}
        if isinstance(owner, ast.Attribute) and owner.attr == "__dict__":
            base = self._dotted(owner.value)
            return bool(base) and str(base).split(".")[0] in _GUARDED and not isinstance(node.slice, ast.Constant)
        return False

    def _dotted(self, node: ast.AST, depth: int = 0) -> str | None:
        """Return the dotted name an expression stands for, through aliases, `getattr` and `__import__`."""
        if depth > 40:
            return None
        match node:
            case ast.Name():
                return self._names.get(node.id, node.id)
            case ast.Attribute():
                owner = self._dotted(node.value, depth + 1)
                return f"{owner}.{node.attr}" if owner else None
            case ast.Call():
                return self._looked_up(node, depth)
            case ast.Subscript():
                key = self._fold(node.slice)
                owner = self._dotted(node.value, depth + 1)
                if owner == "sys.modules" and isinstance(key, str):
                    return key
                plain = owner in {"__builtins__", "builtins.__dict__", "__builtins__.__dict__"} or (
                    bool(owner) and str(owner).endswith(".__dict__")
                )
                if plain and isinstance(key, str) and owner:
                    return f"{owner.removesuffix('.__dict__')}.{key}"
                return None
            case _:
                return None

    def _looked_up(self, call: ast.Call, depth: int) -> str | None:
        function = self._dotted(call.func, depth + 1)
        first = self._fold(call.args[0]) if call.args else None
        if function in _IMPORTERS and isinstance(first, str):
            return first if function != "__import__" or "." not in first else first.split(".")[0]
        if function in {"getattr", "builtins.getattr"} and len(call.args) >= 2:
            owner, attribute = self._dotted(call.args[0], depth + 1), self._fold(call.args[1])
            if owner and isinstance(attribute, str):
                return f"{owner}.{attribute}"
        return None

    def _fold(self, node: ast.AST, depth: int = 0) -> str | bytes | None:
        """Return a text or bytes constant, also one put together from pieces."""
        if depth > 40:
            return None
        match node:
            case ast.Constant():
                return node.value if isinstance(node.value, (str, bytes)) else None
            case ast.Name():
                return self._constants.get(node.id)
            case ast.BinOp(op=ast.Add()):
                left, right = self._fold(node.left, depth + 1), self._fold(node.right, depth + 1)
                if isinstance(left, str) and isinstance(right, str):
                    return (left + right)[:4096]
                return None
            case ast.JoinedStr():
                parts = [self._fold(part, depth + 1) for part in node.values]
                return "".join(part for part in parts if isinstance(part, str)) if None not in parts else None
            case ast.FormattedValue():
                return self._fold(node.value, depth + 1)
            case ast.Subscript(slice=ast.Slice(lower=None, upper=None, step=ast.UnaryOp())):
                value = self._fold(node.value, depth + 1)
                return value[::-1] if value is not None else None
            case ast.Call(func=ast.Name(id="chr"), args=[ast.Constant(value=int() as code)]):
                return chr(code) if 0 <= code < 0x110000 else None
            case ast.Call(func=ast.Attribute(attr="join"), args=[ast.List() | ast.Tuple() as items]):
                pieces = [self._fold(item, depth + 1) for item in items.elts[:512]]
                texts = [piece for piece in pieces if isinstance(piece, str)]
                return "".join(texts)[:4096] if len(texts) == len(pieces) else None
            case _:
                return None


def _is_main_guard(test: ast.expr) -> bool:
    return isinstance(test, ast.Compare) and isinstance(test.left, ast.Name) and test.left.id == "__name__"


def _applied(decorator: ast.expr) -> ast.expr:
    """Return a decorator as the call it is."""
    return ast.copy_location(ast.Call(func=decorator, args=[], keywords=[]), decorator)


def _called_name(call: ast.Call) -> str:
    function = call.func
    return (
        function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
    )


def _safe_torch_load(call: ast.Call) -> bool:
    return any(
        keyword.arg == "weights_only" and isinstance(keyword.value, ast.Constant) and keyword.value.value is True
        for keyword in call.keywords
    )


def _source(node: ast.AST) -> str:
    try:
        return ast.unparse(node)
    except (RecursionError, ValueError):
        return type(node).__name__

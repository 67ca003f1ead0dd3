"""The syntax tree of Python source, and what it does when (see `python_source.py`, which reads such files)."""

import ast
import warnings
from collections.abc import Iterator

from scanners.errors import FormatError, LimitExceeded
from scanners.facts import Code, Reference
from scanners.formats.executable import ATTACK
from scanners.formats.python_source import MAXIMUM_STATEMENTS
from scanners.formats.python_values import Folder, Value
from scanners.patterns import late
from scanners.reading import Reading

MAXIMUM_NODES = 1_500_000
_MAXIMUM_TEXTS = 4
"""texts executed inside executed texts that are followed"""
_EXCERPT = 200

_LOADED = frozenset(
    "__init__ __new__ __post_init__ __setstate__ __reduce__ __reduce_ex__ __del__ __call__ __init_subclass__"
    " __set_name__ __getattr__ __getattribute__ __class_getitem__ __mro_entries__ __prepare__"
    " forward from_pretrained from_config call build setup load load_model load_context"
    " predict initialize handle preprocess postprocess inference generate get_config _load_pyfunc execute"
    " post_init tie_weights init_weights _init_weights _initialize_weights _from_config _load_from_state_dict"
    " load_state_dict get_input_embeddings set_input_embeddings get_output_embeddings resize_token_embeddings"
    " prepare_inputs_for_generation _update_model_kwargs_for_generation _reorder_cache tokenize _tokenize encode decode"
    " _decode _convert_token_to_id _convert_id_to_token convert_tokens_to_string get_vocab vocab_size"
    " build_inputs_with_special_tokens apply_chat_template to_dict to_diff_dict to_json_string from_dict train eval to"
    " extra_repr get_config_dict from_dict check_inputs encode_prompt prepare_latents set_timesteps step".split()
)
"""methods that making, loading or using a model calls; so are all with two underscores on either side"""

_SERVED = frozenset(
    "generate _load_pyfunc handle model_fn input_fn predict_fn output_fn transform_fn load_context load_model predict"
    " init get_model".split()
)
"""functions of a module that serving systems call: MLflow, TorchServe, SageMaker, Azure; `custom_generate`"""

_PROCESS = frozenset(
    "os.system os.popen os.popen2 os.popen3 os.startfile os.execl os.execle os.execlp os.execlpe os.execv os.execve"
    " os.execvp os.execvpe os.spawnl os.spawnle os.spawnlp os.spawnlpe os.spawnv os.spawnve os.spawnvp os.spawnvpe"
    " os.posix_spawn os.posix_spawnp posix.system nt.system pty.spawn subprocess.run subprocess.call"
    " subprocess.check_call subprocess.check_output subprocess.Popen subprocess.getoutput subprocess.getstatusoutput"
    " commands.getoutput commands.getstatusoutput asyncio.create_subprocess_shell asyncio.create_subprocess_exec"
    " pip.main pip._internal.main platform.popen pexpect.spawn sh.bash plumbum.local _posixsubprocess.fork_exec"
    " pip._internal.main.main pip._internal.cli.main.main pip.__main__.main os.fork pty.fork"
    " ensurepip.bootstrap setuptools.command.easy_install.main venv.create invoke.run fabric.Connection pexpect.run"
    " pexpect.runu docker.from_env docker.DockerClient win32com.client.Dispatch win32com.client.DispatchEx"
    " win32api.ShellExecute multiprocessing.util.spawnv_passfds torch.utils.collect_env.run"
    " distutils.spawn.spawn psutil.Popen".split()
)
_NETWORK = frozenset(
    "socket.socket socket.create_connection urllib.request.urlopen urllib.request.urlretrieve"
    " urllib.request.Request urllib2.urlopen urllib.urlopen urllib.urlretrieve http.client.HTTPConnection"
    " http.client.HTTPSConnection httplib.HTTPConnection ftplib.FTP smtplib.SMTP telnetlib.Telnet"
    " requests.get requests.post requests.put requests.request requests.head requests.Session httpx.get httpx.post"
    " httpx.Client httpx.AsyncClient aiohttp.ClientSession paramiko.SSHClient websocket.create_connection"
    " socket.gethostbyname socket.gethostbyname_ex socket.getaddrinfo socket.create_server socket.socketpair"
    " websockets.connect websockets.client.connect websocket.WebSocketApp websocket.WebSocket"
    " requests.patch requests.delete requests.options httpx.request httpx.put httpx.stream urllib3.PoolManager"
    " urllib3.request urllib3.ProxyManager asyncio.open_connection asyncio.start_server webbrowser.open"
    " webbrowser.open_new smtplib.SMTP_SSL imaplib.IMAP4 imaplib.IMAP4_SSL poplib.POP3 ftplib.FTP_TLS"
    " git.Repo.clone_from git.cmd.Git logging.handlers.HTTPHandler logging.handlers.SocketHandler"
    " logging.handlers.DatagramHandler logging.handlers.SMTPHandler logging.handlers.SysLogHandler"
    " ssl.get_server_certificate dns.resolver.resolve pycurl.Curl torch.hub.load"
    " wget.download torch.hub.download_url_to_file torch.hub.load_state_dict_from_url xmlrpc.client.ServerProxy".split()
)
_SENDING = frozenset(
    "socket.socket socket.create_connection socket.create_server socket.gethostbyname socket.gethostbyname_ex"
    " socket.getaddrinfo socket.socketpair smtplib.SMTP smtplib.SMTP_SSL ftplib.FTP ftplib.FTP_TLS telnetlib.Telnet"
    " paramiko.SSHClient asyncio.open_connection asyncio.start_server dns.resolver.resolve imaplib.IMAP4"
    " imaplib.IMAP4_SSL poplib.POP3 requests.post requests.put requests.patch httpx.post httpx.put"
    " logging.handlers.HTTPHandler logging.handlers.SocketHandler logging.handlers.DatagramHandler"
    " logging.handlers.SMTPHandler websocket.create_connection websocket.WebSocketApp websocket.WebSocket"
    " websockets.connect websockets.client.connect xmlrpc.client.ServerProxy webbrowser.open"
    " webbrowser.open_new".split()
)
"""what fetches no weights: it sends, or talks to a machine below HTTP"""
_NATIVE = frozenset(
    "ctypes.CDLL ctypes.PyDLL ctypes.WinDLL ctypes.cdll.LoadLibrary ctypes.windll.LoadLibrary"
    " ctypes.string_at cffi.FFI torch.ops.load_library torch.classes.load_library"
    " torch.utils.cpp_extension.load torch.utils.cpp_extension.load_inline tensorflow.load_op_library"
    " cython.inline Cython.inline pyximport.install numpy.f2py.compile pycuda.compiler.SourceModule cupy.RawModule"
    " tf.load_op_library numpy.ctypeslib.load_library tensorflow.load_library tf.load_library"
    " importlib.machinery.ExtensionFileLoader imp.load_dynamic _imp.create_dynamic".split()
)
_CHANGE = frozenset(
    "os.remove os.unlink os.rename os.replace os.rmdir os.removedirs os.chmod os.chown os.symlink os.link os.truncate"
    " winreg.SetValueEx winreg.SetValue winreg.CreateKey winreg.CreateKeyEx"
    " shutil.rmtree shutil.move shutil.copy shutil.copyfile shutil.copytree shutil.unpack_archive"
    " tensorflow.io.write_file tf.io.write_file tensorflow.io.gfile.rmtree tf.io.gfile.rmtree".split()
)
_UNPICKLE = frozenset(
    "pickle.load pickle.loads pickle.Unpickler _pickle.loads cPickle.loads dill.load dill.loads cloudpickle.load"
    " cloudpickle.loads joblib.load marshal.load marshal.loads shelve.open yaml.load yaml.unsafe_load"
    " yaml.full_load jsonpickle.decode pandas.read_pickle torch.package.PackageImporter torch.jit.load"
    " dill.load_session dill.load_module keras.config.enable_unsafe_deserialization"
    " keras.models.load_model"
    " tf.keras.models.load_model".split()
)
_EXECUTE = frozenset(
    "exec eval execfile builtins.exec builtins.eval __builtin__.exec runpy.run_path runpy.run_module"
    " code.InteractiveInterpreter code.InteractiveConsole code.interact timeit.timeit timeit.Timer timeit.repeat"
    " types.FunctionType types.CodeType ctypes.memmove ctypes.CFUNCTYPE ctypes.PYFUNCTYPE numexpr.evaluate"
    " site.addsitedir cProfile.run cProfile.runctx profile.run profile.runctx pdb.run pdb.runeval"
    " pdb.Pdb bdb.Bdb trace.Trace doctest.debug_script doctest.debug_src importlib.machinery.SourceFileLoader"
    " importlib.machinery.SourcelessFileLoader imp.load_source imp.load_compiled zipimport.zipimporter"
    " rpy2.robjects.r js2py.eval_js execjs.eval sympy.sympify sympy.parse_expr"
    " sympy.parsing.sympy_parser.parse_expr pandas.eval _testcapi.run_in_subinterp _xxsubinterpreters.run_string"
    " _interpreters.exec".split()
)
_DECODERS = frozenset(
    "base64.b64decode base64.b32decode base64.b16decode base64.b85decode base64.a85decode base64.urlsafe_b64decode"
    " base64.standard_b64decode base64.decodebytes zlib.decompress bz2.decompress lzma.decompress gzip.decompress"
    " codecs.decode binascii.unhexlify binascii.a2b_base64 bytes.fromhex bytearray.fromhex marshal.loads".split()
)
_ACTING = _PROCESS | _NETWORK | _NATIVE | _CHANGE | _UNPICKLE | _EXECUTE | _DECODERS
_IMPORTERS = frozenset({"__import__", "importlib.import_module", "builtins.__import__", "importlib.__import__"})
_GUARDED = frozenset({"os", "subprocess", "builtins", "sys", "ctypes", "pty", "socket", "importlib", "posix", "nt"})
_PRELOADS = frozenset({"LD_PRELOAD", "DYLD_INSERT_LIBRARIES", "PYTHONSTARTUP", "BASH_ENV", "PYTHONINSPECT"})
"""environment variables that make other programs run code"""
_NATIVE_METHODS = frozenset({"register_custom_ops_library", "enable_load_extension", "load_extension"})
"""methods that load a library whatever they hang on: of ONNX Runtime's options, of SQLite's connections"""
_REPLACED = frozenset(
    "torch.load torch.serialization.load pickle.load pickle.loads pickle.Unpickler numpy.load joblib.load".split()
)
"""loaders that no model needs to put something else in the place of"""
_HOOKED = ("sys.meta_path.", "sys.path_hooks.")
_PICTURES = frozenset({"PIL.Image.open", "Image.open"})
_OUTPUT = late(
    r"(?:\./)?\w[\w -]{0,80}\.(?:txt|jsonl?|csv|tsv|md|log|wav|mp3|flac|mp4|gif|png|jpe?g|webp|npy|npz|srt|obj|ply|glb)"
)
"""a file of results in the working directory, which nothing runs"""
_DOWNLOADERS = frozenset({"snapshot_download", "hf_hub_download"})
_LOOK_UPS = frozenset({"getattr", "builtins.getattr", "object.__getattribute__", "inspect.getattr_static"})
_BUILTIN_NAMES = frozenset({"exec", "eval", "compile", "execfile", "__import__", "open", "getattr"})
_BUILDING_NAMES = frozenset({"chr", "bytes", "bytearray", "map", "str", "base64", "codecs", "binascii"})
_PARTS = frozenset({"_os", "os", "subprocess", "builtins", "sys", "ctypes", "pty", "posix", "nt"})
"""modules that other modules hold as attributes: `shutil.os.system` is `os.system`"""
_REFERRED = frozenset(
    name.rsplit(".", 1)[-1]
    for name in (_PROCESS | _EXECUTE) - {"pip.main", "types.FunctionType", "sh.bash", "plumbum.local"}
)
"""last parts of names that act even when they are only handed on: `map(os.system, commands)`"""
_STARTERS = frozenset(
    "popen Popen check_output check_call getoutput getstatusoutput execv execve execvp execl spawnl spawnv posix_spawn"
    " fork_exec".split()
)
"""methods that start processes whatever they hang on"""
_ROOTS = late(
    r"__import__|import_module|get_ipython|sys\.modules|__subclasses__|__globals__|__builtins__|globals\(\)|vars\(|CDLL"
)
"""what `.system(…)` hangs on where it is not `platform.system()`"""
_WRAPPERS = frozenset(
    "lru_cache cache wraps update_wrapper partial partialmethod staticmethod classmethod property cached_property"
    " script compile jit vmap vectorize register register_module register_class register_function deprecate".split()
)
"""what makes another function of one, or keeps it, and does not call it at once"""
_HIERARCHY = frozenset({"__class__", "__base__", "__bases__", "__mro__", "__subclasses__", "mro"})
_FACTORY_CLASSES = frozenset({"install", "develop", "egg_info", "build_py", "sdist", "bdist_egg", "bdist_wheel"})
"""commands of setuptools that `pip install` runs"""
_CREATING = late(r"O_(?:WRONLY|RDWR|CREAT|APPEND|TRUNC)")
_OPEN_MODE = late(r"[rwax][bt+]{0,2}")
_SENSITIVE = late(
    r"(?:/etc/(?:passwd|shadow|sudoers|cron|ld\.so\.preload|rc\.local|profile|systemd)|\.ssh/|id_rsa|authorized_keys"
    r"|\.aws/credentials|\.netrc|\.git-credentials|\.docker/config\.json|\.kube/config|\.config/gcloud|\.pypirc|\.npmrc"
    r"|/proc/self/environ|secrets/kubernetes\.io|\.vault-token|\.gnupg/|\.azure/|\.ethereum/|\.bitcoin/"
    r"|Login Data|huggingface/(?:stored_)?token|\.bashrc|\.bash_profile|\.bash_history|\.zshrc|\.profile\b"
    r"|/var/spool/cron|Library/LaunchAgents|\.config/autostart|Start Menu|sitecustomize|usercustomize|wallet\.dat)"
)
_COOKIE = late(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
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
_WRITING = late(r"[wax+]")


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

    def __init__(self, tree: ast.Module, texts: int = 0) -> None:
        self._names: dict[str, str] = {}
        self._attributes: dict[str, str] = {}
        self._stars: list[str] = []
        self._bound: set[str] = set()
        self._constants: dict[str, Value] = {}
        self._folder = Folder(constants=self._constants, dotted=self._dotted)
        self._from_decoder: set[str] = set()
        self._functions: dict[str, list[ast.AST]] = {}
        self._calls: list[tuple[ast.Call, str | None]] = []
        self._others: list[tuple[ast.AST, str]] = []
        self._callers: dict[str, set[str]] = {}
        self._mentions: dict[str, set[str]] = {}
        self._references: list[tuple[ast.Name | ast.Attribute, str]] = []
        self._seen_as: dict[int, str] = {}
        self._commands: set[str] = set()
        self._pictures: set[int | str] = set()
        self._kept_calls: dict[int, str] = {}
        self._texts = texts
        self._lazy = any(
            isinstance(one, ast.ImportFrom) and one.module == "__future__" and one.names[0].name == "annotations"
            for one in tree.body[:20]
        )
        self._walk(tree)
        self._modules = frozenset(self._names.values())
        self._ends: dict[str, list[str]] = {}
        for caller in self._callers:
            self._ends.setdefault(caller.rsplit(".", 1)[-1], []).append(caller)
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
            self._look(node)
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                inner = f"{klass}.{node.name}" if klass and not function else node.name
                inner = f"{function}.{node.name}" if function else inner
                self._functions.setdefault(node.name, []).append(node)
                self._callers.setdefault(inner, set())
                self._bound.update(one.arg for one in ast.walk(node.args) if isinstance(one, ast.arg))
                outer: list[ast.AST] = [*node.args.defaults, *[d for d in node.args.kw_defaults if d is not None]]
                outer += [_applied(decorator) for decorator in node.decorator_list]
                if any(self._dotted(decorator) == "atexit.register" for decorator in node.decorator_list):
                    self._callers.setdefault(function, set()).add(node.name)
                stack.extend((child, function, klass) for child in outer + self._annotations(node))
                stack.extend((child, inner, "") for child in reversed(node.body))
                continue
            if isinstance(node, ast.ClassDef):
                bases = {(self._dotted(base) or "").rsplit(".", 1)[-1] for base in node.bases}
                if bases & _FACTORY_CLASSES:
                    self._commands.add(node.name)
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
            if isinstance(node, ast.AnnAssign):
                parts = [node.target, *([node.value] if node.value else []), *self._annotations(node)]
                stack.extend((child, function, klass) for child in reversed(parts))
                continue
            if isinstance(node, ast.Call):
                self._calls.append((node, function))
                self._callers.setdefault(function, set()).add(_called_name(node))
            elif isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Load):
                self._mention(node, function)
            if isinstance(node, (ast.Import, ast.ImportFrom, ast.Constant, ast.Subscript, ast.Attribute)):
                self._others.append((node, function))
            stack.extend((child, function, klass) for child in reversed(list(ast.iter_child_nodes(node))))

    def _annotations(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.AnnAssign) -> list[ast.AST]:
        """Return the calls in annotations: Python evaluates those when it makes the function."""
        if self._lazy:
            return []
        if isinstance(node, ast.AnnAssign):
            annotations: list[ast.expr | None] = [node.annotation]
        else:
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            arguments += [one for one in (node.args.vararg, node.args.kwarg) if one is not None]
            annotations = [node.returns, *(one.annotation for one in arguments)]
        return [call for one in annotations if one is not None for call in ast.walk(one) if isinstance(call, ast.Call)]

    def _look(self, node: ast.AST) -> None:
        """Note what part its expressions play in a node, before they are visited themselves."""
        if isinstance(node, ast.Call):
            self._seen_as[id(node.func)] = "called"
            if self._dotted(node.func) in _PICTURES:
                inside = [one for argument in node.args for one in ast.walk(argument)]
                self._pictures.update(id(one) for one in inside if isinstance(one, ast.Call))
                self._pictures.update(one.id for one in inside if isinstance(one, ast.Name))
            plain = isinstance(node.func, ast.Name) and node.func.id in {"isinstance", "issubclass", "hasattr"}
            maker = node.func if isinstance(node.func, ast.Call) else node  # lru_cache()(f)
            wraps = _called_name(maker) in _WRAPPERS and self._dotted(node.func) != "atexit.register"
            for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
                self._seen_as[id(argument)] = "compared" if plain else "kept" if wraps else "passed"
                if plain and isinstance(argument, ast.Tuple):
                    self._seen_as.update((id(one), "compared") for one in argument.elts)
        elif isinstance(node, ast.Attribute):
            self._seen_as[id(node.value)] = "part"
        elif isinstance(node, ast.Subscript):
            self._seen_as[id(node.value)] = "subscript"
        elif isinstance(node, ast.Compare):
            self._seen_as.update((id(one), "compared") for one in (node.left, *node.comparators))
        elif isinstance(node, ast.ExceptHandler) and node.type is not None:
            self._seen_as.update((id(one), "compared") for one in ast.walk(node.type))
        elif isinstance(node, ast.ClassDef):
            self._seen_as.update((id(one), "compared") for one in node.bases)

    def _mention(self, node: ast.Name | ast.Attribute, function: str) -> None:
        """Note a name that is handed on, not called."""
        role = self._seen_as.get(id(node))
        if role in {"called", "part", "compared"}:
            return
        name = node.id if isinstance(node, ast.Name) else node.attr
        kept = self._callers if role == "passed" else self._mentions
        own = isinstance(node, ast.Name) or (isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"})
        if own or role != "passed":
            kept.setdefault(function, set()).add(name)
        if isinstance(node, ast.Name) or name in _REFERRED:
            self._references.append((node, function))

    def _bind(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                root = alias.name.split(".")[0]
                self._names[alias.asname or root] = alias.name if alias.asname else root
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                if alias.name == "*":
                    self._stars.append(node.module)
                else:
                    self._names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            self._bound.add(node.name)
        elif isinstance(node, ast.arg):
            self._bound.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            self._bound.add(node.id)
        elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            self._assign(node.targets[0].id, node.value)
            self._kept_calls[id(node.value)] = node.targets[0].id
        elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Attribute):
            dotted = self._dotted(node.value)
            if dotted in _PARTS:
                self._attributes[node.targets[0].attr] = dotted  # self.o = os
        elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)) and isinstance(node.target, ast.Name) and node.value:
            self._assign(node.target.id, node.value)

    def _assign(self, name: str, value: ast.expr) -> None:
        folded = self._folder.fold(value)
        if folded is not None:
            self._constants[name] = folded
        dotted = self._dotted(value)
        if dotted and dotted != name:
            self._names[name] = dotted
        if any(isinstance(one, ast.Call) and (self._dotted(one.func) or "") in _DECODERS for one in ast.walk(value)):
            self._from_decoder.add(name)

    def _spread(self) -> None:
        """Find which functions run at import or at load, through the calls between them."""
        self._reached: dict[str, str] = {}
        made: set[str] = set()
        for moment in ("import", "load"):
            pending = [*self._importing()] if moment == "import" else [*self._entries(made)]
            followed: set[str] = set()
            while pending:
                function = pending.pop()
                if function in self._reached:
                    continue
                self._reached[function] = moment
                names = self._callers.get(function, set())
                if moment == "load":
                    names = names | self._mentions.get(function, set())
                for name in names - followed:
                    followed.add(name)
                    if any(isinstance(one, ast.ClassDef) for one in self._functions.get(name, ())):
                        pending += [f"{name}.__init__", f"{name}.__new__", f"{name}.__post_init__"]
                        made.add(name)
                    pending += self._ends.get(name, ())

    def _importing(self) -> list[str]:
        """Return what runs at import: the module, and what `pip install` runs of a setup script."""
        return ["", *(f"{name}.{part}" for name in self._commands for part in ("run", "finalize_options"))]

    def _entries(self, made: set[str]) -> list[str]:
        """Return what runs once the model is used: known methods, hooks of the module, classes ``made`` at import."""
        found = {name for name in self._callers if "." in name and _is_loaded(name.rsplit(".", 1)[-1])}
        found.update(
            name
            for name in self._callers
            if name in _SERVED or name in {"__getattr__", "__dir__"} or name.startswith("pytest_")
        )
        found.update(name for name in self._callers if name.split(".", 1)[0] in made)
        for name in self._mentions.get("", ()):
            found.update(self._ends.get(name, ()))
        return sorted(found)

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
        self._imports_os = "os" in self._modules or any(
            self._dotted(call.func) in _IMPORTERS for call, _ in self._calls
        )
        self._talking = {function for call, function in self._calls if self._name_of(call) in _NETWORK}
        for call, function in self._calls:
            moment = self._moment(function)
            for action in self._actions_of(call):
                text = _source(call)
                yield action, text, moment, call.lineno
                if action == "process" and ATTACK.search(text.encode("utf-8", "replace")):
                    yield "script-attack", text, moment, call.lineno
            if self._name_of(call) == "os.dup2" and "fileno" in _source(call):
                yield "script-attack", _source(call), moment, call.lineno  # a shell that a socket talks to
            for action, text in self._inside(call):
                yield action, text, moment, call.lineno
        for reference, function in self._references:
            acts = self._acts(reference)
            if acts:
                yield acts, _source(reference), self._moment(function), reference.lineno
        for node, function in self._others:
            if isinstance(node, ast.Constant):
                text = node.value if isinstance(node.value, str) else ""
                if text in _PRELOADS:
                    yield "exec", repr(text), self._moment(function), node.lineno
                if len(text) < 300 and _SENSITIVE.search(text):  # longer ones are documentation
                    yield "sensitive-path", repr(text), self._moment(function), node.lineno
            elif isinstance(node, ast.Subscript):
                if self._hides_name(node):
                    yield "obfuscation", _source(node), self._moment(function), node.lineno
            elif isinstance(node, ast.Attribute):
                if self._sends_environment(node, function):
                    yield "sensitive-path", _source(node), self._moment(function), node.lineno
                if _walks(node):
                    yield "obfuscation", _source(node), self._moment(function), node.lineno
                elif isinstance(node.ctx, ast.Store):
                    dotted = self._dotted(node) or ""
                    hooks = dotted.startswith("builtins.") and node.attr in _BUILTIN_NAMES
                    if node.attr == "__code__" or hooks or f"{dotted}." in _HOOKED:
                        yield "exec", f"{_source(node)} = …", self._moment(function), node.lineno
                    elif dotted in _REPLACED:
                        yield "deserialize", f"{_source(node)} = …", self._moment(function), node.lineno

    def _sends_environment(self, node: ast.Attribute, function: str) -> bool:
        """Return whether all environment variables are used as one value where something talks to the network."""
        if node.attr != "environ" or self._seen_as.get(id(node)) in {"part", "subscript", "compared"}:
            return False
        return self._dotted(node) == "os.environ" and function in self._talking

    def _inside(self, call: ast.Call) -> Iterator[tuple[str, str]]:
        """Yield what a text does that is executed and known: `exec("import os; os.system('id')")`."""
        if self._texts >= _MAXIMUM_TEXTS or not call.args or self._name_of(call) not in {"exec", "eval", "compile"}:
            return
        text = self._fold(call.args[0])
        if text is None:
            return
        try:
            tree = _parse(text if isinstance(text, bytes) else text.encode("utf-8", "replace"))
            inner = _Module(tree, self._texts + 1)
        except (FormatError, LimitExceeded):
            return  # executing it is stated all the same
        for action, source, _, _ in inner.actions():
            yield action, source

    def _acts(self, node: ast.Name | ast.Attribute) -> str | None:
        """Return what a callable does that is handed on, as far as it starts processes or executes text."""
        name = self._plain(self._dotted(node) or "")
        if name in self._bound and name in _BUILTIN_NAMES:
            return None
        return "process" if name in _PROCESS else "exec" if name in _EXECUTE else None

    def _name_of(self, call: ast.Call) -> str:
        """Return the dotted name that a call calls, empty where it is not known."""
        name = self._plain(self._dotted(call.func) or "")
        if name.split(".")[0] in {"__builtins__", "builtins"} and "." in name:
            name = name.split(".", 1)[1]
        return name

    def _plain(self, name: str) -> str:
        """Return `os.system` for `shutil.os.system`, `random._os.system`, and `self.o.system` after `self.o = os`."""
        parts = name.removesuffix(".__call__").split(".")
        for place in range(len(parts) - 2, 0, -1):
            module = self._attributes.get(parts[place]) or self._names.get(parts[place], parts[place])
            if module in _PARTS:
                return ".".join([module.lstrip("_"), *parts[place + 1 :]])
        return ".".join(parts)

    def _actions_of(self, call: ast.Call) -> Iterator[str]:
        name = self._name_of(call)
        if name in _EXECUTE or name == "compile":
            if self._decoded(call):
                yield "obfuscation"
            elif name != "compile" and not (call.args and self._harmless_literal(name, call.args[0])):
                yield "exec"
        elif name in _PROCESS or self._starts(call, name):
            yield "process"
        elif name in _NETWORK:
            if not self._fetches_picture(call, name):
                yield "sending" if name in _SENDING else "network"
        elif name in _NATIVE or name.startswith(("ctypes.cdll.", "ctypes.windll.", "ctypes.pythonapi.")):
            yield "native"
        elif name in _CHANGE or self._writes(name, call):
            yield "file-write"
        elif name in _UNPICKLE or (name == "torch.load" and not _safe_torch_load(call)) or _unsafe_numpy(name, call):
            if not (name == "yaml.load" and "Safe" in _source(call)):
                inside = any(self._fold(one) is not None or self._decoded(one) for one in call.args[:1])
                yield "obfuscation" if inside and name.endswith("loads") else "deserialize"
        elif name in _IMPORTERS and call.args and self._fold(call.args[0]) is None:
            yield "obfuscation" if self._concealed(call.args[0]) else "import"
        elif self._imports_other(call, name):
            yield "exec"
        elif isinstance(call.func, ast.Attribute) and call.func.attr in _NATIVE_METHODS:
            yield "native"
        elif self._hides_attribute(call):
            yield "obfuscation"

    def _fetches_picture(self, call: ast.Call, name: str) -> bool:
        """Return whether a call gets a picture from an address that stands there, as examples do."""
        if name != "requests.get" or not call.args or not isinstance(self._fold(call.args[0]), str):
            return False
        return id(call) in self._pictures or self._kept_calls.get(id(call)) in self._pictures

    def _imports_other(self, call: ast.Call, name: str) -> bool:
        """Return whether a call runs a module from a file, or changes where imports come from to what it fetches."""
        if isinstance(call.func, ast.Attribute) and call.func.attr in {"exec_module", "load_module"}:
            return True
        return name.startswith(_HOOKED) or (name.startswith("sys.path.") and self._fetches(call))

    def _fetches(self, call: ast.Call) -> bool:
        """Return whether an argument is what a download of a repository gives: a place to import from."""
        inner = (one for argument in call.args for one in ast.walk(argument) if isinstance(one, ast.Call))
        return any(_called_name(one) in _DOWNLOADERS for one in inner)

    def _starts(self, call: ast.Call, name: str) -> bool:
        """Return whether a method starts a process though nobody can say what it hangs on."""
        function = call.func
        if isinstance(function, ast.Call):
            # operator.methodcaller("system", "id")(os)
            made = self._dotted(function.func) in {"operator.methodcaller", "_operator.methodcaller"}
            method = self._fold(function.args[0]) if made and function.args else None
            owner = self._dotted(call.args[0]) if call.args else None
            return isinstance(method, str) and f"{owner}.{method}" in _PROCESS
        if name.startswith("sh.") and "sh" in self._modules:
            return True  # every attribute of the package sh is a program
        if not isinstance(function, ast.Attribute):
            return False
        if function.attr == "system" and call.args and self._imports_os:
            # What it hangs on may be os: an argument, the value of a loop, what a function returned.
            root = name.split(".", 1)[0]
            return not name or (name == f"{root}.system" and root in self._bound and root not in self._names)
        if name:
            return False
        if function.attr in _STARTERS:
            return True
        return function.attr == "system" and bool(_ROOTS.search(_source(function.value)))

    def _concealed(self, node: ast.AST) -> bool:
        """Return whether a name is put together by calls, and from nothing but constants."""
        called = False
        for inner in ast.walk(node):
            known = isinstance(inner, ast.Name) and (
                inner.id in self._constants or self._dotted(inner) in _BUILDING_NAMES
            )
            if isinstance(inner, ast.Name) and not known:
                return False
            called = called or isinstance(inner, ast.Call)
        return called

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
            target = self._fold(call.args[0]) if call.args else None
            if isinstance(target, str) and _OUTPUT.fullmatch(target):
                return False
            return text is None or (isinstance(text, str) and bool(_WRITING.search(text)))
        if name == "os.open":
            return any(_CREATING.search(_source(flag)) for flag in call.args[1:])
        if name.endswith(("gfile.GFile", "gfile.Open", "ZipFile", "tarfile.open")) or (
            isinstance(call.func, ast.Attribute) and call.func.attr == "open"
        ):
            modes = [self._fold(one) for one in (*call.args[:2], *(k.value for k in call.keywords if k.arg == "mode"))]
            return any(
                isinstance(mode, str) and bool(_OPEN_MODE.fullmatch(mode)) and bool(_WRITING.search(mode))
                for mode in modes
            )
        return isinstance(call.func, ast.Attribute) and call.func.attr in {
            "write_text",
            "write_bytes",
            "unlink",
            "rmdir",
        }

    def _hides_attribute(self, call: ast.Call) -> bool:
        """Return whether `getattr` reaches into a dangerous module by a name that is not written out."""
        if self._dotted(call.func) != "getattr" or len(call.args) < 2:
            return False
        owner = self._dotted(call.args[0]) or ""
        root = owner.split(".", 1)[0]
        imported = root not in self._bound or root in self._modules  # `nt` is a named tuple's usual name
        return root in _GUARDED and imported and self._fold(call.args[1]) is None

    def _hides_name(self, node: ast.Subscript) -> bool:
        owner = node.value
        if isinstance(node.ctx, ast.Load) and self._fold(node.slice) == "__builtins__":
            return True  # out of whatever dictionary of globals: a frame's, a function's, a module's
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
                return self._names.get(node.id) or self._starred(node.id)
            case ast.NamedExpr():
                return self._dotted(node.value, depth + 1)
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
                if owner in {"ctypes.cdll", "ctypes.windll"}:
                    return f"{owner}.library"
                plain = owner in {"__builtins__", "builtins.__dict__", "__builtins__.__dict__"} or (
                    bool(owner) and str(owner).endswith(".__dict__")
                )
                if plain and isinstance(key, str) and owner:
                    return f"{owner.removesuffix('.__dict__')}.{key}"
                return None
            case _:
                return None

    def _starred(self, name: str) -> str:
        """Return where a name comes from that only `from os import *` can have brought."""
        if name not in self._bound:
            for module in self._stars:
                if f"{module}.{name}" in _ACTING:
                    return f"{module}.{name}"
        return name

    def _looked_up(self, call: ast.Call, depth: int) -> str | None:
        function = self._dotted(call.func, depth + 1)
        first = self._fold(call.args[0]) if call.args else None
        if function in {"vars", "builtins.vars"} and len(call.args) == 1:
            owner = self._dotted(call.args[0], depth + 1)
            return f"{owner}.__dict__" if owner else None
        if function in {"functools.reduce", "reduce"} and len(call.args) == 3:
            # reduce(getattr, ["system"], os)
            path, owner = self._folder.fold(call.args[1]), self._dotted(call.args[2], depth + 1)
            names = [one for one in path if isinstance(one, str)] if isinstance(path, list) else []
            if owner and names and self._dotted(call.args[0], depth + 1) in _LOOK_UPS:
                return ".".join((owner, *names))
        if function in {"pkgutil.resolve_name", "pydoc.locate"} and isinstance(first, str):
            return first.replace(":", ".")
        # Each step looks at what it hangs on once: chains of calls would cost twice as much with every link.
        made = call.func if isinstance(call.func, ast.Call) else None
        if made and isinstance(made.func, (ast.Name, ast.Attribute)) and made.args and call.args and not function:
            maker = self._dotted(made.func, depth + 1)
            if maker in {"operator.attrgetter", "_operator.attrgetter"}:
                path, owner = self._fold(made.args[0]), self._dotted(call.args[0], depth + 1)
                return f"{owner}.{path}" if owner and isinstance(path, str) else None
        if function in _IMPORTERS and isinstance(first, str):
            return first if function != "__import__" or "." not in first else first.split(".")[0]
        if isinstance(call.func, ast.Attribute) and isinstance(first, str) and len(call.args) < 3:
            # os.__getattribute__("system"), sys.modules.get("os"), os.__dict__.get("system")
            owner = function.removesuffix(f".{call.func.attr}") if function else None
            if owner and call.func.attr in {"__getattribute__", "__getattr__"}:
                return f"{owner}.{first}"
            if owner and call.func.attr in {"get", "pop", "__getitem__"}:
                if owner == "sys.modules":
                    return first
                if owner.endswith(".__dict__") or owner == "__builtins__":
                    return f"{owner.removesuffix('.__dict__')}.{first}"
        if function in _LOOK_UPS and len(call.args) >= 2:
            owner, attribute = self._dotted(call.args[0], depth + 1), self._fold(call.args[1])
            if owner and isinstance(attribute, str):
                return f"{owner}.{attribute}"
        return None

    def _fold(self, node: ast.AST) -> str | bytes | None:
        """Return a text or bytes constant, also one put together from pieces."""
        return self._folder.text(node)


def _is_loaded(method: str) -> bool:
    return method in _LOADED or (method.startswith("__") and method.endswith("__"))


def _walks(node: ast.Attribute) -> bool:
    """Return whether an attribute is a step from a value to everything that is loaded."""
    if node.attr == "__subclasses__":
        inner = node.value
        while isinstance(inner, ast.Subscript):
            inner = inner.value
        return isinstance(inner, ast.Attribute) and inner.attr in _HIERARCHY
    if node.attr == "f_builtins":
        return True
    return node.attr == "__globals__" and isinstance(node.value, ast.Attribute) and node.value.attr == "__init__"


def _unsafe_numpy(name: str, call: ast.Call) -> bool:
    return name in {"numpy.load", "np.load"} and any(
        keyword.arg == "allow_pickle" and isinstance(keyword.value, ast.Constant) and keyword.value.value is True
        for keyword in call.keywords
    )


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

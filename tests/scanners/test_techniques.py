"""One test per published way to run something through a pickle, named after the advisory or the technique.

Sources: the advisories and projects' test files listed in docs/judgement.md. Nothing here is ever unpickled.
"""

import base64
import zlib

import pytest

from scanners.engine import scan_blob
from scanners.findings import Finding, Verdict
from scanners.reader import BytesReader
from tests.builders import pickles as p
from tests.builders.pickles import Global, Raw, apply, call, dump, new, value

CODE = "__import__('os').system('echo x')"
OS = call("importlib", "import_module", "os")
IMPORTED = call("builtins", "__import__", "os")


def called(*names: str) -> dict[str, bytes]:
    """Return a pickle that calls each name with a command."""
    return {name: dump(call(*name.rsplit(":", 1) if ":" in name else name.rsplit(".", 1), CODE)) for name in names}


ADVISORIES: dict[str, bytes] = {
    "CVE-2025-1716 GHSA-655q-fx9r-782v pip.main": dump(call("pip", "main", ["install", "x"])),
    "CVE-2025-46417 GHSA-93mv-x874-956g linecache": dump(call("linecache", "getline", "/etc/passwd", 1)),
    "CVE-2025-46417 GHSA-93mv-x874-956g ssl": dump(call("ssl", "get_server_certificate", ("x.invalid", 443))),
    "CVE-2025-10157 GHSA-f7qq-56ww-84cr submodule of a listed module": dump(
        call("asyncio.unix_events", "_UnixSubprocessTransport._start", "x")
    ),
    "CVE-2025-71325 GHSA-9gvj-pp9x-gcfr STACK_GLOBAL operands at position 0": (
        p.text("os") + p.text("system") + p.STACK_GLOBAL + value(("echo x",)) + p.REDUCE + p.STOP
    ),
    "GHSA-vv6j-3g6g-2pvj ConfigModule.load_config": dump(
        call("torch.utils._config_module", "ConfigModule.load_config", None, p.system())
    ),
    "GHSA-h3qp-7fh3-f8h4 basichandlers": dump(
        call("torch.utils.data.datapipes.utils.decoder", "basichandlers", "pickle", p.system())
    ),
    "GHSA-4r9r-ch6f-vxmx run_cprofile": dump(call("torch.utils.bottleneck.__main__", "run_cprofile", CODE, {})),
    "GHSA-4whj-rm5r-c2v8 run_autograd_prof": dump(call("torch.utils.bottleneck.__main__", "run_autograd_prof", CODE)),
    "GHSA-f745-w6jp-hpxx CVE-2025-71350 collect_env.run": dump(call("torch.utils.collect_env", "run", "x")),
    "GHSA-jhph-76pp-mggw run_and_read_all": dump(call("torch.utils.collect_env", "run_and_read_all", "x", "y")),
    "GHSA-vr7h-p6mm-wpmh execWrapper": dump(call("torch.jit.unsupported_tensor_ops", "execWrapper", CODE, {}, {})),
    "GHSA-86cj-95qr-2p4f CVE-2025-71353 GuardBuilder.get": dump(
        call("torch._dynamo.guards", "GuardBuilder.get", 1, CODE)
    ),
    "GHSA-f4x7-rfwp-v3xw evaluate_guards_expression": dump(
        call("torch.fx.experimental.symbolic_shapes", "ShapeEnv.evaluate_guards_expression", 1, CODE, [])
    ),
    "GHSA-5qwp-399c-mjwf Trace.run": dump(call("trace", "Trace.run", 1, CODE)),
    "GHSA-g344-hcph-8vgg CVE-2025-71352 Trace.runctx": dump(call("trace", "Trace.runctx", 1, CODE)),
    "GHSA-x696-vm39-cp64 CVE-2025-71374 Profile.run": dump(call("profile", "Profile.run", 1, CODE)),
    "GHSA-6vqj-c2q5-j97w CVE-2025-71341 Profile.runctx": dump(call("profile", "Profile.runctx", 1, CODE, {}, {})),
    "GHSA-7wx9-6375-f5wh CVE-2026-53873 profile.run": dump(call("profile", "run", CODE)),
    "GHSA-49gj-c84q-6qm9 cProfile.run": dump(call("cProfile", "run", CODE)),
    "GHSA-9w88-8rmg-7g2p CVE-2025-71378 cProfile.runctx": dump(call("cProfile", "runctx", CODE, {}, {})),
    "GHSA-f54q-57x4-jg88 Grammar.loads": dump(call("lib2to3.pgen2.grammar", "Grammar.loads", 1, p.system())),
    "GHSA-p9w7-82w4-7q8m make_label": dump(call("lib2to3.pgen2.pgen", "ParserGenerator.make_label", 1, CODE)),
    "GHSA-3vg9-h568-4w9m CVE-2025-71354 SetText": dump(call("idlelib.debugobj", "ObjectTreeItem.SetText", 1, CODE)),
    "GHSA-6w4w-5w54-rjvr get_entity": dump(call("idlelib.autocomplete", "AutoComplete.get_entity", 1, CODE)),
    "GHSA-7cq8-mj8x-j263 fetch_completions": dump(call("idlelib.autocomplete", "AutoComplete.fetch_completions", CODE)),
    "GHSA-8r4j-24qv-fmq9 fetch_tip": dump(call("idlelib.calltip", "Calltip.fetch_tip", 1, CODE)),
    "GHSA-9xph-j2h6-g47v CVE-2025-71360 calltip.get_entity": dump(call("idlelib.calltip", "get_entity", CODE)),
    "GHSA-m869-42cg-3xwr CVE-2025-71342 Executive.runcode": dump(call("idlelib.run", "Executive.runcode", 1, CODE)),
    "GHSA-j343-8v2j-ff7w runcommand": dump(call("idlelib.pyshell", "ModifiedInterpreter.runcommand", 1, CODE)),
    "GHSA-3gf5-cxq9-w223 CVE-2025-71340 runcode": dump(call("idlelib.pyshell", "ModifiedInterpreter.runcode", 1, CODE)),
    "GHSA-cj3c-v495-4xqh InteractiveInterpreter": dump(call("code", "InteractiveInterpreter.runcode", 1, CODE)),
    "GHSA-fqq6-7vqf-w3fg CVE-2025-71368 debug_script": dump(call("doctest", "debug_script", CODE)),
    "GHSA-xp4f-hrf8-rxw7 _run_pip": dump(call("ensurepip", "_run_pip", ["install", "x"])),
    "GHSA-v7x6-rv5q-mhwc timeit": dump(call("timeit", "timeit", CODE)),
    "GHSA-m273-6v24-x4m4 write_file": dump(call("distutils.file_util", "write_file", "x", ["y"])),
    "GHSA-4675-36f9-wf6r CDLL": dump(call("ctypes", "CDLL", "x.so")),
    "GHSA-vqmv-47xg-9wpr CVE-2025-71322 CVE-2025-67748 pty.spawn": dump(call("pty", "spawn", ["sh"])),
    "GHSA-r8g5-cgf2-4m4m getlincoef": dump(call("numpy.f2py.crackfortran", "getlincoef", CODE, {})),
    "GHSA-84r2-jw7c-4r5q CVE-2025-71320 methodcaller and locate": dump(
        apply(call("operator", "methodcaller", "system", "echo x"), call("pydoc", "locate", "os"))
    ),
    "GHSA-955r-x9j8-7rhh _operator.methodcaller": dump(
        apply(call("_operator", "methodcaller", "system", "echo x"), IMPORTED)
    ),
    "GHSA-46h3-79wf-xr6c _operator.attrgetter": dump(
        apply(apply(call("_operator", "attrgetter", "system"), IMPORTED), "x")
    ),
    "GHSA-g38g-8gr9-h9xp CVE-2026-56315 uuid": dump(call("uuid", "_get_command_stdout", "id", "x")),
    "GHSA-g38g-8gr9-h9xp CVE-2026-56315 _osx_support": dump(call("_osx_support", "_read_output", "id")),
    "GHSA-g38g-8gr9-h9xp CVE-2026-56315 _aix_support": dump(call("_aix_support", "_read_cmd_output", "id")),
    "GHSA-g38g-8gr9-h9xp CVE-2026-56315 imaplib": dump(call("imaplib", "IMAP4_stream", "id")),
    "GHSA-g38g-8gr9-h9xp CVE-2026-56315 _pyrepl": dump(call("_pyrepl.pager", "pipe_pager", "text", "id")),
    "GHSA-g38g-8gr9-h9xp CVE-2026-56315 test.support": dump(
        call("test.support.script_helper", "assert_python_ok", "-c")
    ),
    "GHSA-vvpj-8cmc-gx39 CVE-2026-3490 resolve_name": dump(
        apply(call("pkgutil", "resolve_name", "os:system"), "echo x")
    ),
    "CVE-2026-56304 logging.FileHandler": dump(call("logging", "FileHandler", "x.log")),
    "GHSA-5hwf-rc88-82xm fickling _osx_support": dump(call("_osx_support", "_find_build_tool", "x; id")),
    "GHSA-q77w-mwjj-7mqx asyncio": dump(call("asyncio.unix_events", "_UnixSubprocessTransport._start", 1, "id", True)),
    "later picklescan fixes: _io.FileIO": dump(call("_io", "FileIO", "x", "w")),
    "later picklescan fixes: urlopen": dump(call("urllib.request", "urlopen", "http://x.invalid")),
    "fickling CVE-2025-67747 marshal and types": dump(
        call("types", "FunctionType", call("marshal", "loads", b"\xe3"), {})
    ),
    "fickling CVE-2026-22606 runpy": dump(call("runpy", "run_path", "x.py")),
    "fickling CVE-2026-22607 cProfile": dump(call("cProfile", "run", CODE)),
    "fickling CVE-2026-22608 pydoc and ctypes": dump(apply(call("pydoc", "locate", "os.system"), "echo x")),
    "fickling CVE-2026-22609 multiprocessing": dump(call("multiprocessing.util", "spawnv_passfds", b"sh", ["sh"], [])),
    "fickling CVE-2026-22612 builtins": dump(
        apply(call("builtins", "getattr", call("builtins", "__import__", "os"), "system"), "echo x")
    ),
    "fickling GHSA-mxhj-88fx-4pcv OBJ then POP": (
        p.MARK + p.global_("os", "system") + value("echo x") + p.OBJ + p.POP + p.NONE + p.STOP
    ),
    "fickling GHSA-mhc9-48gj-9gp3 smtplib": dump(new("smtplib", "SMTP", state={"a": 1})),
    "fickling GHSA-mhc9-48gj-9gp3 signal": dump(call("signal", "raise_signal", 9)),
    "fickling GHSA-mhc9-48gj-9gp3 sqlite3": dump(call("sqlite3", "connect", "x.db")),
    "fickling GHSA-83pf-v6qq-pwmr network": dump(call("xmlrpc.client", "ServerProxy", "http://x.invalid")),
    "fickling GHSA-5j3x-jp52-966f dotted name through a module": dump(call("pathlib", "os.system", "echo x")),
    "fickling GHSA-6ggj-6f2q-f7mx interpreters": dump(call("_interpreters", "exec", 1, CODE)),
    "fickling GHSA-wccx-j62j-r448 _pickle": dump(call("_pickle", "loads", p.system())),
    "torch CVE-2026-24747 SETITEM on a tensor": dump(
        Raw(
            value(
                call(
                    "torch._utils",
                    "_rebuild_tensor_v2",
                    Raw(value(("storage", Global("torch", "FloatStorage"), "0", "cpu", 4)) + b"Q"),
                    0,
                    (4,),
                    (1,),
                    False,
                    call("collections", "OrderedDict"),
                )
            )
            + value(0)
            + value(7)
            + p.SETITEM
        )
    ),
    "torch CVE-2024-5480 rpc PythonUDF": dump(call("torch.distributed.rpc.internal", "PythonUDF", 1, 2, 3)),
    "torch CVE-2024-48063 RemoteModule": dump(call("torch.distributed.nn.api.remote_module", "_RemoteModule", 1)),
    "torch CVE-2022-45907 annotations": dump(call("torch.jit.annotations", "parse_type_line", CODE, 1, 1)),
}

TAXONOMY: dict[str, bytes] = {
    **called(
        "torch.utils.collect_env.run",
        "pandas.read_csv",
        "mlflow.projects.backend.local._run_entry_point",
        "numpy.distutils.cpuinfo.getoutput",
        "_posixsubprocess.fork_exec",
        "_bootsubprocess.check_output",
        "distutils.spawn.spawn",
        "codecs.open",
        "logging.config.dictConfig",
        "mailcap.findmatch",
        "pipes:Template.open",
        "cgi.test",
        "torch.hub.load",
        "torch.load",
        "torch.package:PackageImporter",
        "numpy.load",
        "joblib.load",
        "pandas.read_pickle",
        "dill.loads",
        "cloudpickle.loads",
        "marshal.loads",
        "shelve.open",
        "yaml.unsafe_load",
        "keras.models.load_model",
        "tensorflow.keras.models.load_model",
        "webbrowser.open",
        "antigravity.geohash",
        "shutil.rmtree",
        "tempfile.mkdtemp",
        "zipfile:ZipFile",
        "socket.create_connection",
        "os.popen",
        "posix.system",
        "nt.system",
        "subprocess.check_output",
        "builtins.eval",
        "builtins.exec",
        "builtins.compile",
        "builtins.open",
    ),
    "python 2 name mapping: commands": p.proto(2)
    + p.global_("commands", "getoutput")
    + value(("id",))
    + p.REDUCE
    + p.STOP,
    "python 2 name mapping: __builtin__": p.global_("__builtin__", "eval") + value(("1",)) + p.REDUCE + p.STOP,
    "truncated behind the payload": p.system()[:-1],
    "BINGET of an unset memo behind the payload": p.proto(4) + value(call("os", "system", "x")) + p.get(99) + p.STOP,
    "unhashable operand behind the payload": p.proto(4) + value(call("os", "system", "x")) + b"}]Ns.",
    "memo through POP": (
        p.proto(4)
        + p.text("os")
        + p.MEMOIZE
        + p.POP
        + p.text("system")
        + p.MEMOIZE
        + p.POP
        + p.get(0)
        + p.get(1)
        + p.STACK_GLOBAL
        + value(("x",))
        + p.REDUCE
        + p.STOP
    ),
    "memo index out of order": (
        p.text("system")
        + p.put(9)
        + p.POP
        + p.text("os")
        + p.put(3)
        + p.POP
        + p.get(3)
        + p.get(9)
        + p.STACK_GLOBAL
        + value(("x",))
        + p.REDUCE
        + p.STOP
    ),
    "name through builtins.str": dump(
        Raw(value(call("builtins", "str", "os")) + value("system") + p.STACK_GLOBAL + value(("x",)) + p.REDUCE)
    ),
    "name through INST builtins.str and the memo": (
        p.proto(4)
        + p.MARK
        + value("os")
        + b"ibuiltins\nstr\n"
        + p.put(1)
        + p.POP
        + p.get(1)
        + value("system")
        + p.STACK_GLOBAL
        + value(("x",))
        + p.REDUCE
        + p.STOP
    ),
    "EXT2 after copyreg.add_extension": dump(
        Raw(
            value(call("copyreg", "add_extension", "os", "system", 300))
            + p.POP
            + b"\x83\x2c\x01"
            + value(("x",))
            + p.REDUCE
        )
    ),
    "CodeType through type of an attribute": dump(
        apply(call("builtins", "type", call("builtins", "getattr", Global("copy", "copy"), "__code__")), 0)
    ),
    "import_module and getattr_static": dump(apply(call("inspect", "getattr_static", OS, "system"), "echo x")),
    "import_module and methodcaller": dump(apply(call("operator", "methodcaller", "system", "echo x"), OS)),
    "attrgetter through several attributes": dump(
        apply(
            apply(call("operator", "attrgetter", "path.os.system"), call("importlib", "import_module", "shutil")), "x"
        )
    ),
    "partial": dump(apply(call("functools", "partial", Global("os", "system"), "echo x"))),
    "partial from its state": dump(
        apply(
            Raw(
                value(new("functools", "partial", Global("builtins", "print")))
                + value((Global("os", "system"), ("x",), {}, None))
                + p.BUILD
            )
        )
    ),
    "map": dump(call("builtins", "list", call("builtins", "map", Global("os", "system"), ["echo x"]))),
    "reduce": dump(call("functools", "reduce", Global("os", "system"), ["a", "b"])),
    "item of sys.modules": dump(
        apply(call("builtins", "getattr", call("operator", "getitem", Global("sys", "modules"), "os"), "system"), "x")
    ),
    "sys.modules overwritten": dump(Raw(p.stack_global("sys", "modules") + value("torch") + value(OS) + p.SETITEM)),
    "sys.path extended": dump(Raw(p.stack_global("sys", "path") + p.MARK + value("/tmp") + p.APPENDS)),
    "class poisoned by BUILD": dump(
        Raw(
            p.stack_global("collections", "OrderedDict")
            + value((None, {"__setstate__": Global("os", "system")}))
            + p.BUILD
        )
    ),
    "setstate of an object poisoned": dump(
        new("collections", "UserDict", state={"__setstate__": Global("os", "system")})
    ),
    "copyreg reconstructor": dump(
        call("copyreg", "_reconstructor", Global("subprocess", "Popen"), Global("builtins", "object"), None)
    ),
    "__newobj__": dump(call("copyreg", "__newobj__", Global("subprocess", "Popen"), ["x"])),
    "numpy ufunc reconstruct": dump(apply(call("numpy.core", "_ufunc_reconstruct", "os", "system"), "x")),
    "scipy argument template": dump(
        new("scipy.stats._continuous_distns", "norm_gen", state={"_parse_arg_template": CODE})
    ),
    "scipy argument template through copyreg": dump(
        Raw(
            value(
                call(
                    "copyreg",
                    "_reconstructor",
                    Global("scipy.stats._continuous_distns", "norm_gen"),
                    Global("builtins", "object"),
                    None,
                )
            )
            + value({"_parse_arg_template": CODE})
            + p.BUILD
        )
    ),
    "statsmodels formula": dump(
        new("statsmodels.base.data", "ModelData", state={"restore_design_info": True, "formula": CODE, "frame": 1})
    ),
    **{
        f"statsmodels formula, {formula}": dump(
            new("statsmodels.base.data", "PandasData", state={"restore_model_spec": True, "formula": formula})
        )
        for formula in (
            "y ~ system('id')",
            "y ~ x.mean()",
            "y ~ np.fromfile('x')",
            "y ~ (C)(x)",
            "y ~ C (x)(y)",
            "y ~ x[0]",
            "y ~ {x}",
            "y ~ __import__('os')",
            "y ~ C(x, lambda: 1)",
            "y ~ np.log.__class__",
        )
    },
    "statsmodels formula that is computed": dump(
        new(
            "statsmodels.base.data",
            "PandasData",
            state={"restore_model_spec": True, "formula": call("builtins", "str", 1)},
        )
    ),
    **{
        f"through what a library imports: {module} {name}": dump(call(module, name, "x"))
        for module, name in (
            ("sklearn.cluster._kmeans", "subprocess.Popen"),
            ("statsmodels.tsa.base", "ctypes.CDLL"),
            ("sklearn.cluster", "os.system"),
            ("gensim.models.word2vec", "threading.Thread"),
            ("sktime.forecasting.base", "pd.HDFStore"),
            ("torch", "os.system"),
            ("numpy", "os.system"),
            ("six.moves.builtins", "eval"),
            ("elsewhere.module", "builtins.exec"),
        )
    },
    "a module for later, as the one of topic models": dump(
        new("gensim.models.ensemblelda", "EnsembleLda", state={"topic_model_module_string": "os"})
    ),
    "a module for later whose name begins like gensim's": dump(
        new("gensim.models.ensemblelda", "EnsembleLda", state={"topic_model_module_string": "gensim.modelsx"})
    ),
    "a module for later that is computed": dump(
        new(
            "gensim.models",
            "EnsembleLda",
            state={"topic_model_module_string": call("builtins", "str", "os")},
        )
    ),
    "parameters for later that are source text": dump(
        new("sktime.forecasting.compose._fhplex", "FhPlexForecaster", state={"fh_params": CODE})
    ),
    "a function for every element": dump(new("numpy", "vectorize", state={"pyfunc": Global("os", "system")})),
    "a function for every element, constructed": dump(call("numpy", "vectorize", Global("numpy", "log"))),
    "dill eval of a repr": dump(call("dill._dill", "_eval_repr", CODE)),
    "eval that is almost Paddle's": dump(call("builtins", "eval", "data()", {"data": 1})),
    "eval with more names than Paddle's": dump(call("builtins", "eval", "data", {"data": 1, "x": 2})),
    "eval of Paddle's, kept": dump({"f": Global("builtins", "eval")}),
    "from_pretrained": dump(call("transformers", "AutoTokenizer.from_pretrained", "x/y")),
    "from_pretrained of a submodule": dump(
        call("transformers.models.auto.modeling_auto", "AutoModel.from_pretrained", "x")
    ),
    "dangerous name as keyword": dump(
        Raw(p.stack_global("collections", "Counter") + value(()) + value({"key": Global("os", "system")}) + p.NEWOBJ_EX)
    ),
    "dangerous name in a persistent id": dump(Raw(value(("storage", Global("os", "system"), "0", "cpu", 1)) + b"Q")),
    "dangerous name as dictionary key": dump(
        {"a": Raw(p.EMPTY_DICT + p.stack_global("os", "system") + value(1) + p.SETITEM)}
    ),
    "dangerous default factory": dump(call("collections", "defaultdict", Global("os", "getcwd"))),
    "FunctionTransformer": dump(
        new(
            "sklearn.preprocessing._function_transformer", "FunctionTransformer", state={"func": Global("os", "system")}
        )
    ),
    "module hook": dump(
        new("torch.nn.modules.linear", "Linear", state={"_forward_hooks": {0: Global("os", "system")}})
    ),
    "nested pickle given to loads": dump(call("pickle", "loads", p.system())),
    "nested pickle given to torch": dump(call("torch.storage", "_load_from_bytes", p.system())),
    "nested pickle given to nobody": dump({"weights": p.system()}),
    "nested pickle in base64": dump({"weights": base64.b64encode(p.system("echo a longer command")).decode()}),
    "nested pickle in hexadecimal digits": dump({"weights": p.system().hex()}),
    "nested pickle in bytes of base64": dump({"weights": base64.b64encode(p.system("echo a longer command"))}),
    "nested pickle in bytes of digits": dump({"weights": p.system().hex().encode()}),
    "nested pickle behind another value": dump({"weights": b"N0cos\nsystem\n(S'echo x'\ntR."}),
    "nested pickle in a frame": dump({"weights": p.frame(p.value(p.call("os", "system", "echo x")) + p.STOP)}),
    "nested array of objects": dump(
        {"weights": b"\x93NUMPY\x01\x00\x39\x00{'descr':'|O','fortran_order':False,'shape':(1,),}      \n" + p.system()}
    ),
    "nested pickle in zlib": dump({"weights": zlib.compress(p.system())}),
    "nested pickle of protocol 0": dump({"weights": b"cos\nsystem\n(S'echo x'\ntR."}),
    "Memory with a store of the file's choice": dump(
        new(
            "joblib.memory",
            "Memory",
            state={"store_backend": new("joblib._store_backends", "FileSystemStoreBackend", state={"location": "x"})},
        )
    ),
    "forged MemorizedFunc": dump(new("joblib.memory", "MemorizedFunc", state={"func": Global("os", "system")})),
    "loky cloudpickle wrapper": dump(
        apply(
            call("joblib.externals.loky.cloudpickle_wrapper", "CloudpickledObjectWrapper", Global("os", "system")), "x"
        )
    ),
    "write_text and load_module": dump(
        [
            apply(call("builtins", "getattr", call("pathlib", "PosixPath", "x.py"), "write_text"), CODE),
            call("importlib.machinery", "SourceFileLoader", "x", "x.py"),
        ]
    ),
    "bytecode of the file, called": dump(
        apply(
            call(
                "cloudpickle.cloudpickle",
                "_make_function",
                apply(call("cloudpickle.cloudpickle", "_builtin_type", "CodeType"), 0),
                {},
                None,
                None,
                None,
            )
        )
    ),
    "C integer that pickletools refuses": b"I0x10\n0cos\nsystem\n(S'echo x'\ntR.",
    "names that end in a carriage return": b"cos\r\nsystem\r\n(I1\r\ntR.",
    "second stream": dump(1) + p.system(),
    "second stream behind junk": dump(1) + b"\0\0\0junk" + p.system(),
    "protocol byte in the middle": p.proto(2) + p.proto(4) + value(call("os", "system", "x")) + p.STOP,
    "frame that ends too early": p.proto(4) + b"\x95\x03" + bytes(7) + value(call("os", "system", "x")) + p.STOP,
    "frame longer than the input": p.proto(4) + b"\x95\xff\xff" + bytes(6) + value(call("os", "system", "x")) + p.STOP,
    "cpython 154848: what a loader from a file reads behind the frame": (
        p.proto(4)
        + b"\x95\x06"
        + bytes(7)
        + b"B\x04\x00\x00\x00"
        + b"0"
        + b"abcd"
        + value(call("os", "system", "x"))
        + p.STOP
    ),
}


def scan(content: bytes) -> tuple[Verdict, tuple[Finding, ...]]:
    report = scan_blob(BytesReader(content), "model.pkl").report
    return report.verdict, report.findings


@pytest.mark.parametrize("name", ADVISORIES)
def test_advisory(name: str) -> None:
    verdict, findings = scan(ADVISORIES[name])

    assert verdict is Verdict.MALICIOUS, findings


@pytest.mark.parametrize("name", TAXONOMY)
def test_technique(name: str) -> None:
    verdict, findings = scan(TAXONOMY[name])

    assert verdict is Verdict.MALICIOUS, findings


OVERWRITE = ("/home/you/.profile", "u1", "w+")
BUFFER = Global("numpy", "memmap")
EMPTY = {"shape": (0,), "order": "C", "dtype": call("numpy", "dtype", "u1", False, True), "allow_mmap": False}
HIDDEN = p.system().decode("latin-1")

THROUGH_HARMLESS: dict[str, bytes] = {
    "a file written by the __new__ of memmap": dump(Raw(value(BUFFER) + value(OVERWRITE) + p.NEWOBJ)),
    "a file written by the __new__ of memmap, by keywords": dump(
        Raw(value(BUFFER) + value(()) + value({"filename": OVERWRITE[0], "mode": "w+"}) + p.NEWOBJ_EX)
    ),
    "a file written through copyreg.__newobj__": dump(call("copyreg", "__newobj__", BUFFER, *OVERWRITE)),
    "a file written through an index of pandas": dump(
        call("pandas.core.indexes.base", "_new_Index", BUFFER, {"filename": OVERWRITE[0], "mode": "w+"})
    ),
    "a module that imports what it is asked for": (
        p.proto(4)
        + value(call("transformers.file_utils", "_LazyModule", "pip", "", {"__main__": ["extend", "append"]}))
        + (p.MARK + value("x") + p.APPENDS + p.STOP)
    ),
    "a pickle in digits around zlib": dump({"note": base64.b64encode(zlib.compress(p.system())).decode()}),
    "a document of spaCy with a pickle as text": dump(
        call("spacy.tokens.doc", "unpickle_doc", None, call("_codecs", "encode", HIDDEN, "latin1"), b"")
    ),
    "a document of spaCy with a pickle as text of bytes": dump(
        call("spacy.tokens.doc", "unpickle_doc", None, call("builtins", "bytes", HIDDEN, "latin1"), b"")
    ),
    "a document of spaCy with a pickle as numbers": dump(
        call("spacy.tokens.doc", "unpickle_doc", None, call("builtins", "bytes", list(p.system())), b"")
    ),
    "a document of spaCy with a pickle in two halves": dump(
        call("spacy.tokens.doc", "unpickle_doc", None, call("operator", "add", p.system()[:9], p.system()[9:]), b"")
    ),
    "a document of spaCy with a pickle that nobody can compute": dump(
        call("spacy.tokens.doc", "unpickle_doc", None, call("operator", "mod", b"%s", p.NONE), b"")
    ),
    "a vocabulary of spaCy with a pickle as text": dump(
        call(
            "spacy.vocab",
            "unpickle_vocab",
            *(None, None, None, None),
            call("_codecs", "encode", HIDDEN, "latin1"),
            *(None, None),
        )
    ),
}


@pytest.mark.parametrize("name", THROUGH_HARMLESS)
def test_through_what_is_harmless_in_another_shape(name: str) -> None:
    verdict, findings = scan(THROUGH_HARMLESS[name])

    assert verdict is Verdict.MALICIOUS, findings


def test_what_a_computed_pickle_runs_is_told() -> None:
    _, findings = scan(THROUGH_HARMLESS["a vocabulary of spaCy with a pickle as text"])

    assert any("system" in finding.evidence for finding in findings), findings


RESOLVED = {
    "resolve_name": (apply(call("pkgutil", "resolve_name", "os:system"), "x"), "os.system"),
    "attrgetter": (apply(apply(call("operator", "attrgetter", "system"), OS), "x"), "os.system"),
    "methodcaller": (apply(call("operator", "methodcaller", "system", "x"), OS), "os.system"),
    "getattr of __import__": (apply(call("builtins", "getattr", IMPORTED, "system"), "x"), "os.system"),
    "partial": (apply(call("functools", "partial", Global("os", "system")), "x"), "os.system"),
    "map": (call("builtins", "map", Global("os", "system"), ["x"]), "os.system"),
    "dotted": (call("pathlib", "os.system", "x"), "os.system"),
    "sys.modules": (
        apply(call("builtins", "getattr", call("operator", "getitem", Global("sys", "modules"), "os"), "system"), "x"),
        "os.system",
    ),
    "joined name": (
        apply(call("builtins", "getattr", OS, apply(call("builtins", "getattr", "", "join"), ["sys", "tem"])), "x"),
        "os.system",
    ),
    "decoded name": (
        apply(call("builtins", "getattr", OS, call("_codecs", "decode", b"system", "ascii")), "x"),
        "os.system",
    ),
}


@pytest.mark.parametrize("name", RESOLVED)
def test_the_report_names_what_an_indirection_comes_to(name: str) -> None:
    item, function = RESOLVED[name]

    _, findings = scan(dump(item))

    assert any(finding.rule.id == "MS101" and f"calls {function}" in finding.message for finding in findings)


SUSPICIOUS = {
    "a file reader of pandas, as an attribute of a harmless module": dump(
        call("pandas.core.frame", "pandas.HDFStore", "/tmp/x", "w")
    ),
    "a file of Arrow, through what a module of tables imports": dump(
        call("pandas.core.arrays.arrow._arrow_utils", "pyarrow.OSFile", "/etc/passwd", "w")
    ),
    "a server, through what a module of layers imports under another name": dump(
        call("torch.nn.modules._functions", "dist.TCPStore", "x.invalid", 1)
    ),
    "a class that is only kept, two modules away": dump(
        [Global("torch.nn.modules", "activation.torch.ScriptFunction")]
    ),
    "a parser of other files, as the type of what is built": dump(
        new("pandas.core.series", "pandas.ExcelFile", state={"io": "http://x.invalid"})
    ),
    "a harmless name through an unknown module, which is imported": dump(
        call("evilmodule", "collections.OrderedDict"),
    ),
    "a file written by a schedule": dump(
        call("torch.optim.lr_scheduler", "LambdaLR", None, [call("functools", "partial", BUFFER, *OVERWRITE)])
    ),
    "the result of a boosting library's constructor": dump(
        call("lightgbm.basic", "Booster", None, None, "/etc/passwd")
    ),
    "a vision model made from text": dump(call("ultralytics.nn.tasks", "DetectionModel", {"activation": CODE})),
    "a loss of ultralytics, constructed": dump(call("ultralytics.utils.loss", "v8DetectionLoss", "model")),
    "a sentence transformer, constructed by its name": dump(
        call("sentence_transformers.sentence_transformer.model", "SentenceTransformer", "who/knows")
    ),
    "a graph, constructed": dump(call("networkx.classes.graph", "Graph", [(1, 2)])),
    "a store of results, constructed": dump(call("joblib.memory", "Memory", "/tmp/x")),
    "a graph layer, which is restored through generated source": dump(
        new("torch_geometric.nn.sequential", "Sequential", state={"_caller_module": "os"})
    ),
    "a forecast that names the program of its next fit": dump(
        new("cmdstanpy.model", "CmdStanModel", state={"_exe_file": "/tmp/x"})
    ),
    "trials in a database": dump(new("optuna.storages._rdb.storage", "RDBStorage", state={"url": "sqlite:///x"})),
    "a function compiled by numba": dump(new("numba.core.registry", "CPUDispatcher")),
    "an index of transformers, by address": dump(
        call("transformers.models.rag.retrieval_rag", "LegacyIndex", 768, "http://x.invalid")
    ),
    "an attribute of an object of the file": dump(
        call("builtins", "getattr", call("collections", "Counter"), "most_common")
    ),
    "a call of an object of the file": dump(apply(new("torch.nn.modules.linear", "Linear"), 1)),
    "a decompressing codec": dump(call("_codecs", "encode", "x", "zlib_codec")),
    "a module itself": p.proto(2) + b"cevilmodule\n\n0N.",
}


@pytest.mark.parametrize("name", SUSPICIOUS)
def test_suspicious(name: str) -> None:
    verdict, findings = scan(SUSPICIOUS[name])

    assert verdict is Verdict.SUSPICIOUS, findings


HARMLESS = {
    "plain values": dump({"a": [1, 2.5, None, "x"], "b": (1, 2)}),
    "an ordered dictionary": dump(call("collections", "OrderedDict", [("a", 1)])),
    "a counter": dump(call("collections", "Counter", {"a": 1})),
    "bytes of protocol 2": p.proto(2) + p.global_("_codecs", "encode") + value(("é", "latin1")) + p.REDUCE + p.STOP,
    "a date": dump(call("datetime", "date", b"\x07\xe4\x01\x01")),
    "a dtype": dump(call("numpy", "dtype", "f8", False, True)),
    "a function that is kept": dump(
        new(
            "sklearn.preprocessing._function_transformer",
            "FunctionTransformer",
            state={"func": Global("numpy", "log1p")},
        )
    ),
    "a ufunc of numpy 1": dump(call("numpy.core", "_ufunc_reconstruct", "numpy", "log1p")),
    "a mapped array, from its buffer": dump(
        [
            call("numpy.core.multiarray", "_reconstruct", BUFFER, (0,), b"b"),
            new("joblib.numpy_pickle", "NumpyArrayWrapper", state={"subclass": BUFFER, **EMPTY}),
        ]
    ),
    "a document of spaCy in the second protocol": dump(
        call(
            "spacy.tokens.doc",
            "unpickle_doc",
            None,
            call("_codecs", "encode", dump(({}, {})).decode("latin-1"), "latin1"),
            b"",
        )
    ),
    "a partial of a harmless function": dump(call("functools", "partial", Global("numpy", "clip"))),
    "a default factory": dump(call("collections", "defaultdict", Global("builtins", "int"))),
    "a bound method of a pattern": dump(call("builtins", "getattr", call("re", "_compile", "a+", 32), "search")),
    "random bytes that begin like a pickle": dump({"weights": b"\x80\x04" + bytes(range(200, 256)) * 4}),
    "random bytes that begin like gzip": dump({"weights": b"\x1f\x8b" + bytes(range(200, 256)) * 4}),
    "digits around zlib": dump({"image": base64.b64encode(zlib.compress(bytes(range(256)))).decode()}),
    "hexadecimal digits": dump({"digest": "8004" + "ab" * 30}),
    "a tensor of Paddle": dump(call("builtins", "eval", "data", {"data": call("numpy", "ndarray", (1,))})),
    "a path": dump(call("pathlib", "PosixPath", "a", "b")),
    "a sentence transformer": dump(
        new(
            "sentence_transformers.sentence_transformer.model",
            "SentenceTransformer",
            state={"_similarity": Global("sentence_transformers.util.similarity", "cos_sim")},
        )
    ),
    "a module of a sentence transformer of old": dump(new("sentence_transformers.models.Pooling", "Pooling")),
    "settings of diffusers": dump(call("diffusers.configuration_utils", "FrozenDict", {"dim": 4})),
    "word vectors": dump(
        new(
            "gensim.models.word2vec",
            "Word2Vec",
            state={"hashfxn": Global("builtins", "hash"), "load": Global("gensim.utils", "call_on_class_only")},
        )
    ),
    "random numbers of numpy before 1.17": dump(call("numpy.random", "__RandomState_ctor")),
    "an array of numpy before 1.0": dump(
        call("numpy.core._internal", "_reconstruct", Global("numpy", "ndarray"), (0,), "b")
    ),
    "weights of terms": dump(
        new(
            "gensim.models.tfidfmodel",
            "TfidfModel",
            state={"wglobal": call("functools", "partial", Global("gensim.models.tfidfmodel", "smartirs_wglobal"), 1)},
        )
    ),
    "topics over time": dump(new("gensim.models.ldaseqmodel", "sslm", state={"vocab_len": 3})),
    "an ensemble of topics": dump(
        new(
            "gensim.models.ensemblelda",
            "EnsembleLda",
            state={"masking_method": Global("gensim.models.ensemblelda", "mass_masking")},
        )
    ),
    "an ensemble of topics that was saved": dump(
        new(
            "gensim.models.ensemblelda",
            "EnsembleLda",
            state={
                "topic_model_class": None,
                "topic_model_module_string": "gensim.models.ldamulticore",
                "topic_model_class_string": "LdaMulticore",
            },
        )
    ),
    "a forecaster for each step": dump(
        new("sktime.forecasting.compose._fhplex", "FhPlexForecaster", state={"fh_params": {1: {"sp": 2}}})
    ),
    "a graph": dump(
        new(
            "networkx.classes.digraph",
            "DiGraph",
            state={
                "node_dict_factory": Global("builtins", "dict"),
                "_adj": {1: {2: {"weight": 0.5}}},
                "adj": new("networkx.classes.coreviews", "AdjacencyView", state={"_atlas": {}}),
            },
        )
    ),
    "a clustering": dump(
        new(
            "hdbscan.hdbscan_",
            "HDBSCAN",
            state={
                "memory": new("joblib.memory", "Memory", state={"store_backend": None}),
                "metric": call("hdbscan.dist_metrics", "newObj", Global("hdbscan.dist_metrics", "EuclideanDistance")),
            },
        )
    ),
    "a distribution of whole numbers": dump(
        new(
            "numpy",
            "vectorize",
            state={
                "pyfunc": call("builtins", "getattr", new("scipy.stats._discrete_distns", "randint_gen"), "_entropy")
            },
        )
    ),
    "columns by their types": dump(
        new("sklearn.compose._column_transformer", "make_column_selector", state={"pattern": None})
    ),
    **{
        f"a fitted formula, {formula}": dump(
            new("statsmodels.base.data", "PandasData", state={"restore_model_spec": True, "formula": formula})
        )
        for formula in (
            "y ~ x",
            "np.log(price) ~ C(region, Treatment('north')) + I(age ** 2) + a:b - 1",
            "y ~ bs(x, df=4) * group + 0.5 + Q('two words')",
            "Lottery ~ Literacy + Wealth + C(Region) + np.log1p(Pop1831)",
        )
    },
    "an outlier detector": dump(new("pyod.models.knn", "KNN", state={"metric": "minkowski"})),
    "a survival model": dump(
        new(
            "lifelines.fitters.coxph_fitter",
            "CoxPHFitter",
            state={"kind": call("lifelines.utils", "CensoringType", "right")},
        )
    ),
    "a finished search for settings": dump(
        new(
            "optuna.study.study",
            "Study",
            state={"direction": call("optuna.study._study_direction", "StudyDirection", 1)},
        )
    ),
    "a loss of ultralytics": dump(new("ultralytics.utils.loss", "v8DetectionLoss", state={"reg_max": 16})),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless(name: str) -> None:
    verdict, findings = scan(HARMLESS[name])

    assert verdict is Verdict.CLEAN, findings

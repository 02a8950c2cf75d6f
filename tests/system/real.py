# SPDX-License-Identifier: MIT
"""real.py - real programs for the tests: Debian testing's llama-server, and the clients that people use.

Each is made once and kept in the machines' cache, in a folder named for everything that decides what is in it. Who makes
or uses one holds its lock shared, until this process ends, and who removes it holds it exclusively, as in tests/machine.
NotHere says why there is none.
"""
import contextlib
import fcntl
import functools
import hashlib
import os
import pathlib
import re
import shutil
import subprocess

from tiny_model import tiny_model

CACHE = pathlib.Path(os.environ.get("HOME_LAB_SERVICES_CACHE", "/var/cache/home-lab-services-machines"))
CLIENTS = pathlib.Path(__file__).resolve().parents[1] / "clients"
PYTHON = "/usr/bin/python3"  # Debian's, whatever else is in the PATH
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
LLAMA = "/opt/llama"  # in a machine; no longer than the name of Debian's own loader
MAKE_SECONDS = 300
HOME_ASSISTANT = {"3.11": "home-assistant-2024.txt", "3.13": "home-assistant-2026.txt"}  # the packages, by the Python

locks = []  # held for as long as this process lives


class NotHere(Exception):
    pass


def remembered(get):
    """Whoever asks again gets the same answer, also that there is none."""
    @functools.cache
    def answer():
        try:
            return get()
        except NotHere as reason:
            return reason

    def ask():
        got = answer()
        if isinstance(got, NotHere):
            raise got
        return got
    return ask


def say(*command, **options):
    """The output of a command that succeeds."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=MAKE_SECONDS, **options)
    except FileNotFoundError:
        raise NotHere(f"there is no {command[0]}") from None
    except subprocess.TimeoutExpired:
        raise NotHere(f"{command[0]} takes longer than {MAKE_SECONDS} s") from None
    if done.returncode != 0:
        raise NotHere(f"{command[0]} fails: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout


def once(name, recipe, make):
    """The folder that make(folder) filled for the same recipe."""
    key = f"{name}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    folder, new = CACHE / key, CACHE / f"{key}.new"
    CACHE.mkdir(parents=True, exist_ok=True)
    locks.append(open(CACHE / f"{key}.lock", "w"))
    fcntl.flock(locks[-1], fcntl.LOCK_SH)
    if not folder.exists():
        with open(CACHE / f"{key}.make.lock", "w") as making:
            fcntl.flock(making, fcntl.LOCK_EX)
            if not folder.exists():  # nobody made it while we waited
                shutil.rmtree(new, ignore_errors=True)
                new.mkdir()
                make(new)
                new.rename(folder)
    for old in CACHE.glob(f"{name}-????????????"):
        if old != folder:
            remove_unused(old)
    return folder


def remove_unused(folder):
    with open(f"{folder}.lock", "w") as lock, contextlib.suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)


# ---- Debian testing ----

def testing(folder, *packages):
    """Unpacks packages of Debian testing with all that they depend on; nothing is installed."""
    targets = say("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages").split()
    mirror = next((uri for uri in targets if uri.endswith("/debian/")), "http://deb.debian.org/debian")
    proxy = say("apt-config", "dump", "--no-empty", "--format", '%f "%v"%n', "Acquire::http", "Acquire::https",
                "Acquire::Check-Valid-Until").splitlines()
    say("mmdebstrap", "--mode=root", "--variant=extract", f"--include={','.join(packages)}",
        *(f"--aptopt={line}" for line in ['Acquire::Languages "none"', *proxy]), "forky", str(folder),
        f"deb [signed-by={KEYRING}] {mirror} forky main")


def libraries(tree):
    return next((tree / "usr/lib").glob("*-linux-gnu"))


def make_llama(folder):
    """llama-server with its own loader and libraries, as it will lie in a machine's /opt/llama."""
    tree = folder / "tree"
    testing(tree, "llama.cpp")
    where = libraries(tree)
    server, loader = tree / "usr/bin/llama-server", next(where.glob("ld-linux-*.so.*"))
    # One for any processor of this kind; it is not found by itself, because it is where its package does not expect it.
    backend = next(found for name in ("libggml-cpu-x64.so", "libggml-cpu-armv8.0*.so")
                   for found in where.glob(f"ggml/backends0/{name}"))
    path = ":".join(str(where / each) for each in (".", "llama", "ggml", "ggml/backends0"))
    listed = "".join(say(str(loader), "--library-path", path, "--list", str(each)) for each in (server, backend))
    (folder / "lib").mkdir()
    for library in {backend, *map(pathlib.Path, re.findall(rf"=> ({re.escape(str(tree))}\S+)", listed))}:
        shutil.copy(library, folder / "lib")
    shutil.copy(loader, folder / "ld.so")
    # Its router starts itself again by /proc/self/exe, so the kernel must find the loader: no wrapper can say it.
    program = server.read_bytes()
    interpreter = re.search(rb"/lib(64)?/ld-linux[^\0]*\0", program)[0]
    program = program.replace(interpreter, f"{LLAMA}/ld.so".encode().ljust(len(interpreter), b"\0"), 1)
    (folder / "bin").mkdir()
    (folder / "bin/llama-server").write_bytes(program)
    (folder / "llama-server").write_text(f"#!/bin/sh\nexport LD_LIBRARY_PATH={LLAMA}/lib\n"
                                         f"export GGML_BACKEND_PATH={LLAMA}/lib/{backend.name}\n"
                                         f"exec {LLAMA}/bin/llama-server \"$@\"\n")
    for file in "bin/llama-server", "llama-server", "ld.so":
        (folder / file).chmod(0o755)
    (folder / "models").mkdir()
    for name in "tiny", "other":
        (folder / f"models/{name}.gguf").write_bytes(tiny_model(name))
    shutil.rmtree(tree)


@remembered
def llama_server():
    """A folder to be copied to LLAMA: the program is llama-server in it, models/tiny.gguf and models/other.gguf are
    what it can load."""
    here = pathlib.Path(__file__)
    recipe = here.read_text() + here.with_name("tiny_model.py").read_text() + os.uname().machine
    return once("llama", recipe, make_llama)


# ---- clients ----

@remembered
def npm():
    """A folder with npm.mjs and what it imports."""
    names = "package.json", "package-lock.json"

    def make(folder):
        for name in names:
            shutil.copy(CLIENTS / name, folder)
        say("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)

    folder = once("npm", "".join((CLIENTS / name).read_text() for name in names) + say("node", "--version"), make)
    shutil.copy(CLIENTS / "npm.mjs", folder / f"npm.mjs.{os.getpid()}")
    (folder / f"npm.mjs.{os.getpid()}").rename(folder / "npm.mjs")  # beside what it imports, and never half of it
    return folder


def python_with(name, requirements, *options):
    """A Python that has these packages and no others."""
    def make(folder):
        say(PYTHON, "-m", "venv", str(folder / "venv"))
        say(str(folder / "venv/bin/python3"), "-m", "pip", "install", "--quiet", "--no-deps", *options,
            "--requirement", str(requirements))

    return once(name, requirements.read_text() + say(PYTHON, "--version"), make) / "venv/bin/python3"


@remembered
def pypi():
    """The Python whose packages pypi.py imports."""
    return python_with("pypi", CLIENTS / "requirements.txt", "--only-binary=:all:")


@remembered
def openapi_tools():
    """The Python that has a validator of OpenAPI's documents, and schemathesis, which makes requests of them."""
    return python_with("openapi", CLIENTS / "openapi.txt", "--only-binary=:all:")


@remembered
def home_assistant():
    """The Python whose packages home_assistant.py imports: the last release for this host's."""
    version = say(PYTHON, "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()
    if version not in HOME_ASSISTANT:
        raise NotHere(f"there is a release for Python {' and '.join(HOME_ASSISTANT)}, and this host has {version}")
    return python_with("home-assistant", CLIENTS / HOME_ASSISTANT[version], "--use-pep517")


@remembered
def go():
    def make(folder):
        say("go", "build", "-o", str(folder / "client"), str(CLIENTS / "main.go"),
            env=os.environ | {"GOFLAGS": "-mod=mod", "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"})

    return once("go", (CLIENTS / "main.go").read_text() + say("go", "version"), make) / "client"


@remembered
def jdk():
    def make(folder):
        say("javac", "-d", str(folder), str(CLIENTS / "Jdk.java"))

    return once("jdk", (CLIENTS / "Jdk.java").read_text() + say("javac", "--version"), make)

# SPDX-License-Identifier: MIT
"""What our parsers make of bytes, beside what others make of them. Thousands of inputs, made by chance from a seed (SEED=N
for another), are read by common/ and by Python's own parsers, or by NGINX. Where the two may differ, the test says why."""
import http.server
import io
import ipaddress
import json
import os
import pathlib
import random
import re
import socket
import subprocess
import time
import urllib.parse

import pytest

from programs import BUILD, TIMEOUT

SEED = int(os.environ.get("SEED", 20261126))
ROOT = pathlib.Path(__file__).resolve().parents[2]
JSON_DEPTH_MAX = 30  # common/base/json_walk.h
INT64 = range(-2 ** 63, 2 ** 63)


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """The answers to questions, each a word and texts."""
    program = tmp_path_factory.mktemp("readings") / "reading"
    llhttp = ["-lllhttp"] if pathlib.Path("/usr/include/llhttp.h").exists() else []
    subprocess.run([*os.environ.get("CC", "cc").split(), "-D_GNU_SOURCE", "-std=gnu17", "-O1", "-Icommon", "-o", program, "tests/doors/reading.c",
                    BUILD / "libhomelab.a", "-ljson-c", "-lmd", "-lsystemd", *llhttp], cwd=ROOT, check=True)

    def ask(word, questions):
        lines = "".join(f"{word} {' '.join(text.hex() for text in texts)}\n" for texts in questions)
        done = subprocess.run([program], input=lines, capture_output=True, text=True, check=True, timeout=TIMEOUT * 3)
        answers = done.stdout.splitlines()
        assert len(answers) == len(questions)
        return answers
    return ask


def unhex(word):
    return None if word == "none" else b"" if word == "-" else bytes.fromhex(word)


def mutated(chance, text, pieces, most=3):
    text = bytearray(text)
    for _ in range(chance.randrange(most + 1)):
        at = chance.randrange(len(text) + 1)
        text[at:at + chance.choice((0, 0, 1, 1, 4))] = chance.choice(pieces)
    return bytes(text)


def compare(kind, cases, ours, theirs):
    """cases and what each of the two made of them."""
    different = [(case, we, they) for case, we, they in zip(cases, ours, theirs) if we != they]
    taken = sum(they is not None for they in theirs)
    print(f"{kind}, seed {SEED}: {len(cases)} cases, {taken} are taken, {len(different)} are read differently")
    assert len(cases) / 20 < taken < len(cases), "nothing is tested by such cases"
    assert not different, different[:5]


# ---- JSON: Python's json, made strict ----

class Refused(Exception):
    pass


def object_of(pairs):
    if len(dict(pairs)) != len(pairs):
        raise Refused("duplicate_key")
    if any("\0" in key for key, _ in pairs):
        raise Refused("invalid_json")  # a key is a text of C's
    return dict(pairs)


def no_constant(_):
    raise Refused("invalid_json")


def depth_of(value):
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(depth_of, children), default=0)


def has_lone_surrogate(value):
    if isinstance(value, dict):
        return any(has_lone_surrogate(key) or has_lone_surrogate(each) for key, each in value.items())
    if isinstance(value, list):
        return any(map(has_lone_surrogate, value))
    return isinstance(value, str) and any(0xD800 <= ord(c) < 0xE000 for c in value)


def python_json(text):
    try:
        value = json.loads(text.decode(), object_pairs_hook=object_of, parse_constant=no_constant)
    except (ValueError, Refused, RecursionError):
        return None
    if not isinstance(value, dict) or depth_of(value) > JSON_DEPTH_MAX:
        return None
    return value


def same_json(ours, theirs):
    """Numbers that an int64 or a double cannot hold are the nearest one that it can: each reader has bounds within these."""
    if isinstance(theirs, bool) or isinstance(ours, bool) or theirs is None or isinstance(theirs, str):
        return type(ours) is type(theirs) and ours == theirs
    if isinstance(theirs, dict):
        return isinstance(ours, dict) and list(ours) == list(theirs) and all(same_json(ours[key], theirs[key]) for key in theirs)
    if isinstance(theirs, list):
        return isinstance(ours, list) and len(ours) == len(theirs) and all(map(same_json, ours, theirs))
    if isinstance(theirs, int) and theirs not in INT64:
        return ours > 2 ** 62 if theirs > 0 else ours < -2 ** 62
    return ours == theirs or (isinstance(theirs, float) and abs(theirs) == float("inf"))


STRINGS = ["", "a", "port", "auth", "loopback", "é", "🦙", "\x7f", "a b", "\\", '"', "/", "\n", "\u2028", "null", "9" * 40]
NUMBERS = ["0", "-0", "1", "-1", "8198", "0.5", "-0.0", "1e3", "1E+3", "1.5e-300", "9223372036854775807", "9223372036854775808",
           "-9223372036854775808", "18446744073709551616", "1e400", "01", "1.", ".5", "+1", "1e", "0x10", "1_000", "NaN", "Infinity", "-Infinity", "-"]
JSON_PIECES = [b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b" ", b"\n", b"\t", b"\r", b"\f", b"\v", b"\0", b"\x1f", b"\\u0000",
               b"\\u0041", b"\\ud83e\\udd99", b"\\ud800", b"\\udc00", b"\\u00", b"\\x41", b"\\/", b"\\b", b"'", b"//c\n", b"/**/", b"tru", b"true",
               b"True", b"nul", b"null", b"NaN", b"1", b"-", b".", b"e", b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
               b"\xef\xbb\xbf", b"\xc2\xa0", b'"a":1,', b'"a":1', b"{}", b"[[[[[[[[", b"]]]]]]]]", b'{"a":']


def json_value(chance, depth):
    kind = chance.random()
    blank = chance.choice(("", "", " ", "\n", "\t "))
    if kind < 0.25 or depth > 6:
        return json.dumps(chance.choice(STRINGS), ensure_ascii=chance.random() < 0.5)
    if kind < 0.5:
        return chance.choice(NUMBERS[:13] if chance.random() < 0.9 else NUMBERS)
    if kind < 0.6:
        return chance.choice(("true", "false", "null"))
    if kind < 0.75:
        return "[" + ",".join(blank + json_value(chance, depth + 1) for _ in range(chance.randrange(4))) + blank + "]"
    return json_object(chance, depth + 1)


def json_object(chance, depth=0):
    keys = chance.sample(STRINGS, chance.randrange(4))
    if keys and chance.random() < 0.05:
        keys.append(keys[0])
    return "{" + ",".join(f"{json.dumps(key, ensure_ascii=chance.random() < 0.5)}:{json_value(chance, depth)}" for key in keys) + "}"


def test_json_is_what_python_reads(read):
    chance = random.Random(SEED)
    cases = [json_object(chance).encode() for _ in range(2000)]
    cases += [mutated(chance, chance.choice(cases), JSON_PIECES) for _ in range(6000)]
    cases += [b'{"a":' * depth + b"{}" + b"}" * depth for depth in range(25, 35)] + [b"", b"{}", b"[]", b"null", b'"a"', b"\xef\xbb\xbf{}"]
    ours = []
    for answer in read("json", [(case,) for case in cases]):
        ours.append(json.loads(unhex(answer[3:]).decode()) if answer.startswith("ok") else None)
    theirs = [python_json(case) for case in cases]
    for number, (we, they) in enumerate(zip(ours, theirs)):
        if they is not None and we is not None and same_json(we, they):
            theirs[number] = we
        elif they is not None and has_lone_surrogate(they):
            theirs[number] = we  # a lone surrogate is no character: U+FFFD, or refused
    compare("JSON", cases, ours, theirs)


# ---- percent-encoding and queries: urllib ----

PERCENT_PIECES = [b"a", b"%20", b"%41", b"%c3%a9", b"%C3", b"%e2%80", b"%ff", b"%00", b"%", b"%4", b"%zz", b"%2f", b"%2F", b"+", b"&", b"=", b"%25",
                  b"%F0%9F%A6%99", b"%ed%a0%80", b"%f4%90%80%80", b"%c0%af", b"~", b";", b"%+1", b"%-1", b"% 1"]


def python_percent(text):
    if re.search(rb"%(?![0-9A-Fa-f]{2})", text):
        return None
    decoded = urllib.parse.unquote_to_bytes(text)
    try:
        decoded.decode()
    except UnicodeDecodeError:
        return None
    return None if b"\0" in decoded else decoded


def test_percent_encoding_is_what_urllib_reads(read):
    chance = random.Random(SEED)
    cases = [b"".join(chance.choices(PERCENT_PIECES, k=chance.randrange(6))) for _ in range(4000)]
    ours = [unhex(answer[3:]) if answer.startswith("ok") else None for answer in read("percent", [(case,) for case in cases])]
    compare("percent-encoding", cases, ours, [python_percent(case) for case in cases])


def python_query(target, name):
    """The first parameter of that name; a value that cannot be decoded is refused. A + is a plus: no form sends these."""
    path, _, query = target.partition(b"?")
    if any(c <= 0x20 or c >= 0x7F for c in target) or python_percent(path) is None:
        return None
    for pair in query.split(b"&"):
        key, equals, value = pair.partition(b"=")
        if equals and python_percent(key) == name:
            return python_percent(value)
    return b"(absent)"


def test_a_query_is_what_urllib_reads(read):
    chance = random.Random(SEED)
    names = [b"lines", b"%6Cines", b"line", b"Lines", b"lin%65s", b"", b"lines%00", b"%zz"]
    cases = []
    for _ in range(4000):
        pairs = [chance.choice(names) + chance.choice((b"=", b"=", b"=", b"")) + b"".join(chance.choices(PERCENT_PIECES[:14], k=chance.randrange(3)))
                 for _ in range(chance.randrange(4))]
        cases.append((chance.choice((b"/a", b"/a%20b", b"/%", b"/")) + chance.choice((b"?", b"?", b"")) + b"&".join(pairs), b"lines"))
    ours = []
    for answer in read("query", cases):
        value = unhex(answer[3:]) if answer.startswith("ok") else None
        ours.append(b"(absent)" if answer == "ok none" else value)
    compare("queries", cases, ours, [python_query(*case) for case in cases])


# ---- addresses: ipaddress ----

ADDRESSES = ["127.0.0.1", "127.255.255.254", "128.0.0.1", "0.0.0.0", "198.18.77.1", "255.255.255.255", "::1", "::", "::2", "::ffff:127.0.0.1", "::ffff:7f00:1",
             "::ffff:198.18.77.1", "::127.0.0.1", "fe80::1", "2001:db8::1", "2001:DB8:0:0:0:0:0:1", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::"]
ADDRESS_PIECES = [b":", b"::", b".", b"0", b"00", b"1", b"256", b"7f", b"g", b"-", b" ", b"+", b"x", b"%eth0", b"[", b"]", b"/8", b"\n", b"a", b"0x7f"]


NOTHING = 0, 0, "0" * 32


def python_endpoint(address, port):
    """(is local, port, address)."""
    try:
        parsed = ipaddress.ip_address(address.decode())
        if "%" in str(parsed):
            raise ValueError("a scope: no peer of ours is written with one")
    except ValueError:
        return NOTHING
    mapped = parsed if parsed.version == 4 else parsed.ipv4_mapped
    local = int(mapped.is_loopback if mapped else parsed == ipaddress.ip_address("::1"))
    if not re.fullmatch(rb"[0-9]+", port) or int(port) > 65535:
        return (local, *NOTHING[1:])
    return local, int(port), (b"\0" * 10 + b"\xff\xff" + parsed.packed if parsed.version == 4 else parsed.packed).hex()


def test_an_address_is_what_ipaddress_reads(read):
    chance = random.Random(SEED)
    cases = [(address.encode(), b"5001") for address in ADDRESSES]
    for _ in range(5000):
        port = b"5001" if chance.random() < 0.7 else chance.choice((b"1", b"65535", b"65536", b"0", b"", b"-1", b"+1", b"1 ", b"0x1", b"00080", b"9" * 30))
        cases.append((mutated(chance, chance.choice(ADDRESSES).encode(), ADDRESS_PIECES, 2), port))
    ours = [(int(local), int(port), address) for local, port, address in map(str.split, read("endpoint", cases))]
    compare("addresses", cases, *([None if each == NOTHING else each for each in readings] for readings in (ours, [python_endpoint(*case) for case in cases])))


# ---- Host and Origin: urllib.parse and ipaddress ----

OWN_NAME = socket.gethostname()
HOSTS = ["localhost", "LOCALHOST", "localhost.", "127.0.0.1", "198.18.77.1", "[::1]", "[2001:db8::1]", "lab.example.org", "evil.example", OWN_NAME,
         f"{OWN_NAME.split('.')[0]}.local", "[localhost]", "[127.0.0.1]", "[::1.]",
         "[::1%25lo]", "[::ffff:127.0.0.1]", "::1", "127.1", "0x7f.1", "2130706433", "localhost.evil.example", "evil.example.localhost", "xn--lab-x", "a_b"]
HOST_PIECES = [b":", b":80", b":5001", b":0", b":99999", b":-1", b":x", b"@", b"a@", b"/", b"?", b"#", b"\\", b"[", b"]", b".", b"..", b"%31", b"%", b" ", b"\t",
               b"::1", b"127.0.0.1", b"localhost", b",", b";", b"\xc3\xa9", b"1", b"evil"]


def named_by(host):
    """The name or address that a Host means, by urllib, or None where it is none: no user, no path, nothing encoded."""
    text = host.decode("latin-1")
    match = re.fullmatch(r"(\[[^\[\]]*\]|[^\[\]:]*)(?::([0-9]*))?", text)
    if not match or re.search(r"[^!-~]|[@/?#\\%]", text) or int(match[2] or 0) > 65535:
        return None
    try:
        parts = urllib.parse.urlsplit(f"http://{text}/")
        name = parts.hostname
        if match[1].startswith("["):
            ipaddress.IPv6Address(name)
    except ValueError:
        return None
    if parts.username is not None or parts.path != "/":
        return None
    return name[:-1] if name and name.endswith(".") else name


def is_ours(name):
    if not name:
        return False
    try:
        ipaddress.ip_address(name)
        return True
    except ValueError:
        own = OWN_NAME.lower()
        return name in ("localhost", "lab.example.org", own, own.split(".")[0], own.split(".")[0] + ".local")


def test_a_host_is_what_urllib_reads(read):
    chance = random.Random(SEED)
    cases = [host.encode() + port for host in HOSTS for port in (b"", b":5001")]
    cases += [mutated(chance, chance.choice(cases), HOST_PIECES, 2) for _ in range(5000)]
    cases = [case for case in cases if case]
    ours = [True if answer.split()[0] == "1" else None for answer in read("host", [(case,) for case in cases])]
    compare("Host", cases, ours, [is_ours(named_by(case)) or None for case in cases])


def test_a_page_is_of_the_origin_that_urllib_reads(read):
    """Of our own is only a page that has been fetched from the very Host, in the form in which browsers write both."""
    chance = random.Random(SEED)
    hosts = [host.encode().lower() + port for host in HOSTS for port in (b"", b":5001", b":8080") if named_by(host.encode())]
    cases = []
    for _ in range(4000):
        host = chance.choice(hosts)
        origin = chance.choice((b"http://", b"https://", b"http://", b"ws://", b"file://", b"")) + (host if chance.random() < 0.6 else chance.choice(hosts))
        cases.append((host, mutated(chance, origin, HOST_PIECES, 1) or b"null"))

    def own(host, origin):
        try:
            parts = urllib.parse.urlsplit(origin.decode("latin-1"))
        except ValueError:
            return None
        is_whole = origin == parts.scheme.encode() + b"://" + parts.netloc.encode("latin-1")
        return "own" if parts.scheme in ("http", "https") and is_whole and parts.netloc.encode("latin-1").lower() == host else None
    ours = ["own" if answer.split()[1] == "own" else None for answer in read("host", cases)]
    compare("Origin", cases, ours, [own(*case) for case in cases])


# ---- heads of requests: NGINX, and Python's http.server ----

NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/log crit;
events {{ worker_connections 64; }}
http {{
    access_log off; keepalive_timeout 0; lingering_close off;
    client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3; uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
    server {{ listen unix:{folder}/socket; add_header X-Read "$request_method $request_uri $host"; return 200; }}
}}
"""


@pytest.fixture(scope="module")
def nginx(tmp_path_factory):
    """The status with which NGINX answers bytes, None where it waits for more of them, and what it has read."""
    folder = tmp_path_factory.mktemp("nginx")
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder))
    process = subprocess.Popen(["nginx", "-e", folder / "log", "-c", folder / "nginx.conf"])

    def ask(text):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(TIMEOUT)
            connection.connect(str(folder / "socket"))
            connection.sendall(text)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            try:
                while piece := connection.recv(65536):
                    answer += piece
            except ConnectionError:
                pass
        answer = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
        match = re.match(rb"HTTP/1.1 (\d+) (?:.*?\nX-Read: (.*?)\r\n)?", answer, re.S)
        return (int(match[1]), match[2]) if match else (None, answer)
    try:
        wait_for(folder / "socket", process)
        yield ask
    finally:
        process.terminate()
        process.wait(TIMEOUT)


def wait_for(path, process):
    deadline = time.monotonic() + TIMEOUT
    while not path.exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)


LINES = [b"GET / HTTP/1.1", b"GET /health HTTP/1.1", b"POST /models/a%20b/start?wait=none HTTP/1.1", b"OPTIONS /a HTTP/1.1", b"HEAD / HTTP/1.0",
         b"GET http://localhost/health?x=1 HTTP/1.1", b"PUT /a HTTP/1.1", b"PATCH /a HTTP/1.1"]
FIELDS = [b"Host: localhost", b"Host: localhost:5001", b"Accept: */*", b"Content-Length: 0", b"Content-Length: 2", b"Connection: close", b"Connection: keep-alive",
          b"Transfer-Encoding: chunked", b"Origin: http://localhost", b"X-A: b", b"Authorization: Bearer x", b"Expect: 100-continue"]
HEAD_PIECES = [b" ", b"  ", b"\t", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\r\n ", b"\0", b"\x01", b"\x7f", b"\x80", b":", b": ", b" :", b"a", b"/", b"//", b"/../", b"%", b"%00",
               b"#", b"?", b"HTTP/1.0", b"HTTP/1.1", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.10", b"http/1.1", b"Host: b\r\n", b"Host:\r\n", b"Content-Length: 1\r\n",
               b"Content-Length: +1\r\n", b"Content-Length: 0x1\r\n", b"Content-Length: 1, 1\r\n", b"Content-Length: 99999999999999999999\r\n",
               b"Transfer-Encoding: gzip\r\n", b"Transfer-Encoding: chunked, chunked\r\n", b"Transfer-Encoding : chunked\r\n", b"get", b"_", b"(", b"@", b"\xc3\xa9"]


def make_head(chance):
    fields = [chance.choice(FIELDS[:2])] * (chance.random() < 0.95) + chance.sample(FIELDS[2:], chance.randrange(4))
    chance.shuffle(fields)
    body = b"{}" if b"Content-Length: 2" in fields else b"2\r\n{}\r\n0\r\n\r\n" if b"Transfer-Encoding: chunked" in fields else b""
    return b"\r\n".join([chance.choice(LINES), *fields]) + b"\r\n\r\n" + body


class Heads(http.server.BaseHTTPRequestHandler):
    """What http.server reads of a head: .command, .path, .headers; .refused is the status."""

    def __init__(self, text):
        self.rfile, self.wfile, self.refused, self.client_address = io.BytesIO(text), io.BytesIO(), None, ("test", 0)
        self.raw_requestline = self.rfile.readline(65537)
        self.taken = self.parse_request()

    def send_error(self, code, *_):
        self.refused = code

    def log_message(self, *_):
        pass


# With a host in its target, ours does not look at the other one; no path of ours leads to a file; and RFC 9110 5.5 lets a tab
# stand around a value.
NGINX_IS_STRICTER = re.compile(rb" http://|/\.\./|\n(?:host|content-length|transfer-encoding):(?: *\t|[^\r\n]*\t *\r?\n)", re.I)


def test_what_others_refuse_as_a_head_is_refused(read, nginx):
    """Who stands before or behind us may not take the same bytes for another request. What is refused does not depend on how it
    arrives either."""
    chance = random.Random(SEED)
    cases = [make_head(chance) for _ in range(500)]
    cases += [mutated(chance, chance.choice(cases), HEAD_PIECES, 2) for _ in range(3000)]
    taken = refused_by_nginx = refused_by_python = 0
    different = []
    for case, answer in zip(cases, read("head", [(case,) for case in cases])):
        at_once, in_bytes = answer.split(" / ")
        if at_once != in_bytes:
            different.append((case, "by bytes", answer))
        status, said = nginx(case)
        python = Heads(case.lstrip(b"\r\n"))  # RFC 9112 2.2 lets empty lines stand before a request
        refused_by_nginx += status not in (None, 200)
        refused_by_python += not python.taken
        _, _, _, method, path, query, host, _ = at_once.split() if at_once.startswith("ok") else [None] * 8
        if not method or (host != "none" and not is_ours(named_by(unhex(host)))):
            continue  # by the guard, where the parser takes it
        taken += 1
        if status == 400 and NGINX_IS_STRICTER.search(case):
            continue
        target = unhex(path) + (b"?" + unhex(query) if query != "none" else b"")
        name = re.sub(rb":[0-9]*$", b"", unhex(host) or b"").lower()
        if status != 200 or said != b" ".join((method.encode(), target, name.removesuffix(b"."))):
            different.append((case, "nginx", status, said, at_once, target))
        if not python.taken or python.command != method:
            different.append((case, "http.server", python.refused))
    print(f"heads, seed {SEED}: {len(cases)} cases, {taken} are taken; NGINX refuses {refused_by_nginx}, http.server {refused_by_python}")
    assert taken > len(cases) / 10 and refused_by_nginx > len(cases) / 10
    assert not different, "\n".join(map(repr, different[:20]))

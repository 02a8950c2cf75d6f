# SPDX-License-Identifier: MIT
"""Which model the router reads in a body, compared with what Python's own parsers read there: thousands of bodies, made by
chance. BODIES_SEED repeats a run, BODIES_COUNT makes it longer."""
import collections
import email.message
import email.parser
import email.policy
import email.utils
import gzip
import http.client
import json
import os
import random
import re
import socket
import subprocess
import sys
import urllib.parse
from pathlib import Path

import pytest

import body_makers
import library_bodies
from router import Router, goes

SEED = int(os.environ.get("BODIES_SEED", "20"))
COUNT = int(os.environ.get("BODIES_COUNT", "4000"))

REFUSED, ABSENT = "(refused)", "(absent)"


@pytest.fixture(scope="module")
def router(tmp_path_factory):
    with Router(tmp_path_factory.mktemp("router")) as one:
        (one.folder / "models" / "Mixed_Case").write_text("PORT=18194\n")
        (one.folder / "models" / "qwen2.5:0.5b").write_text('PORT=18195\nALIASES="modèle 模型 😀"\n')
        for model in "Mixed_Case", "qwen2.5:0.5b":
            one.start(model)
        yield one


@pytest.fixture(autouse=True)
def long_numbers():
    """Python refuses numbers of many digits since 3.11, for the time it takes to read them. Here nothing reads them."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    yield
    sys.set_int_max_str_digits(before)


def routed(router, body, kind):
    """What the router read: the model, REFUSED or ABSENT. For a name that is no model's it has a sentence."""
    status, headers, answer = router.post(body, kind or "")
    if "X-Accel-Redirect" in headers:
        return headers["X-HL-Model"]
    error = json.loads(answer)["error"]
    if error["code"] == "model_not_found":
        return error["message"]
    if error["code"] == "model_missing":
        return ABSENT
    assert (status, error["code"]) in [(400, "invalid_json"), (400, "invalid_form"), (400, "invalid_value")], error
    assert error["message"]
    return REFUSED


def agrees(ours, theirs):
    """theirs: the bytes of a name, REFUSED or ABSENT."""
    if theirs in (REFUSED, ABSENT):
        return ours == theirs
    name = theirs.decode("utf-8", "replace")
    meant = theirs.strip(b" \t\n\v\f\r")  # as the router does it: blanks around it, of ASCII
    for each, model in body_makers.NAMES.items():
        if each.encode() == meant:
            return ours == model
    if "\0" in name or len(theirs) > 65536:
        return ours == REFUSED
    return ours.startswith("there is no model") and (not name.isprintable() or not name.isascii() or len(name) > 50
                                                     or f'"{name}"' in ours)


def compare(router, make, reference):
    chance, seen = random.Random(SEED), collections.Counter()
    for number in range(COUNT):
        kind, body = make(chance)
        try:
            theirs = reference(kind, body)
        except (TypeError, ValueError):
            continue  # email's own failure, not its answer: a charset with a NUL, name* beside name*0
        ours = routed(router, body, kind) if body else theirs
        assert agrees(ours, theirs), f"BODIES_SEED={SEED}, number {number}: {kind!r} {body!r}: {ours} and not {theirs}"
        seen[theirs if theirs in (REFUSED, ABSENT) else "named"] += 1
    print(f"BODIES_SEED={SEED}:", dict(seen))
    assert min(seen["named"], seen[REFUSED] + seen[ABSENT]) > COUNT / 20, seen


def json_loads(kind, body):
    try:
        value = json.loads(body)
    except ValueError:
        return REFUSED
    if not isinstance(value, dict):
        return REFUSED
    model = value.get("model", ABSENT)
    if model == ABSENT:
        return ABSENT
    return model.encode("utf-8", "surrogatepass") if isinstance(model, str) else REFUSED


def test_json_as_python_reads_it(router):
    compare(router, lambda chance: ("application/json", body_makers.json_body(chance)), json_loads)


def email_reads(kind, body):
    message = email.parser.BytesParser(policy=email.policy.compat32).parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    if message.get_boundary() and re.match(b"--" + re.escape(message.get_boundary().encode()) + rb"--[ \t]*([\r\n]|$)", body):
        return ABSENT  # a form without fields, as browsers send it; for mail it lacks a part
    if message.defects or not message.is_multipart():
        return REFUSED
    # To email, a part may have no empty line behind its headers; Werkzeug and python-multipart refuse that, and so do we.
    boundary = re.escape(message.get_boundary().encode())
    for part in re.split(rb"(?<![^\r\n])--" + boundary + rb"[ \t]*(?=[\r\n])", body)[1:]:
        if b"\n\n" not in part.replace(b"\r\n", b"\n").replace(b"\r", b"\n"):
            return REFUSED
    found = ABSENT
    for part in message.get_payload():
        if part.defects:
            return REFUSED
        name = part.get_param("name", header="content-disposition")
        file = part.get_param("filename", header="content-disposition")
        if name is not None and email.utils.collapse_rfc2231_value(name) == "model" and file is None:
            found = part.get_payload(decode=True)
    if found != ABSENT:
        try:
            found.decode()
        except UnicodeDecodeError:
            return REFUSED
    return found


def test_forms_with_files_as_python_reads_them(router):
    compare(router, body_makers.form_body, email_reads)


def parse_qsl(kind, body):
    if body.lstrip(b"\xef\xbb\xbf\xfe\xff \t\r\n\0").startswith(b"{"):
        return json_loads(kind, body)  # what "curl -d" makes of JSON
    found = ABSENT
    for key, value in urllib.parse.parse_qsl(body.decode("latin-1"), keep_blank_values=True, encoding="latin-1"):
        if key == "model":
            found = value.encode("latin-1")
    if found != ABSENT:
        try:
            found.decode()
        except UnicodeDecodeError:
            return REFUSED
    return found


def test_urlencoded_forms_as_python_reads_them(router):
    compare(router, lambda chance: ("application/x-www-form-urlencoded", body_makers.urlencoded_body(chance)), parse_qsl)


# ---- bodies as libraries make them ----

@pytest.mark.parametrize("sender, kind, body", library_bodies.RECORDED + library_bodies.WRITTEN,
                         ids=[sender for sender, *_ in library_bodies.RECORDED + library_bodies.WRITTEN])
def test_bodies_as_libraries_make_them(router, sender, kind, body):
    assert routed(router, body, kind) == ("tiny" if b"model" in body.replace(b"\0", b"") else ABSENT)


@pytest.mark.parametrize("arguments", [
    ["-F", "file=@{file}", "-F", "model=tiny"],
    ["-F", "model=tiny", "-F", "file=@{file};filename=\"a;name=\\\"model\\\".wav\""],
    ["-F", "file=@{file};encoder=base64", "-F", "model=tiny;encoder=quoted-printable"],
    ["-d", "model=tiny", "--data-urlencode", "prompt=a&b=c"],
    ["-d", '{"model":"tiny"}'],
    ["-H", "Content-Type:", "-d", '{"model":"tiny"}'],
    ["-H", "Content-Type: application/json", "-d", '{"model":"tiny"}'],
], ids=" ".join)
def test_what_the_curl_of_this_host_makes(router, tmp_path, arguments):
    file = tmp_path / "a.wav"
    file.write_bytes(bytes(range(256)) * 100)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        curl = subprocess.Popen(["curl", "-s", "-H", "Expect:", *(word.format(file=file) if "@" in word else word for word in arguments),
                                 url], stdout=subprocess.DEVNULL)
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as sent:
            headers = http.client.parse_headers(sent) if sent.readline() else None
            if headers.get("Transfer-Encoding") == "chunked":  # as curl does where it cannot tell the length
                body = b"".join(iter(lambda: sent.read(int(sent.readline(), 16) + 2)[:-2], b""))
            else:
                body = sent.read(int(headers["Content-Length"]))
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        assert curl.wait(timeout=20) == 0
    assert routed(router, body, headers.get("Content-Type", "")) == "tiny"


# ---- content types and encodings ----

@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8", "text/json", "application/vnd.x+json", "",
                                  "text/plain", "text/plain;charset=UTF-8", "application/octet-stream", "*/*", "text/html",
                                  "application/x-www-form-urlencoded", "application/json;charset=utf-16", "nonsense"])
def test_json_is_read_whatever_it_is_called(router, kind):
    assert routed(router, b' \n{ "model":"tiny"}', kind) == "tiny"
    assert routed(router, '\ufeff{"model":"tiny"}'.encode("utf-16-le"), kind) == "tiny"


@pytest.mark.parametrize("kind, body", [
    ("audio/wav", b"RIFF\0\0\0\0WAVE"),
    ("application/octet-stream", b"{\x93\x01 of a binary that begins like an object"),
    ("text/plain", b"model=tiny"),
    ("text/plain", b"{{ a template }}"),
    ("", b"what is the weather?"),
    ("multipart/mixed; boundary=b", b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\ntiny\r\n--b--\r\n'),
    ("application/x-www-form-urlencoded", b"models=tiny&model[]=tiny"),
    ("application/json", b""),
    ("multipart/form-data; boundary=b", b""),
])
def test_bodies_that_name_no_model(router, kind, body):
    assert routed(router, body, kind) == ABSENT


@pytest.mark.parametrize("kind, body, words", [
    ("application/json", b'{"model":"tiny","prompt":"caf\xe9"}', ["UTF-8", "PowerShell"]),
    ("application/json", b'{model:tiny}', ["line 1, column 2", "double quotes"]),
    ("application/x-www-form-urlencoded", b"{model:tiny}", ["line 1, column 2", "double quotes"]),
    ("application/json", b'{"model":"tiny"', ["line 1, column 16", "a comma or }"]),
    ("application/json", b'["tiny"]', ["JSON object"]),
    ("application/json", b'{"model":7}', ['"model" must be a string']),
    ("application/json", b"\xff\xfe{\0}", ["UTF-16", "send it in UTF-8"]),
    ("multipart/form-data", b"--b--", ["no boundary", "library"]),
    ("multipart/form-data; boundary=c", b"--b--", ["does not begin a line"]),
    ("multipart/form-data; boundary=b", b"--b\r\n\r\nx", ["its end is missing"]),
    ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\ncaf\xe9\r\n--b--', ["UTF-8"]),
    ("application/x-www-form-urlencoded", b"model=caf%E9", ["UTF-8"]),
])
def test_what_is_wrong_is_said_by_name(router, kind, body, words):
    status, _, answer = router.post(body, kind)
    error = json.loads(answer)["error"]
    assert status == 400 and all(word in error["message"] for word in words), error


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "br", "deflate", "GZIP", "identity, gzip", "snappy"])
def test_a_compressed_body_is_refused_by_name(router, encoding):
    status, _, answer = router.post(gzip.compress(b'{"model":"tiny"}'), HTTP_CONTENT_ENCODING=encoding)
    error = json.loads(answer)["error"]
    assert (status, error["code"]) == (415, "unsupported_content_encoding")
    assert encoding in error["message"] and "uncompressed" in error["message"]


@pytest.mark.parametrize("encoding", ["identity", "", "utf-8", "UTF-8"])
def test_what_people_write_for_no_encoding_is_none(router, encoding):
    assert router.post(b'{"model":"tiny"}', HTTP_CONTENT_ENCODING=encoding)[1] == goes("model", "tiny")


# ---- sizes ----

LARGE = 100 * 1024 * 1024


@pytest.mark.parametrize("kind, head, tail", [
    ("application/json", b'{"image":"', b'","model":"tiny"}'),
    ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n',
     b'\r\n--b\r\nContent-Disposition: form-data; name="model"\r\n\r\ntiny\r\n--b--\r\n'),
    ("application/x-www-form-urlencoded", b"file=", b"&model=tiny"),
], ids=["json", "multipart", "urlencoded"])
def test_a_body_may_be_of_any_size_and_is_held_once(router, kind, head, tail):
    """The limit is NGINX's, client_max_body_size."""
    before = peak_of(router.process.pid)
    assert routed(router, head + b"A" * LARGE + tail, kind) == "tiny"
    assert peak_of(router.process.pid) < max(before, 1.1 * LARGE)
    assert peak_of(router.process.pid, "VmRSS") < 0.2 * LARGE  # and let go of


def peak_of(pid, which="VmHWM"):
    return int(re.search(rf"{which}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1]) * 1024


@pytest.mark.parametrize("length, expected", [
    ("-1", (400, "bad_request")), ("+5", (400, "bad_request")), ("5x", (400, "bad_request")), (" 5", (400, "bad_request")),
    ("0x5", (400, "bad_request")), ("99", (400, "incomplete_request")), ("67108865", (400, "incomplete_request")),
    ("9000000000000000000", (413, "body_too_large")), ("99999999999999999999", (413, "body_too_large")),
])
def test_lengths_are_read_strictly(router, length, expected):
    assert router.refusal(b'{"model":"tiny"}', CONTENT_LENGTH=length) == expected
    assert routed(router, b'{"model":"tiny"}', "application/json") == "tiny"


def test_only_as_much_is_read_as_the_length_says(router):
    assert router.post(b'{"model":"tiny"}junk', CONTENT_LENGTH="16")[1] == goes("model", "tiny")

# SPDX-License-Identifier: MIT
"""Bodies of requests, made by chance from a seed: as clients make them, as nobody does, and broken."""
import json

NAMES = {"tiny": "tiny", "Mixed_Case": "Mixed_Case", "qwen2.5:0.5b": "qwen2.5:0.5b", "modèle": "qwen2.5:0.5b", "模型": "qwen2.5:0.5b",
         "😀": "qwen2.5:0.5b", "Qwen/Qwen3-8B": "strict", "gpt-4": "strict"}  # and the models that go by them
OTHERS = ["", "tin", "tiny ", "TINY", "gpt-4o", "modele", 'a"b\\c', "a\nb", "x" * 300]


def name(chance):
    return chance.choice(list(NAMES) if chance.random() < 0.7 else OTHERS)


def mutated(chance, body):
    """The body with a few bytes lost, changed, doubled or added."""
    body = bytearray(body)
    for _ in range(chance.choice([1, 1, 1, 2, 5])):
        at = chance.randrange(len(body) + 1)
        kind = chance.randrange(6)
        if kind == 0:
            del body[at:]
        elif kind == 1:
            del body[at:at + chance.randint(1, 4)]
        elif kind == 2 and at < len(body):
            body[at] = chance.randrange(256)
        elif kind == 3:
            body[at:at] = chance.choice([b'"', b"\\", b",", b"}", b"]", b"{", b":", b"\0", b"\n", b"\r", b"\xff", b"\xed\xa0\x80",
                                         b"--b", b"\r\n", b"\r\n--b\r\n", b";", b"=", b"&", b"%", b" ", b"\xc3", b"0", b"e", b"-"])
        elif kind == 4:
            body[at:at] = body[at:at + chance.randint(1, 20)]
        else:
            body += chance.choice([b"x", b" ", b"\n", b"{}", b"\0", b",", b"]"])
    return bytes(body)


# ---- JSON ----

def json_string(chance, text):
    """One of the ways to write a string."""
    style = chance.randrange(4)
    if style == 0:
        return json.dumps(text)
    if style == 1:
        return json.dumps(text, ensure_ascii=False)
    units = text.encode("utf-16-be", "surrogatepass")
    escaped = "".join(chance.choice(["\\u%04x", "\\u%04X"]) % int.from_bytes(units[i:i + 2], "big")
                      for i in range(0, len(units), 2))
    if style == 2:
        return f'"{escaped}"'
    return '"' + "".join(json.dumps(c)[1:-1] if chance.random() < 0.8 or c > "~" else f"\\u{ord(c):04x}" for c in text) + '"'


def json_number(chance):
    return chance.choice(["0", "-0", "1", "-1.5", "1e5", "1E-5", "0.1e+3", "NaN", "Infinity", "-Infinity", "1" * 400,
                          "-1e999", "0.0000001", "12345678901234567890",
                          *(["01", "1.", ".5", "-", "+1", "1e", "0x1", "nan", "-NaN", "1.e1", "Infinit", "--1"]
                            if chance.random() < 0.05 else [])])


def json_value(chance, depth=0):
    kind = chance.randrange(8 if depth < 4 else 5)
    if kind <= 1:
        text = chance.choice(["", "hello", "model", '"model": "x"', "é", "\u2028", "😀", "\x7f", "a\tb", "/", "\ud83d", "x" * 100])
        return json_string(chance, text)
    if kind == 2:
        return json_number(chance)
    if kind == 3:
        return chance.choice(["true", "false", "null"])
    if kind == 4:
        deep = chance.choice([0, 1, 5, 40, 600]) if chance.random() < 0.1 else 1
        return "[" * deep + "]" * deep
    if kind == 5:
        return "[" + ",".join(json_value(chance, depth + 1) for _ in range(chance.randrange(4))) + "]"
    return json_object(chance, depth + 1)


def json_object(chance, depth=0):
    space = (lambda: chance.choice(["", "", " ", "\n", "\t", "\r\n  "])) if chance.random() < 0.5 else lambda: ""
    keys = [chance.choice(["messages", "stream", "mode", "models", "", "Model", "temperature", "modèl", "model\0"])
            for _ in range(chance.randrange(5))]
    if depth == 0 or chance.random() < 0.2:
        keys += ["model"] * chance.choice([1, 1, 1, 1, 1, 1, 2, 3, 0])
    chance.shuffle(keys)
    members = []
    for key in keys:
        value = json_string(chance, name(chance)) if key == "model" and chance.random() < 0.9 else json_value(chance, depth)
        members.append(f"{space()}{json_string(chance, key)}{space()}:{space()}{value}{space()}")
    return "{" + (",".join(members) or space()) + "}"


def json_body(chance):
    text = json_object(chance) if chance.random() < 0.97 else json_value(chance)
    text = chance.choice(["", "", "", " ", "\n"]) + text + chance.choice(["", "", "", "\n", " \t"])
    encoding = chance.choice(["utf-8"] * 12 + ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
    body = text.encode(encoding, "surrogatepass")
    if chance.random() < 0.03:
        body = text.encode("latin-1", "replace")
    return mutated(chance, body) if chance.random() < 0.4 else body


# ---- forms with files ----

def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def parameter(chance, key, value):
    key = chance.choice([key, key, key, key.upper(), key.title()])
    forms = [f"{key}={quoted(value)}"] * 6
    if value and all(c.isalnum() or c in "-_." for c in value):
        forms += [f"{key}={value}", f"{key} = {value} ", f"{key}*=utf-8''{value}", f"{key}*0={value[:2]}; {key}*1={quoted(value[2:])}"]
    return chance.choice(forms)


def part_headers(chance, field, file):
    parameters = [parameter(chance, "name", field)]
    if file:
        parameters.append(chance.choice(['filename="a.wav"', "filename=a.wav; filename*=utf-8''a.wav", 'filename="; name=model; \\""',
                                         'filename="C:\\model.wav"', 'filename=""', 'filename="model"']))
    if chance.random() < 0.15:
        parameters.append(chance.choice(['x="; name=other"', "size=5", 'a="b\\"c"', "filename2=x"]))
    chance.shuffle(parameters)
    separator = chance.choice(["; ", ";", " ; ", ";\t"])
    label = chance.choice(["Content-Disposition"] * 4 + ["content-disposition", "CONTENT-DISPOSITION"])
    headers = [f"{label}:{chance.choice([' ', '', '  '])}" + separator.join(["form-data", *parameters])]
    for _ in range(chance.choice([0, 0, 1, 2])):
        headers.append(chance.choice(["Content-Type: text/plain; charset=utf-8", "Content-Type: text/plain", "Content-Length: 4",
                                      "Content-Type: application/octet-stream", "X-Name: a; name=model", "X: y:z", "X-Empty:",
                                      "Content-Transfer-Encoding: 8bit", "content-transfer-encoding: BINARY"]))
    chance.shuffle(headers)
    return headers


def part_content(chance, field, file, boundary):
    if field == "model" and not file:
        return name(chance).encode()
    return chance.choice([b"", b"x", b"RIFF\0\r\n\xff", b"--" + boundary[:-1] + b"\r\n", b"\r\n--" + boundary + b"x\r\n", b"\r\n\r\n",
                          b"two\r\nlines\r\n", b"--", b"\r\n--", b" --" + boundary + b"\r\n", b"a" * 3000,
                          b"--inner\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nx\r\n--inner--\r\n",
                          b"Content-Disposition: form-data; name=\"model\"\r\n\r\nx\r\n"])


def form_body(chance):
    """(content type, body)"""
    boundary = chance.choice(["b", "----WebKitFormBoundary7MA4YWxkTrZu0gW", "----formdata-undici-019283746574", "=_x?1", "'()+_,-./:=?",
                              "two words", "-----------------------------974767299852498929531610575", "0" * 70, "a" * 90])
    line = chance.choice(["\r\n"] * 8 + ["\n"])
    padding = chance.choice([""] * 8 + [" ", "\t "])
    fields = [chance.choice(["file", "language", "models", "Model", "", "prompt", "mod\u00e9l"]) for _ in range(chance.randrange(4))]
    fields += ["model"] * chance.choice([1, 1, 1, 1, 1, 2, 0])
    chance.shuffle(fields)
    body = chance.choice([""] * 8 + ["a preamble" + line, line]).encode()
    for field in fields:
        file = chance.random() < (0.05 if field == "model" else 0.4)
        headers = part_headers(chance, field, file)
        if chance.random() < 0.05:
            headers = [header.replace(";", ";" + line + " ", 1) for header in headers]
        body += f"--{boundary}{padding}{line}{line.join(headers)}{line}{line}".encode()
        body += part_content(chance, field, file, boundary.encode()) + line.encode()
    body += f"--{boundary}--{padding}{chance.choice([line, line, '', line + 'an epilogue'])}".encode()
    plain = all(c.isalnum() or c in "-_." for c in boundary)
    shown = boundary if plain and chance.random() < 0.6 else quoted(boundary)
    kind = chance.choice(["multipart/form-data; boundary=%s", "multipart/form-data;boundary=%s", "Multipart/Form-Data; Boundary=%s",
                          "multipart/form-data; charset=utf-8; boundary=%s", "multipart/form-data; boundary=%s; charset=utf-8",
                          'multipart/form-data; x="; boundary=c"; boundary=%s ']) % shown
    return kind, mutated(chance, body) if chance.random() < 0.3 else body


# ---- urlencoded forms ----

def urlencoded_body(chance):
    def written(text):
        return "".join(c if c.isalnum() and c.isascii() and chance.random() < 0.8 else "+" if c == " " and chance.random() < 0.5
                       else "".join(chance.choice(["%%%02x", "%%%02X"]) % b for b in c.encode()) for c in text)
    pairs = []
    for _ in range(chance.randrange(6)):
        key = chance.choice(["model", "model", "prompt", "models", "model[]", "", "Model", " model"])
        value = name(chance) if key == "model" else chance.choice(["", "x", "a=b", "a&b", "model=tiny", "é", "%zz"])
        pairs.append(written(key) + chance.choice(["=", "=", "=", "=", ""]) + written(value))
    body = chance.choice(["&", "&", "&", "&&"]).join(pairs).encode()
    return mutated(chance, body) if body and chance.random() < 0.3 else body

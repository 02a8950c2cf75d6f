# SPDX-License-Identifier: MIT
"""tiny_model.py - writes a llama model of half a megabyte in the GGUF format, with random weights: enough for a real
llama-server to load in no time, and to say printable characters, one a token, as many as it is asked for.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""
import random
import struct

EMBEDDING = 64  # how long an embedding is
CONTEXT = 4096
LAYERS, HEADS, FEED_FORWARD = 2, 4, 128
ALIGNMENT = 32
VERSION = 3
UINT32, INT32, FLOAT32, STRING, ARRAY = 4, 5, 6, 8, 9  # types of metadata
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6            # types of tokens
F32 = 0                                                # a type of tensors

PRINTABLE = [chr(code) for code in range(33, 127)]
# Text is taken apart to bytes, with "▁" for a space.
TOKENS = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *PRINTABLE]
TOKEN_TYPES = [UNKNOWN, CONTROL, CONTROL] + [BYTE] * 256 + [NORMAL] * (1 + len(PRINTABLE))


def string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


PACK = {UINT32: lambda it: struct.pack("<I", it), INT32: lambda it: struct.pack("<i", it),
        FLOAT32: lambda it: struct.pack("<f", it), STRING: string}


def one(kind, value):
    return struct.pack("<I", kind) + PACK[kind](value)


def many(kind, values):
    return struct.pack("<IIQ", ARRAY, kind, len(values)) + b"".join(map(PACK[kind], values))


def metadata(name):
    return {
        "general.architecture": one(STRING, "llama"),
        "general.name": one(STRING, name),
        "general.file_type": one(UINT32, F32),
        "llama.context_length": one(UINT32, CONTEXT),
        "llama.embedding_length": one(UINT32, EMBEDDING),
        "llama.block_count": one(UINT32, LAYERS),
        "llama.feed_forward_length": one(UINT32, FEED_FORWARD),
        "llama.attention.head_count": one(UINT32, HEADS),
        "llama.attention.head_count_kv": one(UINT32, HEADS),
        "llama.attention.layer_norm_rms_epsilon": one(FLOAT32, 1e-5),
        "llama.rope.dimension_count": one(UINT32, EMBEDDING // HEADS),
        "llama.vocab_size": one(UINT32, len(TOKENS)),
        "tokenizer.ggml.model": one(STRING, "llama"),
        "tokenizer.ggml.tokens": many(STRING, TOKENS),
        "tokenizer.ggml.scores": many(FLOAT32, [-float(number) for number in range(len(TOKENS))]),
        "tokenizer.ggml.token_type": many(INT32, TOKEN_TYPES),
        "tokenizer.ggml.bos_token_id": one(UINT32, 1),
        "tokenizer.ggml.eos_token_id": one(UINT32, 2),
        "tokenizer.ggml.unknown_token_id": one(UINT32, 0),
    }


def shapes():
    yield "token_embd.weight", (EMBEDDING, len(TOKENS))
    for layer in range(LAYERS):
        yield f"blk.{layer}.attn_norm.weight", (EMBEDDING,)
        for part in "q", "k", "v", "output":
            yield f"blk.{layer}.attn_{part}.weight", (EMBEDDING, EMBEDDING)
        yield f"blk.{layer}.ffn_norm.weight", (EMBEDDING,)
        yield f"blk.{layer}.ffn_gate.weight", (EMBEDDING, FEED_FORWARD)
        yield f"blk.{layer}.ffn_up.weight", (EMBEDDING, FEED_FORWARD)
        yield f"blk.{layer}.ffn_down.weight", (FEED_FORWARD, EMBEDDING)
    yield "output_norm.weight", (EMBEDDING,)
    yield "output.weight", (EMBEDDING, len(TOKENS))


def weights(name, shape, rng):
    count = shape[0] * (shape[1] if len(shape) > 1 else 1)
    if len(shape) == 1:  # norms
        return [1.0] * count
    values = [rng.gauss(0, 0.05) for _ in range(count)]
    if name == "output.weight":  # of zeros a token gets 0, and some printable one always gets more
        mute = (len(TOKENS) - len(PRINTABLE)) * EMBEDDING
        values[:mute] = [0.0] * mute
    return values


def padding(size):
    return bytes(-size % ALIGNMENT)


def tiny_model(name="tiny", seed=1):
    """The bytes of the file."""
    rng, tensors, data = random.Random(seed), b"", bytearray()
    for tensor, shape in shapes():
        data += padding(len(data))
        tensors += string(tensor) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, F32, len(data))
        values = weights(tensor, shape, rng)
        data += struct.pack(f"<{len(values)}f", *values)
    pairs = metadata(name)
    head = b"GGUF" + struct.pack("<IQQ", VERSION, len(list(shapes())), len(pairs))
    head += b"".join(string(key) + value for key, value in pairs.items()) + tensors
    return head + padding(len(head)) + bytes(data)

# SPDX-License-Identifier: MIT
"""pypi.py CLIENT - one of PyPI's clients, as its users call it. Speaks on stdin and stdout as npm.mjs does."""
import asyncio
import io
import json
import sys

QUESTION, MORE = "Say a few words.", "And more."
MESSAGES = [{"role": "user", "content": QUESTION}]
LIMIT = 16  # tokens
SOUND = bytes(3_000_000)  # more than NGINX keeps in memory


class Refused(Exception):
    def __init__(self, status, message):
        super().__init__(message)
        self.status_code = status


def texts(pieces):
    return [each for each in pieces if each]


# ---- the SDKs ----

class OpenAI:
    def __init__(self):
        import openai
        self.to = lambda base, key: openai.OpenAI(base_url=base, api_key=key, max_retries=0)

    def models(self, base, model, key):
        return [each.id for each in self.to(base, key).models.list()]

    def retrieve(self, base, model, key):
        return self.to(base, key).models.retrieve(model).id

    def chat(self, base, model, key):
        answer = self.to(base, key).chat.completions.create(model=model, messages=MESSAGES, max_tokens=LIMIT)
        return answer.choices[0].message.content

    def stream(self, base, model, key):
        stream = self.to(base, key).chat.completions.create(model=model, messages=MESSAGES, max_tokens=LIMIT, stream=True)
        return texts(each.choices[0].delta.content for each in stream if each.choices)

    def completion(self, base, model, key):
        return self.to(base, key).completions.create(model=model, prompt=QUESTION, max_tokens=LIMIT).choices[0].text

    def response(self, base, model, key):
        return self.to(base, key).responses.create(model=model, input=QUESTION, max_output_tokens=LIMIT).output_text

    def embed(self, base, model, key):
        return [len(each.embedding) for each in self.to(base, key).embeddings.create(model=model, input=[QUESTION, MORE]).data]

    def upload(self, base, model, key):
        return self.to(base, key).audio.transcriptions.create(model=model, file=("speech.wav", io.BytesIO(SOUND))).to_dict()


class Anthropic:
    def __init__(self):
        import anthropic
        self.to = lambda base, key: anthropic.Anthropic(base_url=base.removesuffix("/v1"), api_key=key, max_retries=0)

    def models(self, base, model, key):
        return [each.id for each in self.to(base, key).models.list(limit=20)]

    def retrieve(self, base, model, key):
        return self.to(base, key).models.retrieve(model).id

    def chat(self, base, model, key):
        return self.to(base, key).messages.create(model=model, messages=MESSAGES, max_tokens=LIMIT).content[0].text

    def stream(self, base, model, key):
        with self.to(base, key).messages.stream(model=model, messages=MESSAGES, max_tokens=LIMIT) as stream:
            return texts(stream.text_stream)

    def count(self, base, model, key):
        return self.to(base, key).messages.count_tokens(model=model, messages=MESSAGES).input_tokens


class LangChain:
    def __init__(self):
        from langchain_openai import ChatOpenAI, OpenAIEmbeddings
        self.to = lambda base, model, key: ChatOpenAI(base_url=base, model=model, api_key=key, max_tokens=LIMIT, max_retries=0)
        self.embeddings = OpenAIEmbeddings

    def chat(self, base, model, key):
        return self.to(base, model, key).invoke(QUESTION).content

    def stream(self, base, model, key):
        return texts(each.content for each in self.to(base, model, key).stream(QUESTION))

    def embed(self, base, model, key):
        # Without this it sends tokens of OpenAI's own, whose table it would download.
        to = self.embeddings(base_url=base, model=model, api_key=key, max_retries=0, check_embedding_ctx_length=False)
        return [len(each) for each in to.embed_documents([QUESTION, MORE])]


class Ollama:
    def __init__(self):
        import ollama
        self.to = lambda base, key: ollama.Client(host=base.removesuffix("/v1"), headers={"Authorization": f"Bearer {key}"})

    def models(self, base, model, key):
        return [each.model for each in self.to(base, key).list().models]


# ---- the HTTP clients ----

class Http:
    """Over request(method, url, headers, json or None, form or None), which returns the text of a 200."""

    def models(self, base, model, key):
        return [each["id"] for each in self.object("GET", f"{base}/models", key)["data"]]

    def retrieve(self, base, model, key):
        return self.object("GET", f"{base}/models/{model}", key)["id"]

    def chat(self, base, model, key):
        body = {"model": model, "messages": MESSAGES, "max_tokens": LIMIT}
        return self.object("POST", f"{base}/chat/completions", key, body)["choices"][0]["message"]["content"]

    def stream(self, base, model, key):
        body = {"model": model, "messages": MESSAGES, "max_tokens": LIMIT, "stream": True}
        lines = self.text("POST", f"{base}/chat/completions", key, body).splitlines()
        events = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
        return texts(each["choices"][0]["delta"].get("content") for each in events if each["choices"])

    def embed(self, base, model, key):
        body = {"model": model, "input": [QUESTION, MORE]}
        return [len(each["embedding"]) for each in self.object("POST", f"{base}/embeddings", key, body)["data"]]

    def upload(self, base, model, key):
        return self.object("POST", f"{base}/audio/transcriptions", key, None, model)

    def object(self, *asked):
        return json.loads(self.text(*asked))

    def text(self, method, url, key, body=None, form=None):
        status, text = self.request(method, url, {"Authorization": f"Bearer {key}"}, body, form)
        if status != 200:
            raise Refused(status, text)
        return text


class Httpx(Http):
    def __init__(self):
        import httpx
        self.client = httpx.Client(timeout=50)

    def request(self, method, url, headers, body, form):
        more = {"data": {"model": form}, "files": {"file": ("speech.wav", SOUND)}} if form else {"json": body} if body else {}
        answer = self.client.request(method, url, headers=headers, **more)
        return answer.status_code, answer.text


class Requests(Http):
    def __init__(self):
        import requests
        self.session = requests.Session()

    def request(self, method, url, headers, body, form):
        more = {"data": {"model": form}, "files": {"file": ("speech.wav", SOUND)}} if form else {"json": body} if body else {}
        answer = self.session.request(method, url, headers=headers, timeout=50, **more)
        return answer.status_code, answer.text


class Aiohttp(Http):
    def __init__(self):
        import aiohttp
        self.aiohttp = aiohttp
        self.loop = asyncio.new_event_loop()

    def request(self, method, url, headers, body, form):
        return self.loop.run_until_complete(self.send(method, url, headers, body, form))

    async def send(self, method, url, headers, body, form):
        more = {"json": body} if body else {}
        if form:
            more["data"] = self.aiohttp.FormData()
            more["data"].add_field("file", SOUND, filename="speech.wav")
            more["data"].add_field("model", form)
        async with self.aiohttp.ClientSession() as session, session.request(method, url, headers=headers, **more) as answer:
            return answer.status, await answer.text()


CLIENTS = {"openai": OpenAI, "anthropic": Anthropic, "langchain-openai": LangChain, "ollama": Ollama, "httpx": Httpx,
           "requests": Requests, "aiohttp": Aiohttp}
VERBS = ("models", "retrieve", "chat", "stream", "completion", "response", "count", "embed", "upload")


def main():
    client = CLIENTS[sys.argv[1]]()
    print(json.dumps({"got": [verb for verb in VERBS if hasattr(client, verb)]}), flush=True)
    for line in sys.stdin:
        what, base, model, key = line.rstrip("\n").split("\t")
        try:
            answer = {"got": getattr(client, what)(base, model, key)}
        except Exception as error:  # whatever its user would see
            answer = {"error": {"status": getattr(error, "status_code", None), "message": str(error)}}
        print(json.dumps(answer), flush=True)


main()

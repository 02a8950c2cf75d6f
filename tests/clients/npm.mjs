// SPDX-License-Identifier: MIT
// npm.mjs CLIENT - one of npm's clients, as its users call it. A line on stdin asks: what, base URL, model, key, with tabs
// between; the answer is a line of JSON: {"got": …}, or {"error": {"status", "message"}} as the client's user sees it.
import { createInterface } from "node:readline";

const question = "Say a few words.";
const messages = [{ role: "user", content: question }];
const limit = 16; // tokens
const sound = new Uint8Array(3_000_000); // more than NGINX keeps in memory

async function pieces(stream, textOf) {
  const got = [];
  for await (const each of stream) {
    const text = textOf(each);
    if (text) got.push(text);
  }
  return got;
}

// ---- the SDKs ----

const sdks = {
  async openai() {
    const { default: OpenAI } = await import("openai");
    const to = (baseURL, apiKey) => new OpenAI({ baseURL, apiKey, maxRetries: 0 });
    return {
      models: async (base, model, key) => pieces(await to(base, key).models.list(), (each) => each.id),
      retrieve: async (base, model, key) => (await to(base, key).models.retrieve(model)).id,
      chat: async (base, model, key) =>
        (await to(base, key).chat.completions.create({ model, messages, max_tokens: limit })).choices[0].message.content,
      stream: async (base, model, key) =>
        pieces(await to(base, key).chat.completions.create({ model, messages, max_tokens: limit, stream: true }),
          (each) => each.choices[0]?.delta.content),
      completion: async (base, model, key) =>
        (await to(base, key).completions.create({ model, prompt: question, max_tokens: limit })).choices[0].text,
      response: async (base, model, key) =>
        (await to(base, key).responses.create({ model, input: question, max_output_tokens: limit })).output_text,
      embed: async (base, model, key) =>
        (await to(base, key).embeddings.create({ model, input: [question, "And more."] })).data.map((each) => each.embedding.length),
      upload: async (base, model, key) =>
        to(base, key).audio.transcriptions.create({ model, file: new File([sound], "speech.wav") }),
    };
  },

  async "@anthropic-ai/sdk"() {
    const { default: Anthropic } = await import("@anthropic-ai/sdk");
    const to = (base, apiKey) => new Anthropic({ baseURL: base.replace(/\/v1$/, ""), apiKey, maxRetries: 0 });
    return {
      models: async (base, model, key) => pieces(await to(base, key).models.list({ limit: 20 }), (each) => each.id),
      retrieve: async (base, model, key) => (await to(base, key).models.retrieve(model)).id,
      chat: async (base, model, key) =>
        (await to(base, key).messages.create({ model, messages, max_tokens: limit })).content[0].text,
      stream: async (base, model, key) =>
        pieces(to(base, key).messages.stream({ model, messages, max_tokens: limit }), (each) => each.delta?.text),
      count: async (base, model, key) => (await to(base, key).messages.countTokens({ model, messages })).input_tokens,
    };
  },

  async "ai + @ai-sdk/openai-compatible"() {
    const { embedMany, generateText, streamText } = await import("ai");
    const { createOpenAICompatible } = await import("@ai-sdk/openai-compatible");
    const to = (baseURL, apiKey) => createOpenAICompatible({ name: "home", baseURL, apiKey });
    const asked = { prompt: question, maxOutputTokens: limit, maxRetries: 0 };
    return {
      chat: async (base, model, key) => (await generateText({ model: to(base, key)(model), ...asked })).text,
      stream: async (base, model, key) => {
        let failed;
        const onError = ({ error }) => { failed = error; };
        const got = await pieces(streamText({ model: to(base, key)(model), ...asked, onError }).textStream, (each) => each);
        if (failed) throw failed;
        return got;
      },
      embed: async (base, model, key) =>
        (await embedMany({ model: to(base, key).embeddingModel(model), values: [question, "And more."], maxRetries: 0 }))
          .embeddings.map((each) => each.length),
    };
  },

  async "@langchain/openai"() {
    const { ChatOpenAI, OpenAIEmbeddings } = await import("@langchain/openai");
    const to = (baseURL, model, apiKey) =>
      new ChatOpenAI({ model, apiKey, maxTokens: limit, maxRetries: 0, configuration: { baseURL } });
    return {
      chat: async (base, model, key) => (await to(base, model, key).invoke(question)).content,
      stream: async (base, model, key) => pieces(await to(base, model, key).stream(question), (each) => each.content),
      embed: async (base, model, apiKey) =>
        (await new OpenAIEmbeddings({ model, apiKey, maxRetries: 0, configuration: { baseURL: base } })
          .embedDocuments([question, "And more."])).map((each) => each.length),
    };
  },

  async ollama() {
    const { Ollama } = await import("ollama");
    const to = (base, key) => new Ollama({ host: base.replace(/\/v1$/, ""), headers: { Authorization: `Bearer ${key}` } });
    return {
      models: async (base, model, key) => (await to(base, key).list()).models.map((each) => each.name),
    };
  },
};

// ---- the HTTP clients: each gives request(method, url, headers, body) -> {status, text(), and its body in pieces} ----

const https = {
  async axios() {
    const { default: axios } = await import("axios");
    return async (method, url, headers, body) => {
      const options = { method, url, headers, data: body, responseType: "stream", validateStatus: null };
      const { status, data } = await axios(options);
      return { status, body: data };
    };
  },

  async undici() {
    const { request, FormData } = await import("undici");
    return async (method, url, headers, body) => {
      if (body instanceof globalThis.FormData) {
        const form = new FormData();
        for (const [name, value] of body) form.append(name, value);
        body = form;
      }
      const { statusCode: status, body: answer } = await request(url, { method, headers, body });
      return { status, body: answer };
    };
  },

  async "node's fetch"() {
    return async (method, url, headers, body) => {
      const answer = await fetch(url, { method, headers, body });
      return { status: answer.status, body: answer.body };
    };
  },
};

function overHttp(request) {
  async function ask(method, url, key, body) {
    const headers = { Authorization: `Bearer ${key}` };
    const form = body instanceof FormData;
    if (body && !form) headers["Content-Type"] = "application/json";
    const answer = await request(method, url, headers, body && !form ? JSON.stringify(body) : body);
    if (answer.status === 200) return answer.body;
    throw { status: answer.status, message: await whole(answer.body) };
  }
  async function whole(body) {
    const decoder = new TextDecoder();
    let text = "";
    for await (const each of body) text += decoder.decode(each, { stream: true });
    return text;
  }
  const object = async (...asked) => JSON.parse(await whole(await ask(...asked)));
  return {
    models: async (base, model, key) => (await object("GET", `${base}/models`, key)).data.map((each) => each.id),
    retrieve: async (base, model, key) => (await object("GET", `${base}/models/${encodeURIComponent(model)}`, key)).id,
    chat: async (base, model, key) =>
      (await object("POST", `${base}/chat/completions`, key, { model, messages, max_tokens: limit })).choices[0].message.content,
    stream: async (base, model, key) => {
      const body = await ask("POST", `${base}/chat/completions`, key, { model, messages, max_tokens: limit, stream: true });
      const got = [];
      for (const line of (await whole(body)).split("\n")) {
        if (!line.startsWith("data: {")) continue;
        const text = JSON.parse(line.slice(6)).choices[0]?.delta.content;
        if (text) got.push(text);
      }
      return got;
    },
    embed: async (base, model, key) =>
      (await object("POST", `${base}/embeddings`, key, { model, input: [question, "And more."] })).data
        .map((each) => each.embedding.length),
    upload: async (base, model, key) => {
      const form = new FormData(); // the name after the file, as people write it
      form.append("file", new File([sound], "speech.wav"));
      form.append("model", model);
      return object("POST", `${base}/audio/transcriptions`, key, form);
    },
  };
}

// ---- what is asked ----

const name = process.argv[2];
const client = name in sdks ? await sdks[name]() : overHttp(await https[name]());
process.stdout.write(JSON.stringify({ got: Object.keys(client) }) + "\n");
for await (const line of createInterface({ input: process.stdin })) {
  const [what, base, model, key] = line.split("\t");
  let answer;
  try {
    answer = { got: await client[what](base, model, key) };
  } catch (error) {
    const status = error.status ?? error.statusCode ?? error.status_code ?? null;
    answer = { error: { status, message: String(error.message ?? error) } };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}

// The official OpenAI client, as its users call it, against the address that is its argument. Prints what it got as JSON.
import OpenAI from "openai";

const [baseURL, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "none", maxRetries: 0 });
const messages = [{ role: "user", content: "Say a few words." }];
const got = {};

got.models = [];
for await (const each of await client.models.list()) got.models.push(each.id);
got.retrieved = (await client.models.retrieve(model)).id;

const chat = await client.chat.completions.create({ model, messages, max_tokens: 5 });
got.chat = chat.choices[0].message.content;
got.usage = chat.usage.completion_tokens;

got.pieces = [];
const stream = await client.chat.completions.create({ model, messages, max_tokens: 5, stream: true });
for await (const event of stream) got.pieces.push(event.choices[0].delta.content ?? "");

try {
  await client.chat.completions.create({ model: "nobody", messages });
} catch (error) {
  got.error = { type: error.constructor.name, status: error.status, code: error.code, message: error.message };
}
console.log(JSON.stringify(got));

// What `expected` asks, with the openai SDK for JavaScript.
import OpenAI from "openai";
import { CITY, DOT, PERSON, QUESTION } from "./questions.mjs";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "any", maxRetries: 0, timeout: 30_000 });
const says = (content) => [{ role: "user", content }];
const create = (asked) => client.chat.completions.create(asked);
const message = async (asked) => (await create(asked)).choices[0].message;
const streamed = (asked) => client.chat.completions.stream(asked).finalMessage();
const callOf = ({ tool_calls: [call] }) => [call.function.name, JSON.parse(call.function.arguments)];

async function status(asked) {
  try {
    await create({ messages: says("plain"), ...asked });
  } catch (error) {
    return error.status;
  }
  return 200;
}

const tools = [
  { type: "function", function: { name: "get_weather", parameters: CITY, strict: true } },
];
const weather = { model: "auto", messages: says(QUESTION), tools };
const called = await message(weather);
const result = { role: "tool", tool_call_id: called.tool_calls[0].id, content: "sunny" };
const person = await client.chat.completions.parse({
  model: "auto",
  messages: says("Which person?"),
  response_format: { type: "json_schema", json_schema: { name: "person", strict: true, schema: PERSON } },
});
const image = [
  { type: "text", text: "What is in the image?" },
  { type: "image_url", image_url: { url: DOT } },
];
const endless = await create({ model: "auto", messages: says("endless"), stream: true });
for await (const _ of endless) break;

console.log(
  JSON.stringify({
    plain: [
      (await message({ model: "potluck", messages: says("plain") })).content,
      (await message({ model: "auto", messages: says("plain") })).content,
    ],
    streamed: [
      (await streamed({ model: "potluck", messages: says("streamed") })).content,
      (await streamed({ model: "auto", messages: says("streamed") })).content,
    ],
    called: [callOf(called), callOf(await streamed(weather))],
    told: (await message({ ...weather, messages: [...weather.messages, called, result] })).content,
    image: (await message({ model: "auto", messages: says(image) })).content,
    object: person.choices[0].message.parsed ?? JSON.parse(person.choices[0].message.content),
    unknown: await status({ model: "nobody/none" }),
    wrong: await status({ model: "auto", n: 2 }),
    spent: await status({ model: "mistral/mistral-small-latest" }),
    left: true,
  }),
);

// What `expected` asks, with the Vercel AI SDK over one of its two providers for OpenAI's API.
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, jsonSchema, Output, stepCountIs, streamText, tool } from "ai";
import { CITY, DOT, PERSON, QUESTION } from "./questions.mjs";

const [way, baseURL] = process.argv.slice(2);
const compatible = createOpenAICompatible({
  name: "potluck",
  baseURL,
  apiKey: "any",
  supportsStructuredOutputs: true,
});
const openai = createOpenAI({ baseURL, apiKey: "any" });
const ways = { compatible, chat: openai.chat, responses: openai.responses };
const ask = (name, more) => ({ model: ways[way](name), maxRetries: 0, ...more });

async function status(name, more) {
  try {
    await generateText(ask(name, { prompt: "plain", ...more }));
  } catch (error) {
    return error.statusCode;
  }
  return 200;
}

const tools = {
  get_weather: tool({ inputSchema: jsonSchema(CITY), execute: async () => "sunny" }),
};
const weather = () => ask("auto", { prompt: QUESTION, tools, stopWhen: stepCountIs(2) });
const callOf = ([step]) => [step.toolCalls[0].toolName, step.toolCalls[0].input];
const called = await generateText(weather());
const streamedCall = streamText(weather());
const person = await generateText(
  ask("auto", { prompt: "Which person?", output: Output.object({ schema: jsonSchema(PERSON) }) }),
);
const image = [
  { type: "text", text: "What is in the image?" },
  { type: "file", mediaType: "image/png", data: DOT },
];
const leaving = new AbortController();
const endless = streamText(ask("auto", { prompt: "endless", abortSignal: leaving.signal }));
for await (const _ of endless.textStream) break;
leaving.abort();

console.log(
  JSON.stringify({
    plain: [
      (await generateText(ask("potluck", { prompt: "plain" }))).text,
      (await generateText(ask("auto", { prompt: "plain" }))).text,
    ],
    streamed: [
      await streamText(ask("potluck", { prompt: "streamed" })).text,
      await streamText(ask("auto", { prompt: "streamed" })).text,
    ],
    called: [callOf(called.steps), callOf(await streamedCall.steps)],
    told: called.text,
    image: (await generateText(ask("auto", { messages: [{ role: "user", content: image }] }))).text,
    object: person.output,
    unknown: await status("nobody/none"),
    wrong: await status("auto", { temperature: 3 }),
    spent: await status("mistral/mistral-small-latest"),
    left: true,
  }),
);

"""Ask Potluck with OpenAI's own client: once whole, once streamed."""

import os

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("POTLUCK_URL", "http://127.0.0.1:8123") + "/v1", api_key="potluck"
)

answer = client.chat.completions.create(
    model="potluck",
    messages=[{"role": "user", "content": "What is 17*23 + sqrt(2)?"}],
)
print(answer.choices[0].message.content)

with client.chat.completions.create(
    model="potluck",
    messages=[{"role": "user", "content": "What day is it in Tokyo?"}],
    stream=True,
) as stream:
    for chunk in stream:
        if chunk.choices:
            print(chunk.choices[0].delta.content or "", end="", flush=True)
print()

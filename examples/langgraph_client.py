"""Run the agent on a thread over the LangGraph API, and watch what it does."""

import asyncio
import os

from langgraph_sdk import get_client


async def main() -> None:
    """Stream one run, then read the thread's history."""
    client = get_client(url=os.environ.get("POTLUCK_URL", "http://127.0.0.1:8123"))
    thread = await client.threads.create()
    question = "Write hello.txt with the text hi, then read it back"
    async for part in client.runs.stream(
        thread["thread_id"],
        "agent",
        input={"messages": [{"role": "user", "content": question}]},
        stream_mode=["custom", "updates"],
    ):
        if part.event == "custom":
            print(part.data)
    state = await client.threads.get_state(thread["thread_id"])
    print(state["values"]["messages"][-1]["content"])
    history = await client.threads.get_history(thread["thread_id"])
    print(f"{len(history)} checkpoints to travel back to")


asyncio.run(main())

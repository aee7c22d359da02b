"""Use the agent as a LangChain Runnable over REST."""

import os

from langserve import RemoteRunnable

agent = RemoteRunnable(os.environ.get("POTLUCK_URL", "http://127.0.0.1:8123") + "/agent")

print(agent.invoke("What is 17*23 + sqrt(2)?"))
for piece in agent.stream({"messages": [{"role": "user", "content": "What day is it in Tokyo?"}]}):
    print(piece)

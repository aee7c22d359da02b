"""`langgraph-openai-serve` with a graph of one model, in the environment of its own."""

import argparse
from typing import Any

import uvicorn
from fastapi import FastAPI
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph_openai_serve import GraphConfig, GraphRegistry, LanggraphOpenaiServe


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    model = ChatOpenAI(model="box", base_url=f"{given.upstream}/box/v1", api_key="none")

    async def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")
    graph.add_edge("answer", END)
    registry = GraphRegistry(
        graphs={given.name: GraphConfig(graph=graph.compile(), description="One model.")}
    )
    app = FastAPI()
    LanggraphOpenaiServe(registry=registry, app=app).bind_openai_api("/v1")
    uvicorn.run(app, host="127.0.0.1", port=given.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()

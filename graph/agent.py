"""The agent: triage, planner, executor with model, batch and tools, reflector."""

from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from graph.routes import after_executor, after_model, after_reflector, after_triage
from graph.state import Context, Input, State
from nodes.answer_events import answering
from nodes.batch import batch
from nodes.clock import timed
from nodes.executor import executor
from nodes.model import model
from nodes.planner import planner
from nodes.reflector import reflector
from nodes.spans import traced
from nodes.tools import tools
from nodes.triage import triage


def build() -> CompiledStateGraph[State, Context, Input, State]:
    """Wire the nodes; the server adds its own checkpointer and store."""
    builder = StateGraph(State, context_schema=Context, input_schema=Input)
    builder.add_node("triage", traced(timed(answering(triage), begins=True)))
    builder.add_node("planner", traced(timed(planner)))
    builder.add_node("executor", traced(timed(executor)))
    builder.add_node("model", traced(timed(answering(model))))
    builder.add_node("batch", traced(timed(batch)))
    builder.add_node("tools", traced(timed(tools)))
    builder.add_node("reflector", traced(timed(answering(reflector))))
    builder.add_edge(START, "triage")
    builder.add_conditional_edges("triage", after_triage, ["planner", "tools", "__end__"])
    builder.add_edge("planner", "executor")
    builder.add_conditional_edges(
        "executor", after_executor, ["model", "batch", "tools", "reflector"]
    )
    builder.add_conditional_edges("model", after_model, ["tools", "executor", "__end__"])
    builder.add_edge("batch", "executor")
    builder.add_edge("tools", "executor")
    builder.add_conditional_edges("reflector", after_reflector, ["executor", "planner", "__end__"])
    return builder.compile(name="agent")


graph = build()

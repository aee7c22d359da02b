"""The Responses API: `/v1/responses`, on the same answers as chat completions."""

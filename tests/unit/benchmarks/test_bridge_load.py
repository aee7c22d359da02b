from benchmarks.bridge_load import Exchange, Load, Seen, _begins


def test_the_role_alone_is_no_first_word() -> None:
    assert not _begins(b'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}')
    assert not _begins(b'data: {"choices":[{"delta":{"reasoning_content":"hm"}}]}')
    assert _begins(b'data: {"choices":[{"delta":{"content":"Hi"}}]}')
    assert _begins(b'{"choices": [{"message": {"role": "assistant", "content": "Hi"}}]}')


def test_an_answer_is_put_together_from_any_pieces() -> None:
    whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    exchange = Exchange()
    for place in range(len(whole)):
        exchange.data_received(whole[place : place + 1])
    assert exchange.body == b"abcde"
    assert not exchange.closes


def test_loads_and_what_was_seen_travel_as_json() -> None:
    assert Load("http://h/v1", "m", 1, 2) == Load(url="http://h/v1", model="m", clients=1, count=2)
    assert set(Seen.__slots__) == {"took_ms", "first_ms", "pieces", "failures", "lasted_s"}

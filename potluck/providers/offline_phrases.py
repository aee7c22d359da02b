"""The phrases of the offline model, in English and Japanese."""
# ruff: noqa: RUF001 - Japanese is written with full-width signs

import re

ENGLISH = {
    "notice": "Offline answer: no LLM is connected{why}. For a free key, get GOOGLE_API_KEY from "
    "aistudio.google.com/apikey or GROQ_API_KEY from console.groq.com/keys, put it in .env and "
    "restart; `potluck check` shows what is on.",
    "hello": "Hello! Without an LLM I can still do basics with my tools: arithmetic, dates and "
    "times anywhere, list, read, write, edit and search the files of your workspace, and run code "
    "or commands that you give me. "
    'For example: "What is 15% of 80?", "What day is it in Tokyo?", '
    '"Write hello.txt with the text hi, then read it back".',
    "needs_llm": "This needs an LLM, so I cannot do it offline: {text}",
    "compose": "Composing a text needs an LLM: {text}. "
    "What you give me in quotes I can write as it is.",
    "no_text": 'What is {text} to hold? Say it like this: Write {text} with the text "...".',
    "no_name": 'Which file do you mean? Name it, such as notes.txt. You asked: "{text}"',
    "no_tool": "I have no tool for this: {text}",
    "too_many": "I do at most {text} things at a time; ask for the others again.",
    "too_long": "This is too long for me offline: more than {text} letters outside quotes.",
    "no_result": "I left this out, as what it builds on gave no result: {text}",
    "not_bound": "I would need a tool that is not at hand now, for this: {text}",
    "no_model": "No model could answer, and without one I change nothing. Not done: {text}",
    "failed": "I could not {verb}: {text}",
    "now": "It is {text}.",
    "then": "That is {text}.",
    "list": "Files in the workspace:\n{text}",
    "read": "{path}:\n\n{text}",
    "search": "Found:\n{text}",
    "notes": "I have noted:\n{text}",
    "no_notes": 'I have noted nothing. Say "Remember that ..." and I keep it.',
}
JAPANESE = {
    "notice": "オフライン回答：LLM に接続されていません（no LLM is connected{why}）。"
    "無料のキーは GOOGLE_API_KEY (aistudio.google.com/apikey) または GROQ_API_KEY "
    "(console.groq.com/keys) で取得し、.env に書いて再起動してください。"
    "`potluck check` で状態を確認できます。",
    "hello": "こんにちは。LLM がなくても、計算、日付と時刻、"
    "ワークスペースのファイルの一覧・読み書き・検索、渡されたコードの実行はできます。例：「15×23は？」「東京は今何時？」「hello.txtに「hi」と書いて、それを読んで」",
    "needs_llm": "これには LLM が必要なため、オフラインではできません：{text}",
    "compose": "文章の作成には LLM が必要です：{text}。かぎ括弧で渡された文はそのまま書けます。",
    "no_text": "{text} に何を書きますか。例：{text}に「こんにちは」と書いて",
    "no_name": "どのファイルですか。notes.txt のように名前を教えてください：{text}",
    "no_tool": "これを行うツールはありません：{text}",
    "too_many": "一度にできるのは {text} 件までです。残りはもう一度頼んでください。",
    "too_long": "長すぎます：かぎ括弧の外は {text} 字までです。",
    "no_result": "前の結果がないため、行いませんでした：{text}",
    "not_bound": "必要なツールが今は使えません：{text}",
    "no_model": "どのモデルも回答できず、モデルなしでは何も変更しません。未実行：{text}",
    "failed": "できませんでした（{verb}）：{text}",
    "now": "現在は {text} です。",
    "then": "{text} です。",
    "list": "ワークスペースのファイル：\n{text}",
    "read": "{path}：\n\n{text}",
    "search": "見つかりました：\n{text}",
    "notes": "覚えていること：\n{text}",
    "no_notes": "まだ何も覚えていません。「…と覚えておいて」と言ってください。",
}
NOTICE = re.compile(
    r"\s*^(?:Offline answer: no LLM is connected|オフライン回答：LLM に接続されていません).*?"
    r"`potluck check` (?:shows what is on\.|で状態を確認できます。)",
    re.DOTALL | re.MULTILINE,
)
"""A notice, in any answer, in any language."""

"""Which kind of task a request is, told locally and without a call."""

import re

from graph.state import TaskType
from nodes.request_words import CHORE, EXCERPT_CHARS, STEPS, excerpt, is_small_talk

# ASCII: `SQLを` ends the word SQL.
# What is called a code, a function or a program without being one.
_NO_CODE = re.compile(
    r"\b(?:dress|country|area|zip|post(?:al)?|building|fire|morse|genetic|da vinci|qr|bar|moral"
    r"|penal"
    r"|civil|tax|discount|promo|coupon|voucher|access|door|pin|secret|colou?r|booking"
    r"|airport)[ -]codes?\b"
    r"|\bcodes? of (?:conduct|honou?r|ethics|practice|law|arms|silence)\b"
    r"|\b(?:tv|television|radio|exchange|loyalty|training|fitness|concert|degree"
    r"|space) program(?:me)?s?\b"
    r"|\bfunctions? of (?:the|a|an|our|your)\b(?! (?:code|module|class|script))"
    r"|(?:電源|延長|暗証|国|郵便|証券|QR|銀行|支店)コード|(?:研修|教育|番組|留学|音楽)プログラム|ドレスコード",
    re.IGNORECASE | re.ASCII,
)
_LANGUAGES = (
    r"python|pandas|numpy|matplotlib|javascript|typescript|node\.?js|react|vue|angular|kotlin"
    r"|golang"
    r"|c\+\+|c#|php|perl|haskell|scala|html|css|flexbox|sql|vba|bash|powershell|regexp?|json"
    r"|yaml|yml|dockerfile|docker(?:-compose)?|kubernetes|kubectl|terraform|flask|django|fastapi"
    r"|pytest"
    r"|npm|webpack|github actions|makefile|cron(?:tab|job)?|latex|graphql|curl"
)
_NAMED = re.compile(
    rf"(?<![\w.])(?:{_LANGUAGES})(?!\w)"
    r"|\b(?:in|using|a|this|my|the) (?:java|rust|go|ruby|swift|c|r)\b(?! (?:coffee|island|beans?"
    r"|to)\b)"
    r"|(?<![a-z])(?:java|rust|go|ruby|swift)(?=[のでをに])",
    re.IGNORECASE | re.ASCII,
)
_CODE = re.compile(
    r"```|`[^`\n]*[(=;{\[][^`\n]*`"
    r"|\b[A-Z]\w+(?:Error|Exception)\b|\btraceback\b|\bstack ?traces?\b|\bsegfaults?\b"
    r"|\b\w[\w-]*\.(?:py|js|tsx?|jsx|java|rs|go|cpp|rb|sh|sql|db|sqlite|ipynb|html|css)\b"
    r"|\b(?:unit tests?|source code|code ?base|refactor|debug|compil(?:e|er|ing)|api endpoints?"
    r"|git"
    r"|repo(?:sitory)?|pull request|merge conflict|commit|stdout|boolean|recursion|recursive)\b"
    r"|\bselect\b.+\bfrom\b.+|\b(?:(?:left|right|inner|outer|cross) join|group by|order by)\b"
    r"|\bexecute\b|\bdef \w+\(|\bfunction ?\w*\(|\b(?:const|let|var) \w+ ?[:=]|=> ?[{(]"
    r"|\bimport \w+"
    r"|\b(?:write|fix|implement|create|build|make|run|execute|test|optimi[sz]e|review|this"
    r"|following|my|your"
    r"|shell|define|call)\b[^.?!\n]{0,40}\b(?:code|functions?|methods?|scripts?|programs?|bugs?"
    r"|algorithms?"
    r"|tests|class(?:es)?|snippets?|one-liner|structs?)\b"
    r"|\bexcel\b.{0,40}\bformulas?\b|\bformulas?\b.{0,40}\bexcel\b"
    r"|(?<![ァ-ヴー])コード(?![ァ-ヴー])|(?<![ァ-ヴー])プログラム|プログラミング|関数|スクリプト"
    r"|バグ|実装|デバッグ"
    r"|正規表現|コンパイル|(?<![ァ-ヴー])コマンド|マクロ|変数|配列|リポジトリ|リファクタ"
    r"|アルゴリズム"
    r"|(?:型|構文|次の)エラー|エラー(?:の原因|を直|が出)|テストを(?:書|走|追加|実行)|クラス(?:で|を|の).{0,20}(?:実装|定義)",
    re.IGNORECASE | re.ASCII,
)
_REASONING = re.compile(
    r"\b(?:compar(?:e|ing|ison)|contrast|analy[sz](?:e|ing)|analysis|evaluate|assess|critique"
    r"|weigh(?:ing)?"
    r"|pros and cons|advantages and disadvantages|trade-?offs?|prove|proof|derive|strateg(?:y|ies"
    r"|ic)|tactics"
    r"|step by step|in detail|in depth|research|investigate|hypothes[ei]s|find out which"
    r"|root causes?|justify|implications"
    r"|consequences|second-order|feasib\w+|architecture|optimal(?:ly)?|logic(?:al|ally)?|puzzle"
    r"|riddle|paradox"
    r"|argument|fallacy|debate|design (?:a|an|the|our|my)|plan (?:a|an|the|our|my|for)"
    r"|priorit(?:y|i[sz]e)"
    r"|should (?:we|i|they|a|the)\b.{3,120}\bor\b|which (?:is|would be|option).{0,60}\bbetter)\b"
    r"|\b(?:has|have|need)s? to (?:get|cross|bring|carry)\b.{5,150}\bhow\b|\bif (?:all|every|some"
    r"|no) \w+ (?:are|is)\b|\bhow many\b.{0,80}\bif\b|\b(?:when|where) do they meet\b"
    r"|比較|分析|検討|設計|証明|戦略|戦術|考察|評価|長所と短所|メリットと?・?デメリット|賛否"
    r"|賛成と反対|論拠|仮説"
    r"|検証|因果|相関|場合分け|べきか|多面的|優先順位|改善案|改善策|対策|再発防止|計画(?:して"
    r"|を立|を作)|洗い出"
    r"|突き止め|提案書|論じて|推論|矛盾|トレードオフ|どちらが(?:得|有利|安|良|いい|よい)"
    r"|と言えるか|言えますか"
    r"|考え方も|理由(?:を|も|とともに|と合わせて)|詳しく|順に並べ|最適",
    re.IGNORECASE | re.ASCII,
)
_WRITTEN_OUT = re.compile(
    r"\b(?:explain|describe|summari[sz]e|sum (?:it |this |them )?up|write (?:a|an|me|my|some)"
    r"|draft|compose|rewrite"
    r"|rephrase|recommend|suggest|ideas?|advice|tips|tell me (?:about|how|a|what)"
    r"|how (?:do(?:es)?|can|did|could"
    r"|to)|why|what should|what happens|what do people|history|stor(?:y|ies)|poem|essay|email"
    r"|letter|speech|news"
    r"|search|look up|find me|articles?|main points|in plain words|in simple terms"
    r"|meaning of life|best way"
    r"|difference between|what is it like|what was it like|introduce|outline|article|blog post)\b"
    r"|https?://"
    r"|について|説明|仕組み|違い|コツ|を書いて|文を書|文案|例文|の話|物語|詩を|手紙|メール"
    r"|スピーチ|要約|まとめ"
    r"|要点|歴史|由来|紹介|相談|アドバイス|おすすめ|お勧め|どうすれ|どうしたら|方法|使い方|書き方"
    r"|暮らし|気をつけ"
    r"|知っておく|何を(?:贈|着|作|すれ|準備)|何が作れ|ニュース|検索|調べて(?!.{0,6}値段)|読んで"
    r"|書き直|言い換え|考えて"
    r"|アイデア|メリット|の機能|理由|なぜ|どうして",
    re.IGNORECASE | re.ASCII,
)
# These begin like a request to write something out, but are done in a line.
_SHORT = re.compile(
    r"\bhow (?:many|much|old|tall|far|long|do you (?:say|spell|pronounce))\b|\btranslate\b"
    r"|\bsynonym"
    r"|\b(?:write|append|add|save|put|delete|remove)\b.{0,60}\b[\w-]+\.(?:txt|md|csv)\b"
    r"|\b(?:price|rate|cost) of\b|に訳して|語で(?:何と)?言|語にして|読み方|を追加|追記|値段を調べ",
    re.IGNORECASE | re.ASCII,
)
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")
_SIMPLE_WORDS = 13
_LONG_WORDS = 120
_STORY_WORDS = 18
_STORY_NUMBERS = 3


def task_type_of(text: str) -> TaskType:
    """The task type that routes this request to its best model."""
    if is_small_talk(text):
        return "simple_task"
    seen = _NO_CODE.sub(" ", excerpt(text))
    return _told_by_words(seen) or _told_by_length(seen, _length(text))


def _told_by_words(seen: str) -> TaskType | None:
    if _CODE.search(seen):
        return "code_generation"
    # To weigh two languages against each other is no coding.
    if _REASONING.search(CHORE.sub(" ", seen)):
        return "complex_reasoning"
    return "code_generation" if _NAMED.search(seen) else None


def _told_by_length(seen: str, words: int) -> TaskType:
    is_long = words > _LONG_WORDS
    if STEPS.search(seen) or _is_story(seen, words) or (is_long and not CHORE.search(seen)):
        return "complex_reasoning"
    is_short = not is_long and _SHORT.search(seen) is not None
    if words > 2 * _SIMPLE_WORDS or (_WRITTEN_OUT.search(seen) and not is_short):
        return "general"
    return "simple_task" if words <= _SIMPLE_WORDS or is_short else "general"


def _is_story(seen: str, words: int) -> bool:
    """Whether it is a sum told as a story."""
    numbers = len(_NUMBER.findall(seen))
    return _STORY_WORDS <= words <= _LONG_WORDS and numbers >= _STORY_NUMBERS and "?" in seen


def _length(text: str) -> int:
    """How long the text is in English words; two Japanese letters count as one."""
    seen = text[:EXCERPT_CHARS]
    words = len(seen.split()) + len(_JAPANESE.findall(seen)) // 2
    return words if len(text) <= EXCERPT_CHARS else max(words, _LONG_WORDS + 1)

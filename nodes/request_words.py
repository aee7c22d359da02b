"""Words that tell what a request is: small talk, a chore on a text, several steps."""

import re

# Of a long request the beginning and the end are looked at: there stands what is wanted.
EXCERPT_CHARS = 1_000

CHORE = re.compile(
    r"\b(?:summari[sz]e|sum (?:this|it|them)?\b.{0,30}\bup|rewrite|rephrase|proofread|translate"
    r"|shorten)\b"
    r"|要約して|訳して|翻訳して|書き直して|校正して",
    re.IGNORECASE | re.ASCII,
)

_VERB = (
    r"(?:analy[sz]e|build|calculate|check|clean|compare|compute|create|draft|draw|extract|fetch"
    r"|find|fix|form"
    r"|gather|get|list|look|make|merge|plan|plot|pull|rank|read|recommend|research|run|save"
    r"|search|sort|summari[sz]e"
    r"|test|verify|write)"
)
_VERB_JA = (
    r"(?:調べ|まとめ|作っ?[てり]|作成し|書い|保存し|読[みん]|読み込[みん]|集計し|比べ|比較し"
    r"|分析し|整理し|検証し|実行し"
    r"|確認し|計画し|突き止め|追加し|提案し)"
)
# First this, then that, and finally; or three things to do one after the other.
STEPS = re.compile(
    r"\bfirst\b.{3,300}\b(?:then|next|after that|finally)\b|\bthen\b.{3,300}\b(?:then|finally"
    r"|after that)\b"
    rf"|\b{_VERB}\b[^.?!]{{3,200}}[,;:] (?:and |then |finally )*\b{_VERB}\b[^?!]{{3,300}}"
    rf"(?:[,;:.] |\band )(?:and |then |finally )*\b{_VERB}\b"
    r"|まず.{2,200}(?:次に|その後|それから|最後に)|次に.{2,200}最後に"
    rf"|{_VERB_JA}.{{2,120}}{_VERB_JA}.{{1,120}}{_VERB_JA}",
    re.IGNORECASE | re.DOTALL | re.ASCII,
)

_GREETING = (
    r"hi+|hello|hey|yo|howdy|there|good (?:morning|afternoon|evening|night|day)|morning"
    r"|welcome back"
    r"|how are you(?: doing)?|how(?:'s| is) it going|what'?s up|(?:very )?nice to meet you"
    r"|i'?m (?:fine|good|well)"
    r"|(?:many |a thousand )?thanks?(?: you)?|thank you|thx|ty|cheers|bye+|goodbye|good luck"
    r"|see (?:you|ya)(?: (?:later|soon|tomorrow|around))?|have a (?:nice|good|great) (?:day"
    r"|evening|weekend|one)"
    r"|take care|sorry|no problem|never ?mind|you'?re (?:welcome|awesome|great|the best|amazing"
    r"|right)"
    r"|what'?s your name|what is your name|who are you|what can you do|lol|haha+|wow"
    r"|that (?:helped|helps|works|worked|was (?:helpful|great|perfect))|(?:it|that)'?s (?:great"
    r"|perfect|all)"
    r"|(?:good|great|nice) (?:job|work|one)|well done|love it|appreciate it|got it|i see"
    r"|makes sense"
    r"|こんにちは|おはよう|こんばんは|ございます|ございました|ありがとう|どうも|サンキュー"
    r"|お?疲れ(?:様|さま)(?:です|でした)?|ご苦労(?:様|さま)|はじめまして|初めまして|よろしく"
    r"|お願い(?:します|いたします)"
    r"|(?:お)?元気(?:ですか|です|かな)?|おやすみ(?:なさい)?|調子はどう(?:ですか)?|またね?|明日"
    r"|今度|後で|あとで"
    r"|さようなら|バイバイ|じゃあね?|それでは|では|すごい(?:です)?|素晴らしい(?:です)?"
    r"|さすが(?:です)?|すみません|ごめん(?:なさい)?"
    r"|(?:大変|とても|本当に)|助かり(?:ました|ます)|助かった|いい天気(?:だ|です)?|面白い(?:です)?"
    r"|嬉しい(?:です)?"
    r"|あなた(?:の名前)?は(?:誰|何)?(?:ですか)?|お名前は(?:何ですか)?|何ができ(?:ます|る)(?:か"
    r"|の)?"
    r"|です|だ|ね|よ|な"
)
_ASSENT = (
    r"ok|okay|k|yes|yeah|yep|yup|no|nope|sure|fine|great|cool|nice|perfect|awesome|excellent"
    r"|amazing|alright|right"
    r"|good|sounds good|done|agreed|true|はい|うん|ええ|いいえ|いや|了解(?:です|しました)?"
    r"|承知(?:です|しました)?|わかりました|分かりました"
    r"|わかった|なるほど|いいですね|いいね|オーケー|大丈夫(?:です)?|そうですね|そうだね"
    r"|完璧(?:です)?"
)
_FILLER = (
    r"so|very|much|a lot|again|everyone|all|today|and|then|well|oh|my friend|for (?:that"
    r"|your help|everything|now)|it|potluck|please|really|too|you|tomorrow|later"
)
_GAP = r"[\s\W_]*"
_TALK = re.compile(
    rf"(?=.*(?:{_GREETING}|{_ASSENT})){_GAP}(?:(?:{_GREETING}|{_ASSENT}|{_FILLER})(?![a-z]){_GAP})+",
    re.IGNORECASE | re.DOTALL,
)
_ASSENTS = re.compile(
    rf"{_GAP}(?:(?:{_ASSENT}|{_FILLER})(?![a-z]){_GAP})+", re.IGNORECASE | re.DOTALL
)
_TALK_CHARS = 80
_WORDLESS_CHARS = 12


def excerpt(text: str) -> str:
    """The beginning and the end of a long text; a short one whole."""
    return f"{text[:EXCERPT_CHARS]}\n{text[EXCERPT_CHARS:][-EXCERPT_CHARS:]}"


def is_small_talk(text: str) -> bool:
    """Whether all of it is greeting, thanks or agreement, or no words at all."""
    if len(text) > _TALK_CHARS or any(c.isdigit() for c in text):
        return False
    if text.strip() and not any(c.isalnum() for c in text):
        return len(text) <= _WORDLESS_CHARS
    return _TALK.fullmatch(text) is not None


def is_assent(text: str) -> bool:
    """Whether all of it is a yes or no, which means what was said before it."""
    return len(text) <= _TALK_CHARS and _ASSENTS.fullmatch(text) is not None

"""Whether two texts that were cut apart had a space between them."""

import re

# Models leave out the space that a continuation would begin with. Words as common as these are
# never cut in two by a tokenizer, so one that stands whole at the seam is whole.
_COMMON_WORDS = (
    "a about after again all also although always am an and any are as at be because been before "
    "being between both but by can could did do does each even every few first for from get give "
    "go good had has have he her here him his how i if in into is it its just know last like made "
    "make many may me more most much must my never new next no not now of off often on once one "
    "only or other our out over own per same say second see she should since so some still such "
    "take than that the their them then there these they this those three through time to too two "
    "under until up upon us use used very was way we well were what when where which while who why "
    "will with without would year yes yet you your"
)
# Made of two of those
_JOINED_WORDS = (
    "abut ado ago ais alike allan allover amour amuse amused ana anew anon another anthem anus "
    "anyhow anymore anyone anytime anyway anywhere area areas assay asunder atone avery away "
    "awe awhile ayes beam bean beat beget behave betake byway cancan candid cannot canon canto "
    "dodo dodoes dome door dothan douse doused everyone everywhere forget forgive forgo getup "
    "goa goat goodby goodwill goodyear goof goon heat hereabout hereafter hereby herein hereof "
    "hereto hereupon herewith heron inhere inmost instill intake ion iso makeup maybe mayor "
    "mean meany meat meme meuse moreno moreover nevermore noon nous noway nowhere onetime onto "
    "onus outdid outdo outdoes outgo outlast outtake overall overdid overdo overdoes overmuch "
    "oversee overtake overtime overuse overused peruse perused somehow someone sometime someway "
    "somewhat somewhere soon sounder soup souse soused suchlike takeoff takeout takeover theme "
    "thereabout thereafter thereby therefrom therein thereof thereon thereto thereupon "
    "therewith theseus threesome throughout throughway undergo undermost undertake underused "
    "upper uptake usher washer wean whatnot whereas whereat whereby wherein whereof whereon "
    "whereupon whoa within"
)
_COMMON = frozenset(_COMMON_WORDS.split())
_JOINED = frozenset(_JOINED_WORDS.split())
_LAST_WORD = re.compile(r"[^\W\d_]+$")
_FIRST_WORD = re.compile(r"[^\W\d_]+")
_SENTENCE_END = re.compile(r"[a-z]{2}[.!?]\Z")
_CLAUSE_END = re.compile(r"[^\W\d_]{2}[,;]\Z")


def missing_space(out: str, rest: str, *, code: bool) -> str:
    """A space, if `rest` begins a new word that would stick to the last one of `out`; else ""."""
    if code or not out or not rest:
        return ""
    if rest[0].isupper() and _SENTENCE_END.search(out):
        return " "
    if rest[0].isalpha() and _CLAUSE_END.search(out):
        return " "
    last, first = _LAST_WORD.search(out), _FIRST_WORD.match(rest)
    if last is None or first is None:
        return ""
    return " " if _are_two_words(last.group(), first.group(), out) else ""


def _are_two_words(last: str, first: str, out: str) -> bool:
    if not (last.isascii() and first.isascii()):
        return False
    joined = (last + first).lower()
    words = {word.lower() for word in re.findall(r"[^\W\d_]+", out[: -len(last)])}
    if joined in _COMMON or joined in _JOINED or joined in words:
        return False
    known = _COMMON | words
    return last.lower() in known and first.lower() in known

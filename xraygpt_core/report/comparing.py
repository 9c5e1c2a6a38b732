"""Clauses that ask for a comparison with an earlier film: a word of change beside a point in time ("smaller than last
week"), or a word of change about a finding and not a word more ("is the effusion new").

What only looks like one is left out: one side against the other, a size against the norm, changes that are findings
("degenerative changes", "a new infiltrate", "a new line"), advice, the archive, and the wording of a text.
"""

import re

from xraygpt_core.report.phrases import any_of

# A point in time: "the last film", "yesterday", "3 days ago", "2019".
_DAY = any_of("monday, tuesday, wednesday, thursday, friday, saturday, sunday")
_FILM = any_of("""
    film(s), x-ray(s), x ray(s), xray(s), cxr(s), radiograph(s), image(s), imaging, study, studies, exam(s),
    examination(s), scan(s), ct, one(s), time(s), visit(s), night(s), day(s), week(s), month(s), year(s)
""")
_EARLIER = any_of(
    "prior, previous, last, earlier, former, preceding, old, older, yesterday's, last [a-z]+'s, admission"
)
_LAST_FILM = rf"{_EARLIER} (?:chest |few |two |three |[0-9]+ )?(?:{_FILM}|{_DAY})"
_ALONE = (
    rf"{any_of('prior, previous, last, before, earlier')}(?= {any_of('any, is, are, has, have, did, what, how')}|$)"
)
_DATE = any_of(f"""
    yesterday, admission, discharge, baseline, this morning, {_DAY}, (?:19|20)[0-9][0-9],
    january, february, march, april, june, july, august, september, october, november, december,
    (?:[0-9]+|two|three|a few|some) (?:hour|day|week|month|year)s ago, an? (?:day|week|month|year) ago,
    it was(?: last [a-z]+| before| yesterday)?, it used to be
""")
_POINT = rf"(?:(?:the|his|her|its|an?|any) )?(?:{_LAST_FILM}|{_DATE}|{_ALONE})(?:'s(?: {_FILM})?)?"
# What ties it to the change. "From" a date may be the date of a finding, so there it follows a word of change.
_FROM = r"(?:(?<=change )|(?<=changed )|(?<=progressed )|(?<=different )|(?<=difference ))from"
_THAN = rf"(?:{any_of('since, than, to, with, as, like, over, and, vs, versus')}|{_FROM})(?: (?:on|in|at))?"
_THERE = r"(?:(?<=there )|(?<=visible )|(?<=present ))(?:in |on )?"
_EVENT = any_of("drainage, surgery, operation, intubation, treatment, placed, removed, inserted")
_INTERVAL = any_of("""
    change(s), improvement, worsening, progression, increase, decrease, enlargement, growth, development, resolution
""")
_TIME = re.compile(
    rf"\b(?:{_THAN} {_POINT}|(?:on|in) (?:the |his |her )?{_LAST_FILM}|{_THERE}(?:{_DATE}|{_ALONE}|last {_FILM}))(?!\S)"
    rf"|\bsince (?:the )?(?:[a-z]+ ){{0,4}}?{_EVENT}\b|\binterval (?={_INTERVAL})"
)

_MORE = any_of("bigger, smaller, larger, greater, better, worse, increas*, decreas*")
_TIME_ONLY = any_of("""
    compar*, differ, differs, different, difference(s), more, less, fewer, same, resolved, resolution, gone, clearer,
    spread, growth, enlarged, developed, development, migrated, advanced
""")
_CHANGE = any_of(f"""
    {_MORE}, {_TIME_ONLY}, change(s), changed, changing, new, improv*, worsen*, progress, progressed, progressing,
    progression, regress*, stable, unchanged, resolving, clear(?:ed|ing), grow, grown, growing, grew, enlarging,
    enlargement, developing, shrink*, shrank, shrunk, moved, evolv*, trend
""")
_CHANGES = re.compile(rf"\b{_CHANGE}\b|\b(?:was|were) [a-z ]*\b(?:there|present|visible|seen)\b")
_DEVICE = any_of("line(s), tube(s), catheter(s), picc, drain(s), pacemaker, lead(s), port, device(s)")
_NEW_DEVICE = re.compile(rf"\bnew(?:ly)? (?:[a-z-]+ ){{0,3}}?{_DEVICE}\b")
# Beside a point in time: it asks for something else as well, for advice, about a symptom, a text or an archive.
_ELSE = any_of("""
    and, also, but, because, due, (?<!tell )(?<!say )(?<!see )if, why, when, should, would, recommend*, need*, useful,
    help*, explain*, repeat*, report(s), mention*, described, said, says, summary, impression, answer(s), wording, text,
    version, write, make, your, are you, model, software, same patient, available, exist(s), used, ct, mri, biopsy,
    pain, dysp*, breath*, cough*, fever, oxygen, hypox*, sob, tachyp*, sats, saturation, symptom*, clinical*, condition,
    crp, fatigue, weight, sputum
""")
_BESIDES = re.compile(
    rf"\b{_ELSE}\b|^(?:did|do|have) you (?!see)|^(?:the |this )?(?:patient|pt|he|she|known)\b"
    rf"|^(?:is|are|was|were) there (?:an? |any )?{_EARLIER}\b"
)

_FINDING = any_of("""
    effusion(s), fluid, pneumothorax, pneumothoraces, ptx, pneumonia, consolidation(s), opacity, opacities,
    infiltrate(s), edema, oedema, atelectasis, nodule(s), mass, masses, lesion(s), metastas*, tumor(s), tumour(s),
    disease, fibrosis, congestion, cardiomegaly, emphysema, haemothorax, hemothorax, empyema, abscess, cavity, tube(s),
    line(s), catheter(s), lead(s), drain(s), picc
""")
_KNOWN = re.compile(
    any_of(f"""
    {_CHANGE}, {_FINDING}, finding(s), is, are, was, were, isn't, aren't, has, have, had, hasn't, haven't, did, didn't,
    does, do, there, any, anything, no, not, a, an, the, this, that, it, these, those, they, what, what's, how, much,
    long, been, by, can, you, tell, if, think, me, see, look(s), getting, got, gotten, get, become, became, so, and, or,
    of, in, on, at, all, over, time, today, today's, now, overnight, treatment, diuresis, after, evidence, sign(s),
    significant, relevant, old, size, amount, extent, position, tip, film, left, right, sided, both, bilateral, basal,
    pleural, upper, middle, lower, lobe(s), pulmonary, lung(s), heart, patient's, appearance(s), aeration, wire(s)
""")
)
_HOW_LONG = re.compile(r"how long (?:has|have) .+ been there")
# Without a point in time: the change is the finding, a place in this film, one side against the other, or an order.
_ON_THIS_FILM = re.compile(
    rf"\bchanges\b|\bchange (?:of|in|on|at) (?!(?:the )?(?:size|position|extent|appearance))"
    rf"|\b(?:new|stable|{_MORE}) {_FINDING}\b|\b(?:in|on|at) (?:the |both )?(?:left|right|upper|lower|lungs?|lobes?)\b"
    rf"|\b(?:left|right|lungs?|heart)\b.*\b{_MORE}\b(?! in size)|\b{_MORE} .*\b(?:lungs?|heart)\b"
    rf"|\b{_TIME_ONLY}\b|\b(?:is|are) .*\bcleared\b|\byou (?:change|improve)|^(?:change|improve|increase|decrease) "
)


def asks_for_an_earlier_film(clause: str) -> bool:
    """Whether it can only be answered beside an earlier film.

    Args:
        clause: lower case, its words one space apart.
    """
    clause = re.sub(r"^(?:and|so|or|but) (?=.)", "", clause)
    rest = " ".join(_TIME.sub(" ", clause).split())
    if rest != clause:
        changes = not rest or bool(_CHANGES.search(_NEW_DEVICE.sub(" ", rest)))
        return changes and not _BESIDES.search(rest)
    changes = bool(_CHANGES.search(clause) or _HOW_LONG.search(clause))
    return changes and all(map(_KNOWN.fullmatch, clause.split())) and not _ON_THIS_FILM.search(clause)

"""The vocabulary of views: single words without accents, and the codes of PS3.16 CID 4010."""

from xraygpt_core.dicom.words import plain

_WORDS = {
    "PA": "pa",
    "AP": "ap",
    # Decubitus: PS3.3 C.8.1.1 LLD and RLD. Lordotic: a frontal film with the beam or the patient tilted.
    "FRONTAL": """
        frontal frontale frontales frontalis frontalna frontalt frontalbild frente face fronte front forfra prosta
        lld rld dld dlg dli decub decubitus dekubitus seitenlage linksseitenlage rechtsseitenlage zijligging sidolage
        lordotic lordotica lordotique lordotisch lordotisk lordosis lordose apical apicogram apicograma apicography
        прямая прямой прямую прямые латеропозиция латеропозиции
    """,
    # "side" in English and "sida" (AIDS in Spanish and French) are too common; see IN_POSITION.
    "LATERAL": """
        lat lats ll llat rlat latl latr ltlat rtlat latlt latrt leftlat rightlat latleft latright llateral rlateral
        ltlateral rtlateral xtlat xtl hbl
        lateral laterale laterales laterals lateralis lateraal laterala lateralna lateralne lateralny lateralt
        laterolateral laterolaterale latero frontolateral linksanliegend rechtsanliegend lateralaufnahme lateralbild
        lateralprojektion mediolateral lateromedial
        profil profile profilo perfil seitlich seitl seitliche seitlicher seitliches seitaufnahme seitenaufnahme
        seitenbild seitbild seitansicht profilansicht profilaufnahme
        dwars dwarse dwarsopname zijdelings zijdelingse zijopname zijaanzicht boczne boczna
        boczny bok lewobok prawobok lewoboczne prawoboczne lewoboczna prawoboczna bocny bocni bocna bocne sidobild
        sidoprojektion sidebillede sideoptagelse sidebilde sideprojeksjon sivukuva
        sivuprojektio oldaliranyu oldalfelvetel πλαγια πλαγιο جانبي جانبية swimmer swimmers боковая боковой боковую
        боковые боковом бок
    """,
    "OBLIQUE": """
        obl obliq oblique obliques obliqua oblicua oblicuo oblicuas obliquo obliek schrag schraeg schragaufnahme
        schuin schuine skosne skosna skos sned snedbild sikma sikme косая косой косую
        rao lao rpo lpo rlo llo
    """,
}
# A patient in bed is exposed from the front, but a lateral film is sometimes taken there too: these count only alone.
_WEAKLY_FRONTAL = """
    portable portabel portatil portatile port bedside mobile mobil supine supino supina liegend liegendaufnahme liegen
    bett bettaufnahme bettlunge liggend liggande liggende lezace lezaca лежа прикроватная
"""
# What is a view only where nothing but a view can stand: View Position (0018,5101) as a whole, without blanks.
IN_POSITION = {
    "rl": "LATERAL", "ml": "LATERAL", "lm": "LATERAL", "side": "LATERAL", "sida": "LATERAL", "yan": "LATERAL",
    "sivu": "LATERAL", "dv": "PA", "vd": "AP", "f": "FRONTAL",
}  # fmt: skip
# Scripts without blanks; 正侧位 is an examination, frontal and lateral.
SIGNS = (
    ("后前", "PA"), ("後前", "PA"), ("前后", "AP"), ("前後", "AP"), ("正位", "FRONTAL"), ("正面", "FRONTAL"),
    ("正侧", "FRONTAL"), ("正側", "FRONTAL"), ("정면", "FRONTAL"), ("侧位", "LATERAL"), ("側位", "LATERAL"),
    ("側面", "LATERAL"), ("측면", "LATERAL"), ("斜位", "OBLIQUE"),
)  # fmt: skip

# SNOMED CT, and the SNOMED-RT codes older writers use.
_CODES = {
    "PA": "272479007 R-40888 R-10214",
    "AP": "399348003 R-10206",
    "FRONTAL": "399033003 R-10202 260450008 R-40799 102536004 F-10319 102535000 F-10317 32185000 F-10318",
    "LATERAL": """
        399067008 R-102CD 399173006 R-10236 399198007 R-10232 399352003 R-10228 399260004 R-10224 30730003 G-A145
    """,
    "OBLIQUE": """
        399182000 R-102C1 399038007 R-10210 399059000 R-10216 399135007 R-10220 260427002 R-40783 399236003 R-10234
        399368009 R-10226 399356000 R-40985 399312000 R-10208 399184004 R-10238 260426006 R-40782 399160007 R-10204
        399006002 R-10212 399099002 R-10230 399132005 R-10252 399325008 R-10254 399004004 R-10246
    """,
}


VIEWS = {plain(one): view for view, listed in _WORDS.items() for one in listed.split()}
WEAKLY_FRONTAL = frozenset(plain(_WEAKLY_FRONTAL).split())
CODES = {one: view for view, listed in _CODES.items() for one in listed.split()}

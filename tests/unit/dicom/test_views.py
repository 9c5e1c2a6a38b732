"""Which view the header's words name."""

import pytest
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset

from xraygpt_core.dicom.normalise import normalise
from xraygpt_core.dicom.views import view
from xraygpt_core.states import Flag

NAMED = {
    "PA": """
        PA | P-A | p.a. | ERECT PA | PA UPRIGHT | CHEST_PA | ThoraxPA | THORAXPA | chest-pa-1 | W Chest PA | PA LLD
        | postero-anterior | postéro-antérieur | Torace postero-anteriore | dorsoventral | zadopřední | 胸部后前位
    """,
    "AP": """
        AP | a.p. | A/P | AP SUPINE | PORTABLE AP | AP_PORT | AP LLD | AP LORDOTIC | Thorax a.p. liegend | AP semi-erect
        | antero-posterior | antéro-postérieur | przednio-tylne | voor-achterwaarts
    """,
    "FRONTAL": """
        LLD | RLD | decubitus | LEFT LATERAL DECUBITUS | L LAT DECUB | décubitus latéral gauche
        | decúbito lateral derecho | Seitenlage | LORDOTIC | AP/PA | Thorax face | Tórax frente | прямая проекция
        | PORTABLE | Bettaufnahme | 正位 | LTLATDECUB | L LAT DEC | Frontalbild
    """,
    "LATERAL": """
        LL | RL | LAT | LATERAL | LEFT LAT | XTABLE LATERAL | X-TABLE LAT | CROSS-TABLE | L-LAT | RTLAT
        | chest_lat | CHESTLAT | LLATERAL | XTABLELAT | THORAXSEITL | ThoraxLat | LATERAL-LEFT
        | SWIMMERS | DORSAL DECUBITUS LATERAL
        | PORTABLE LATERAL | seitlich | Thorax seitl. | profil | perfil | latero-laterale | Torace L.L.
        | boczne | sidobild | dwars | боковая проекция | 側面 | yan
        | Thorax 2 Ebenen lat | Akciğer yan grafi
        | XTL | X-TBL | HBL | shoot-through | Thorax links anliegend | lewoboczne | boční | bočný | bočně
        | mellkas oldal | Thorax side | Thorax fra siden | Pulm sida | Thorax sivu | Yan akciğer | Θώρακος πλάγια
    """,
    "OBLIQUE": """
        RLO | LLO | RAO | LAO | OBLIQUE | AP OBLIQUE | LATERAL OBLIQUE | left anterior oblique | schräg | oblicua
    """,
}  # fmt: skip
NO_VIEW = """
    PA/LAT | PA and lateral | PALAT | AP+LAT | Thorax p.a. und seitlich | frente e perfil | 胸部正侧位
    | PA y L | F+P | 2 views | CHEST 2V | Thorax in 2 Ebenen | CHEST 2 VIEWS PORTABLE | PA, LAT AND OBLIQUE
    | left side up | paciente con sida
    | MAP | bilateral | laterality | plate | flat panel | lap | erect | been here | long side
"""


def split(words):
    return [one.strip() for one in words.split("|")]


def dataset(**values):
    made = Dataset()
    with disable_value_validation():
        for keyword, value in values.items():
            setattr(made, keyword, value)
    return made


def item(**values):
    return [dataset(**values)]


@pytest.mark.parametrize("expected", NAMED)
def test_the_words_of_a_view_are_read_wherever_an_image_is_described(expected):
    for words in split(NAMED[expected]):
        assert (words, view(dataset(ViewPosition=words))) == (words, expected)
        if words not in ("RL", "yan"):  # abbreviations that are a view only where nothing else can stand
            assert (words, view(dataset(SeriesDescription=words))) == (words, expected)


def test_words_that_name_an_examination_or_nothing_are_no_view():
    for words in split(NO_VIEW):
        assert (words, view(dataset(SeriesDescription=words, StudyDescription=words))) == (words, None)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("272479007", "PA"), ("R-10206", "AP"), ("399033003", "FRONTAL"), ("399173006", "LATERAL"),
        ("R-10236", "LATERAL"), ("399135007", "OBLIQUE"), ("1", None),
    ],
)  # fmt: skip
def test_the_view_code_names_the_view(code, expected):
    assert view(dataset(ViewCodeSequence=item(CodeValue=code))) == expected


def test_the_meaning_of_an_unknown_code_is_read():
    assert view(dataset(ViewCodeSequence=item(CodeValue="X1", CodeMeaning="left lateral"))) == "LATERAL"
    assert view(dataset(ProcedureCodeSequence=item(CodeValue="X2", CodeMeaning="XR Chest Lateral"))) == "LATERAL"
    assert view(dataset(ProcedureCodeSequence=item(CodeValue="X3", CodeMeaning="XR Chest 2 Views PA"))) is None


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({"ViewPosition": "LL", "SeriesDescription": "Thorax pa"}, "LATERAL"),
        ({"ViewPosition": "PA", "SeriesDescription": "Thorax ap"}, "PA"),
        ({"ViewPosition": "LLD", "SeriesDescription": "Thorax ap"}, "AP"),
        ({"ViewPosition": "PA", "SeriesDescription": "Thorax seitlich"}, None),  # one of the two is wrong
        ({"ViewPosition": "PA", "PatientOrientation": ["A", "F"]}, None),
        ({"ViewPosition": "PA", "StudyDescription": "Chest lateral"}, "PA"),
        ({"ViewPosition": ["PA", "LAT"]}, None),
        ({"SeriesDescription": "Chest PA/LAT", "ProtocolName": "Chest LAT"}, "LATERAL"),
        ({"AcquisitionDeviceProcessingDescription": "CHEST,LAT"}, "LATERAL"),
        ({"BodyPartExamined": "CHEST_LAT"}, "LATERAL"),
        ({"BodyPartExamined": "CHEST"}, None),
        ({"PatientOrientation": ["A", "F"]}, "LATERAL"),
        ({"PatientOrientation": ["P", "H"]}, "LATERAL"),
        ({"PatientOrientation": ["L", "F"]}, None),
        ({"StudyDescription": "Chest lateral"}, "LATERAL"),
        ({"StudyDescription": "CHEST PA"}, "FRONTAL"),  # what was ordered
        ({"StudyDescription": "CHEST 2 VIEWS LAT"}, None),
        ({"RequestAttributesSequence": item(ScheduledProcedureStepDescription="Thorax lat.")}, "LATERAL"),
    ],
)
def test_the_place_that_says_most_of_this_image_counts(header, expected):
    assert view(dataset(**header)) == expected


def test_an_unsaid_view_is_flagged(make_dicom, limits):
    image = normalise(make_dicom(ViewPosition=None), limits)
    assert (image.view, image.flags) == (None, (Flag.VIEW_UNKNOWN,))


def test_a_lateral_film_is_accepted_for_the_study_to_judge(make_dicom, limits):
    assert normalise(make_dicom(ViewPosition="LEFT LAT"), limits).view == "LATERAL"

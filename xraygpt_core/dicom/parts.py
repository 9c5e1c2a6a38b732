"""The vocabulary of body parts: what technologists write, and what DICOM defines."""

# Whole words without accents, in English, German, French, Spanish, Portuguese, Italian, Dutch, Swedish, Danish, Polish,
# Czech, Turkish and Russian. Words that mean something else beside a chest film are left out: "pie" (Spanish: foot, "de
# pie": standing), "face" (French: frontal), "long" (Dutch: lung), "PE" (Portuguese: foot; embolism), "bone" (as in
# suppressed), "rib" (why many a chest film is made; as a stated part it is one).
_CHEST_WORDS = """
chest thorax thorac thx cxr lung lungs toraks torax torace lunge lungen poumon poumons pulmon pulmones pulmao
polmone polmoni longen lungor pluca pluc klatka klatki klp pecho poitrine brustkorb borstkas brostkorg hrudnik
plice akciger gogus
грудь грудная грудной груди огк легкие легких торакс
"""
_HEAD_AND_SPINE_WORDS = """
head skull cranium neck schadel kopf crane craneo cabeza tete cranio testa schedel hoofd facial sinus sinuses
nasal mandible maxilla orbit orbits jaw tmj dental zahn zahne dentes teeth panorama opg cervical hals cuello
collo czaszka череп spine cspine tspine lspine lumbar lumbosacral sacrum coccyx wirbelsaule lws bws hws rachis
lombaire columna coluna lombar colonna rachide wervelkolom kregoslup vertebra vertebral позвоночник scoliosis
skoliose
"""
_ARM_WORDS = """
shoulder clavicle scapula schulter epaule hombro ombro spalla schouder clavicula klavikula humerus elbow forearm
arm wrist hand hands finger fingers thumb unterarm oberarm ellbogen handgelenk hande coude poignet doigt pouce
codo antebrazo muneca mano dedo cotovelo punho mao gomito polso dito vinger pols elleboog armbage reka
nadgarstek кисть плечо
"""
_LEG_WORDS = """
pelvis pelvic hip hips becken hufte huftgelenk bassin hanche cadera quadril bacia bacino anca bekken heup hoft
miednica biodro таз femur thigh knee knees patella leg legs tibia fibula ankle foot feet toe toes heel calcaneus
knie unterschenkel oberschenkel sprunggelenk fuss fusse genou cheville pied jambe cuisse rodilla tobillo pierna
joelho tornozelo perna ginocchio caviglia piede gamba enkel voet kna fot kolano stopa колено стопа extremity
extremities extremitat extremidad
"""
_BELLY_WORDS = """
abdomen abdominal kub bauch ventre buik addome buk brzuch живот breast mamma mammography bladder colon stomach
kidney esophagus skeleton wholebody
"""
# PS3.16 annex L: what Body Part Examined may hold, but for what lies inside the chest (HEART, MEDIASTINUM, BRONCHUS,
# the great vessels): a radiograph with one of these shows a chest, and counts as one that states no part.
_DEFINED_TERMS = """
abdomenpelvis abdominalaorta aca acjoint adrenal amnioticfluid antcomma antecubitalv antspinala anttibiala
anusrectumsigmd anus appendix artery ascendingcolon atlantoaxial atlantooccipital axilla axillarya axillaryv back
basilara bileduct biliarytract bladderurethra brachiala brachialv brain buttock calf carotid cca celiaca cephalicv
cerebellum cerebhemisphere cerebrala cervix cfa cfv cheek choroidplexus circleofwillis comiliaca comiliacv
commonbileduct cornea ctspine culdesac descendingcolon duodenum eac ear eca endonasal endorectal endorenal
endoureteric endourethral endovaginal endovesical endometrium epididymis epigastric extiliaca extiliacv extjugv eye
eyelid face faciala femorala femoralv flank fontanel gallbladder gastricv geniculara gestsac gluteal gsv headneck
hepatica hepaticv hypogastric hypopharynx iac ica ileum iliaca iliacv ilium infmesa infvenacava inguinal intiliaca
intjugularv intracranial jejunum joint kidneyureter lacrimala largeintestine larynx latventricle lfemorala lhepaticv
lhypochondriac linguala linguinal liver llq llumbar lportalv lsspine lumbara luq mastoid mca mesentrica mesentricv
midhepaticv morisonspouch mouth nasopharynx neck nose occiptalv occpitala ophthalmica opticcanal ovary pancreas
pancreaticduct pancbileduct parathyroid parotid pca penilea penis perineum peroneala pharynx pharynxlarynx placenta
popliteala poplitealfossa poplitealv portalv poscomma postibiala proffema proffemv prostate radiala radius
radiusulna rectum renala renalv retroperitoneum rfemorala rhepaticv rhypochondriac rib ringuinal rlq rlumbar
rportalv ruq saphenousv scalp scjoint sclera scrotum sella semvesicle sesamoid sfa sfj sfv sigmoid sijoint sma
smallintestine spinalcord spleen splenica splenicv sspine sternum subcostal submandibular submentalar suprapubic
supthyroida testis thalamus thyroid tibiafibula tlspine tongue trachea ulna ulnara umbilical upperarm ureter urethra
uterus uterusfallopian vagina vertebrala vulva zygoma upperlimb lowerlimb lowerleg upperurinarytract
upperext lowerext tib fib tibfib extremit rdventricle thventricle
"""
_STATED_WORDS = """
ribs rippe rippen cote cotes costilla costillas costela costelas costa coste zebra revben ребра brustbein esternon
esterno sterno mostek phantom arms elbows wrists ankles thumbs shoulders femurs limb limbs trochanter clavicles
bras avantbras pie pies
kiefer nase nasennebenhohlen nnh felsenbein steissbein kreuzbein schlusselbein daumen handwurzel zehe zehen vorfuss
ruckfuss ferse mittelfuss kolon magen niere blase sein mama schaedel huefte fuesse bacin sacro hueso huesos abd abdo
sacroiliac metacarpal metatarsal tarsal carpal navicular bonelength longbone longbones longleg
"""
# Parts of glued words, such as LUMBOSACRALSPINE, HANDWRIST.
OTHER_STEMS = (
    "spine", "spinal", "skull", "crani", "pelvi", "abdom", "knee", "wrist", "ankle", "elbow", "shoulder", "finger",
    "femur", "femor", "tibia", "humer", "hand", "foot", "forearm", "clavic", "scapul", "lumb", "cervic", "sacr",
    "mandib", "maxill", "sinus", "orbit", "dental", "patell", "calcan", "extrem", "sternum", "thigh", "esophag",
    "intestin", "kidney", "urin", "wirbel", "schulter", "becken", "gelenk", "schenkel", "mammo",
)  # fmt: skip

# What is glued to a part: LTFOOT, HIPJOINT, UPPERLEG.
_GLUE = """
left right lt rt l r both bil bilateral upper lower up low joint joints bone bones ext extr body area ap pa lat lateral
obl oblique view views erect standing supine
"""

GLUE = tuple(_GLUE.split())
CHEST = frozenset(_CHEST_WORDS.split())
OTHER = frozenset((_HEAD_AND_SPINE_WORDS + _ARM_WORDS + _LEG_WORDS + _BELLY_WORDS).split())
STATED_OTHER = frozenset((_DEFINED_TERMS + _STATED_WORDS).split())
CHEST_SIGNS = ("胸", "肺", "흉부")
OTHER_SIGNS = (
    "腹", "膝", "骨盆", "骨盤", "头", "頭", "肩", "足", "복부", "무릎", "椎", "腕",
    "肘", "踝", "髋", "股骨",
)  # fmt: skip
SPINE_SIGNS = ("胸椎", "胸骨", "흉추")  # name no chest, though they contain it

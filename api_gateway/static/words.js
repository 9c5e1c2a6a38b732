/** The system's words in plain language, for people who read films and not manuals. */

import { t } from "./language.js";

export const NOTICE = t("AI-generated draft, not a diagnosis");

export const LANES = { stat: t("Stat"), routine: t("Routine"), backlog: t("Backlog") };

export const REVIEWS = { draft: t("Awaits review"), accepted: t("Accepted"), edited: t("Corrected"), rejected: t("Rejected") };

/** Why a draft was rejected; the codes are stored and stand in docs/api.md. */
export const REJECTIONS = {
  missed_finding: t("It misses a finding"),
  false_finding: t("It states a finding that the film does not show"),
  wrong_place: t("A finding is on the wrong side or in the wrong place"),
  wrong_certainty: t("It is too sure, or not sure enough"),
  contradicts_itself: t("It contradicts itself"),
  poor_film: t("The film is not good enough to be read"),
  wrong_film: t("It is the wrong film, or another patient's"),
  not_useful: t("It is too vague to be of use"),
  other: t("Another reason"),
};

/** Findings as the labeller names them. */
export const FINDINGS = {
  cardiomegaly: t("Enlarged heart"),
  effusion: t("Pleural effusion"),
  pneumothorax: t("Pneumothorax"),
  consolidation: t("Consolidation"),
  nodule: t("Nodule"),
  device: t("Device"),
  mass: t("Mass"),
  atelectasis: t("Atelectasis"),
  edema: t("Oedema"),
  congestion: t("Congestion"),
  emphysema: t("Emphysema"),
  hyperinflation: t("Hyperinflation"),
  fibrosis: t("Fibrosis"),
  bronchiectasis: t("Bronchiectasis"),
  cavity: t("Cavity"),
  granuloma: t("Granuloma"),
  pleural_thickening: t("Pleural thickening"),
  elevated_diaphragm: t("Elevated diaphragm"),
  hernia: t("Hernia"),
  wide_mediastinum: t("Wide mediastinum"),
  lymphadenopathy: t("Lymphadenopathy"),
  tortuous_aorta: t("Tortuous aorta"),
  aortic_calcification: t("Aortic calcification"),
  fracture: t("Fracture"),
  scoliosis: t("Scoliosis"),
  free_air: t("Free air"),
  soft_tissue_air: t("Air in soft tissue"),
};
/** Findings on which a reader must act at once. */
export const URGENT = new Set(["pneumothorax", "free_air"]);
export const STATUS_WORDS = { present: t("present"), absent: t("absent"), uncertain: t("uncertain") };
export const SAID_SIDES = { left: t("left"), right: t("right") };
export const ZONES = { upper: t("upper zone"), mid: t("mid zone"), lower: t("lower zone") };
export const SIDES = { L: t("left"), R: t("right") };

/** Windows. */
export const WINDOWS = { default: t("Default window"), lung: t("Lungs"), bone: t("Bone and soft tissue"), contrast: t("High contrast") };

/** An act on a review, as a heading, and as the end of a sentence. */
export const ACTS = {
  accepted: t("Accepted"),
  edited: t("Corrected"),
  rejected: t("Rejected"),
  draft: t("Taken back"),
  undone: t("Undone"),
};
export const DID = {
  accepted: t("accepted it"),
  edited: t("corrected it"),
  rejected: t("rejected it"),
  draft: t("took the review back"),
  undone: t("undid what was done last"),
};

/** What a reader must know about the film. The last word is its tone: a warning or a note. */
export const FLAGS = {
  not_verified_chest: [t("Not verified as a chest"), t("A bare picture: nothing in the file says that it shows a chest."), "warn"],
  burned_in_unchecked: [
    t("Text in the picture unchecked"),
    t("Nothing in the file says that the pixels are free of patient data."),
    "warn",
  ],
  body_part_unknown: [t("Body part not stated"), t("The header does not say which part of the body it shows."), "warn"],
  view_unknown: [t("View not stated"), t("The header does not say whether it is frontal or lateral."), "warn"],
  secondary_capture: [t("Secondary capture"), t("A copy of an image, not the detector's own pixels."), "note"],
  sop_uid_reused: [t("Instance UID reused"), t("Two different images carry the same SOPInstanceUID."), "warn"],
  synthetic: [t("Synthetic"), t("A phantom made by a program, not a person."), "note"],
  supersedes_reviewed: [t("Newer than a signed version"), t("An earlier version was reviewed; it stands below."), "warn"],
  header_contradicts_pixels: [
    t("Header contradicts pixels"),
    t("The file's labels were wrong about its pixels; the pixels decided."),
    "warn",
  ],
  implausible_pixels: [t("Doubtful picture"), t("This does not look like a film that was exposed and decoded rightly."), "warn"],
  chest_uncertain: [t("Perhaps no chest"), t("The picture may show something else than a chest."), "warn"],
  study_uid_shared: [t("Study UID shared"), t("Another patient's images carry the same Study Instance UID; they are kept apart."), "warn"],
  derived_image: [t("Derived image"), t("Computed from a film, such as a bone or soft-tissue image; the study has no other."), "warn"],
  for_processing: [t("Raw detector image"), t("Not made for reading; the study has no other image."), "warn"],
  orientation_uncertain: [t("Orientation uncertain"), t("The film may be turned or mirrored: check the side marker."), "warn"],
  out_of_scope: [t("Outside the model's scope"), t("The model was not made for, or not measured on, films like this one."), "warn"],
  cut_off: [t("Text cut off"), t("The model reached its longest answer before its text had ended: findings may be missing."), "warn"],
  consistency: [t("The text contradicts itself"), t("Two of its statements, or the view it names, do not agree."), "warn"],
};

/** A draft beside one of these is not offered for signing as if it were like any other; as in states.py. */
export const DOUBTS = new Set([
  "header_contradicts_pixels", "implausible_pixels", "chest_uncertain", "not_verified_chest", "derived_image",
  "for_processing", "orientation_uncertain", "out_of_scope", "cut_off", "consistency",
]);

export const flag = (code) => FLAGS[code] ?? [code.replaceAll("_", " "), "", "note"];

export const VIEWS = ["PA", "AP", "LL", "LATERAL"];

/** Where a study stands, and what comes next. */
export const STATES = {
  received: [t("Received"), t("The image is registered and waits to be read.")],
  ingesting: [t("Being read"), t("The image is being fetched, checked and stripped of its header.")],
  waiting: [t("Waiting for the rest"), t("An image is read; more of the study may still arrive.")],
  queued: [t("Waiting for the model"), t("The film is ready; its draft will be written next, urgent studies first.")],
  running: [t("Being written"), t("The model is writing the draft now.")],
  summarised: [t("Draft written"), ""],
  rejected: [t("Not summarised"), t("The study was turned away and will not be summarised.")],
  dead: [t("Failed"), t("Every attempt failed. An operator can start it again; the film itself is untouched.")],
  cancelled: [t("Cancelled"), t("A person stopped the work on this study, or its content was removed.")],
};

export const OPEN = ["received", "ingesting", "waiting", "queued", "running"];
export const UNREAD = ["rejected", "dead", "cancelled"];

export const REASONS = {
  not_dicom_or_image: t("The file is neither DICOM nor PNG nor JPEG."),
  empty: t("The file is empty."),
  truncated: t("The file is cut off: it is shorter than its own header says."),
  undecodable: t("The image data could not be decoded."),
  no_pixels: t("The DICOM file holds no image."),
  blank: t("There is no picture: all pixels are alike, or nothing but noise, as on an unexposed plate."),
  too_small: t("The image is too small to be read (shorter side below 224 pixels)."),
  multi_frame: t("The file holds more than one frame, such as a cine loop or a volume."),
  wrong_modality: t("It is not a projection radiograph."),
  wrong_body_part: t("It is a radiograph of another part of the body."),
  no_frontal_view: t("The study has no frontal view, only lateral or oblique ones."),
  burned_in_text: t("The header says that patient data is burned into the pixels."),
  too_large: t("The file or the image is above the size limit."),
  replaced: t("The file was overwritten in the bucket before it was read."),
  not_a_chest: t("The picture shows something else than a chest radiograph."),
};

/** The steps of a study's history that a reader may meet, in plain words; others are shown as they are. */
export function step(what) {
  return what.replaceAll("_", " ").replace(/^./, (first) => first.toUpperCase());
}

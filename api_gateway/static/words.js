/** The system's words in plain language, for people who read films and not manuals. */

export const NOTICE = "AI-generated draft, not a diagnosis";

export const LANES = { stat: "Stat", routine: "Routine", backlog: "Backlog" };

export const REVIEWS = { draft: "Awaits review", accepted: "Accepted", edited: "Corrected", rejected: "Rejected" };

/** An act on a review, as a heading, and as the end of a sentence. */
export const ACTS = { accepted: "Accepted", edited: "Corrected", rejected: "Rejected", draft: "Taken back", undone: "Undone" };
export const DID = {
  accepted: "accepted it",
  edited: "corrected it",
  rejected: "rejected it",
  draft: "took the review back",
  undone: "undid what was done last",
};

/** What a reader must know about the film. The last word is its tone: a warning or a note. */
export const FLAGS = {
  not_verified_chest: ["Not verified as a chest", "A bare picture: nothing in the file says that it shows a chest.", "warn"],
  burned_in_unchecked: ["Text in the picture unchecked", "Nothing in the file says that the pixels are free of patient data.", "warn"],
  body_part_unknown: ["Body part not stated", "The header does not say which part of the body it shows.", "warn"],
  view_unknown: ["View not stated", "The header does not say whether it is frontal or lateral.", "warn"],
  secondary_capture: ["Secondary capture", "A copy of an image, not the detector's own pixels.", "note"],
  sop_uid_reused: ["Instance UID reused", "Two different images carry the same SOPInstanceUID.", "warn"],
  synthetic: ["Synthetic", "A phantom made by a program, not a person.", "note"],
  supersedes_reviewed: ["Newer than a signed version", "An earlier version was reviewed; it stands below.", "warn"],
  header_contradicts_pixels: ["Header contradicts pixels", "The file's labels were wrong about its pixels; the pixels decided.", "warn"],
  implausible_pixels: ["Doubtful picture", "This does not look like a film that was exposed and decoded rightly.", "warn"],
  chest_uncertain: ["Perhaps no chest", "The picture may show something else than a chest.", "warn"],
  study_uid_shared: ["Study UID shared", "Another patient's images carry the same Study Instance UID; they are kept apart.", "warn"],
  derived_image: ["Derived image", "Computed from a film, such as a bone or soft-tissue image; the study has no other.", "warn"],
  for_processing: ["Raw detector image", "Not made for reading; the study has no other image.", "warn"],
  orientation_uncertain: ["Orientation uncertain", "The film may be turned or mirrored: check the side marker.", "warn"],
  out_of_scope: ["Outside the model's scope", "The model was not made for, or not measured on, films like this one.", "warn"],
  consistency: ["The text contradicts itself", "Two of its statements, or the view it names, do not agree.", "warn"],
};

/** A draft beside one of these is not offered for signing as if it were like any other; as in states.py. */
export const DOUBTS = new Set([
  "header_contradicts_pixels", "implausible_pixels", "chest_uncertain", "not_verified_chest", "derived_image",
  "for_processing", "orientation_uncertain", "out_of_scope", "consistency",
]);

export const flag = (code) => FLAGS[code] ?? [code.replaceAll("_", " "), "", "note"];

/** Where a study stands, and what comes next. */
export const STATES = {
  received: ["Received", "The image is registered and waits to be read."],
  ingesting: ["Being read", "The image is being fetched, checked and stripped of its header."],
  waiting: ["Waiting for the rest", "An image is read; more of the study may still arrive."],
  queued: ["Waiting for the model", "The film is ready; its draft will be written next, urgent studies first."],
  running: ["Being written", "The model is writing the draft now."],
  summarised: ["Draft written", ""],
  rejected: ["Not summarised", "The study was turned away and will not be summarised."],
  dead: ["Failed", "Every attempt failed. An operator can start it again; the film itself is untouched."],
  cancelled: ["Cancelled", "A person stopped the work on this study, or its content was removed."],
};

export const OPEN = ["received", "ingesting", "waiting", "queued", "running"];
export const UNREAD = ["rejected", "dead", "cancelled"];

export const REASONS = {
  not_dicom_or_image: "The file is neither DICOM nor PNG nor JPEG.",
  empty: "The file is empty.",
  truncated: "The file is cut off: it is shorter than its own header says.",
  undecodable: "The image data could not be decoded.",
  no_pixels: "The DICOM file holds no image.",
  blank: "There is no picture: all pixels are alike, or nothing but noise, as on an unexposed plate.",
  too_small: "The image is too small to be read (shorter side below 224 pixels).",
  multi_frame: "The file holds more than one frame, such as a cine loop or a volume.",
  wrong_modality: "It is not a projection radiograph.",
  wrong_body_part: "It is a radiograph of another part of the body.",
  no_frontal_view: "The study has no frontal view, only lateral or oblique ones.",
  burned_in_text: "The header says that patient data is burned into the pixels.",
  too_large: "The file or the image is above the size limit.",
  replaced: "The file was overwritten in the bucket before it was read.",
  not_a_chest: "The picture shows something else than a chest radiograph.",
};

/** The steps of a study's history that a reader may meet, in plain words; others are shown as they are. */
export function step(what) {
  return what.replaceAll("_", " ").replace(/^./, (first) => first.toUpperCase());
}

/**
 * Which patient's study this is, as far as its reader knows it already: the number they came with, or looked for. It stands on
 * the desk and in the list while the tab lives, in memory alone: a reload forgets it, and so does who signs out. Where the
 * installation keeps numbers, a reader may open those of the study on the desk; each opening stands in the audit.
 */

import * as api from "./api.js";
import { button, fill, h } from "./dom.js";
import { t } from "./language.js";
import { may } from "./session.js";

const KINDS = { accession: t("Accession"), patient: t("Patient"), study_uid: t("Study UID") };
const MOST = 500; // studies

const numbers = new Map(); // study id -> {kind, value}
const places = new Set(); // where they stand, as weak references
let opened = null; // {study, images} of the desk's study

/** The name of a kind of number. */
export const kindOf = (kind) => KINDS[kind];

/** A reader found these studies by a number. */
export function searchedAs(kind, value, ids) {
  for (const id of ids) {
    numbers.delete(id);
    numbers.set(id, { kind, value });
  }
  for (const id of [...numbers.keys()].slice(0, Math.max(0, numbers.size - MOST))) numbers.delete(id);
  write();
}

/** What a tab knows of numbers is its reader's alone. */
export function forget() {
  numbers.clear();
  opened = null;
  write();
}

/** The number by which this tab's reader found a study; empty where there is none, and filled once there is. */
export function searched(studyId) {
  const place = h("span", { class: "searched", "data-of": studyId });
  places.add(new WeakRef(place));
  put(place);
  return place;
}

function write() {
  for (const one of places) {
    const place = one.deref();
    if (place) put(place);
    else places.delete(one);
  }
}

function put(place) {
  const known = numbers.get(place.dataset.of);
  const words = known && { kind: kindOf(known.kind), value: known.value };
  place.title = known ? t("{kind} {value}, as you searched", words) : "";
  fill(place, known && t("{kind} {value}", words));
}

/** What identifies the study on the desk: the number searched for, and the numbers that its reader opens. */
export function identity(studyId) {
  if (opened?.study !== studyId) opened = null;
  const line = h("div", { class: "identity", role: "group", "aria-label": t("Whose study this is") });
  const known = numbers.get(studyId);
  const words = known && t("{kind} {value}, as you searched", { kind: kindOf(known.kind), value: known.value });
  const place = known && h("span", { class: "searched" }, words);
  const box = h("span", { class: "opened", role: "status" });
  if (opened) fill(box, ...opened.images);
  fill(line, place, may("numbers") && !opened && show(studyId, box), box);
  return line;
}

function show(studyId, box) {
  const act = button(t("Show numbers"), open, { kind: "quiet", title: t("Each opening of the numbers is written down with your name") });
  async function open() {
    act.disabled = true;
    try {
      const { images } = await api.numbers(studyId);
      opened = { study: studyId, images: lines(images) };
      fill(box, ...opened.images);
      act.remove();
    } catch (error) {
      fill(box, error.message);
      act.disabled = false;
    }
  }
  return act;
}

/** One line for each pair of numbers: the images of a study nearly always share theirs. */
function lines(images) {
  const said = images.filter((one) => one.readable).map((one) => sentence(one));
  if (images.some((one) => one.kept && !one.readable)) said.push(t("The numbers of an image do not open: tell an operator."));
  if (!said.length) said.push(t("No numbers were kept of this study."));
  return [...new Set(said)].map((line) => h("span", {}, line));
}

function sentence({ accession, accession_issuer: from, patient, patient_issuer: issuer }) {
  const parts = [
    accession && t("Accession {number}", { number: issued(accession, from) }),
    patient && t("Patient {number}", { number: issued(patient, issuer) }),
  ];
  return parts.filter((part) => part).join(" · ");
}

const issued = (number, issuer) => (issuer ? t("{number} ({issuer})", { number, issuer }) : number);

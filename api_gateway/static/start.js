/** The first module of every page: it learns who is there and speaks their language, before any other says a word. */

import * as api from "./api.js";
import { chosen, wear } from "./preferences.js";

const begun = api.resume().catch((error) => error);
const first = await begun;
await wear(chosen(first));
const { begin } = await import(`./${document.documentElement.dataset.page}.js`);
begin(first);

/** A 16-bit grey PNG (ISO/IEC 15948), read here because a canvas would round it to 8 bits. */

const SIGNATURE = [0x89504e47, 0x0d0a1a0a];
const [IHDR, IDAT] = [0x49484452, 0x49444154];
const GREY_16 = 0x10000000; // depth 16, colour type 0, deflated, filtered by row
const MOST_SIDE = 2048;

/** How each row was filtered, undone in place: two bytes a pixel, the row above decoded already. */
const FILTERS = [
  () => {},
  (row) => {
    for (let i = 2; i < row.length; i++) row[i] += row[i - 2];
  },
  (row, above) => {
    for (let i = 0; i < row.length; i++) row[i] += above[i];
  },
  (row, above) => {
    for (let i = 0; i < row.length; i++) row[i] += ((i < 2 ? 0 : row[i - 2]) + above[i]) >> 1;
  },
  (row, above) => {
    for (let i = 0; i < row.length; i++) row[i] += i < 2 ? above[i] : nearest(row[i - 2], above[i], above[i - 2]);
  },
];

/** Of left, above and upper left the one nearest to left + above - upper left (Paeth). */
function nearest(left, above, corner) {
  const toLeft = Math.abs(above - corner);
  const toAbove = Math.abs(left - corner);
  const toCorner = Math.abs(left + above - 2 * corner);
  if (toLeft <= toAbove && toLeft <= toCorner) return left;
  return toAbove <= toCorner ? above : corner;
}

/** The pixels, row by row: {grey: Uint16Array, width, height}; null for anything else than such a PNG. */
export async function deepGreysOf(blob) {
  const bytes = await blob.arrayBuffer();
  return read(new DataView(bytes)).catch(() => null);
}

async function read(view) {
  const parts = [...chunks(view)];
  const head = parts[0];
  if (SIGNATURE.some((word, place) => view.getUint32(4 * place) !== word) || head?.kind !== IHDR) throw new Error("no PNG");
  const [width, height] = [view.getUint32(head.from), view.getUint32(head.from + 4)];
  const sound = view.getUint32(head.from + 8) === GREY_16 && view.getUint8(head.from + 12) === 0;
  if (!sound || !width || !height || Math.max(width, height) > MOST_SIDE) throw new Error("another kind of PNG");
  const packed = parts.filter(({ kind }) => kind === IDAT).map(({ from, to }) => new Uint8Array(view.buffer, from, to - from));
  return { grey: unfiltered(await inflated(packed, height * (1 + 2 * width)), width, height), width, height };
}

function* chunks(view) {
  for (let at = 8; at + 12 <= view.byteLength; ) {
    const to = at + 8 + view.getUint32(at);
    if (to + 4 > view.byteLength) return;
    yield { kind: view.getUint32(at + 4), from: at + 8, to };
    at = to + 4;
  }
}

/** Exactly so many bytes, or an error: never more than were promised. */
async function inflated(packed, size) {
  const reader = new Blob(packed).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  const bytes = new Uint8Array(size);
  let filled = 0;
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    bytes.set(piece.value, filled); // a RangeError where it is longer
    filled += piece.value.length;
  }
  if (filled !== size) throw new Error("half a PNG");
  return bytes;
}

function unfiltered(bytes, width, height) {
  const grey = new Uint16Array(width * height);
  let above = new Uint8Array(2 * width);
  for (let y = 0, at = 0; y < height; y++, at += 1 + 2 * width) {
    const row = bytes.subarray(at + 1, at + 1 + 2 * width);
    FILTERS[bytes[at]](row, above);
    for (let x = 0; x < width; x++) grey[y * width + x] = (row[2 * x] << 8) | row[2 * x + 1];
    above = row;
  }
  return grey;
}

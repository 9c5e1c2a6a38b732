/** The grey values of a picture, looked up in a window (DICOM PS3.3, C.11.2.1.2) and drawn on a canvas. */

export const OPEN_WINDOW = { centre: 127.5, width: 255 };

/** Windows in greys of the 8-bit copy, 0 black and 255 white: helps to look, no measured densities. */
export const PRESETS = {
  default: OPEN_WINDOW,
  lung: { centre: 85, width: 150 },
  bone: { centre: 175, width: 160 },
  contrast: { centre: 127.5, width: 110 },
};

/** How far a window may go on the 8-bit copy. */
export const LIMITS = { centre: [0, 255], width: [8, 1024] };

/** One byte per pixel of a picture, as it came: {grey, width, height}. */
export async function greysOf(blob) {
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" }).catch(() => null);
  if (!bitmap) return null;
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);
  const grey = new Uint8Array(width * height);
  for (let i = 0; i < grey.length; i++) grey[i] = data[4 * i];
  return { grey, width, height };
}

/**
 * Draw them on a canvas of their size.
 * @param {{grey: Uint8Array|Uint16Array, width: number, height: number, from?: number, by?: number}} picture `from` is the
 *   grey of its code 0, in those of the 8-bit copy, and `by` what each further code adds
 */
export function drawGreys(canvas, { grey, width, height, from = 0, by = 1 }, { centre, width: wide }, inverted) {
  const table = new Uint32Array(2 ** (8 * grey.BYTES_PER_ELEMENT));
  for (let code = 0; code < table.length; code++) {
    const level = Math.round(Math.min(Math.max((from + by * code - centre) / wide + 0.5, 0), 1) * 255);
    const shown = inverted ? 255 - level : level;
    table[code] = ((255 << 24) | (shown << 16) | (shown << 8) | shown) >>> 0;
  }
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < pixels.length; i++) pixels[i] = table[grey[i]];
  canvas.getContext("2d").putImageData(image, 0, 0);
}

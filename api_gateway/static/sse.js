/** Server-sent events (WHATWG HTML, section 9.2.6) from a fetched body: EventSource cannot send our token. */

/**
 * The events of a stream, as they arrive; comments (pings) are left out, and so is an event that was cut off.
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<{name: string, data: any}>}
 */
export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      rest += value;
      // A CR at the very end may be the first half of a CR LF: it waits for the next piece.
      const whole = rest.endsWith("\r") ? rest.length - 1 : rest.length;
      const blocks = (rest.slice(0, whole).replaceAll(/\r\n?/g, "\n") + rest.slice(whole)).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const event = parsed(block);
        if (event) yield event;
      }
    }
  } finally {
    await reader.cancel();
  }
}

function parsed(block) {
  let name = "message";
  const data = [];
  for (const line of block.split("\n")) {
    const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line) ?? [];
    if (field === "event") name = value;
    else if (field === "data") data.push(value);
  }
  return data.length ? { name, data: JSON.parse(data.join("\n")) } : null;
}

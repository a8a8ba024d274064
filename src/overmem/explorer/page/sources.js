// Where examples come from: the page itself, or the server of `overmem view`. Both give {table, detail(row)}.

/** Examples embedded in the page: base64 of zlib of lines of JSON, one per example and the table last. */
async function embeddedSource(element) {
  const binary = atob(element.textContent.trim());
  const bytes = Uint8Array.from(binary, (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const lines = (await new Response(stream).text()).trimEnd().split("\n");
  return { table: JSON.parse(lines.pop()), detail: async (row) => JSON.parse(lines[row]) };
}

/** Examples of one run of a server; `table` is read again by `refreshed`, null where nothing has changed. */
async function servedSource(address) {
  let tag = "";
  const read = async () => {
    const answer = await fetch(`${address}/table`, { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store" });
    if (answer.status === 304) return null;
    if (!answer.ok) throw new Error((await answer.text()).slice(0, 300));
    tag = answer.headers.get("ETag") || "";
    return answer.json();
  };
  const source = { table: await read() };
  source.detail = async (row) => {
    const { table } = source;
    const where = new URLSearchParams({ split: table.splits[table.split[row]].name, id: table.id[row] });
    const answer = await fetch(`${address}/example?${where}`, { cache: "no-store" });
    if (!answer.ok) throw new Error((await answer.text()).slice(0, 300));
    return answer.json();
  };
  source.refreshed = async () => {
    const table = await read();
    if (table) source.table = table;
    return table;
  };
  return source;
}

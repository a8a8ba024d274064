"use strict";
// Every chart can be saved as PNG and as SVG, and its numbers as CSV: for white paper, with a legend, without variables.
globalThis.startSaving = ({ config, charts, saving, name }) => {
  const resolved = (value) => JSON.parse(JSON.stringify(value).replace(/var\(--([\w-]+)\)/g, (_, key) => saving.colours[key]));

  async function svgOf(spec, title) {
    const place = document.createElement("div");
    place.className = "saving";
    document.body.append(place);
    try {
      const drawn = resolved({ ...spec, width: saving.width, title: { text: title, anchor: "start", fontSize: 13 } });
      const theme = resolved({ ...config, ...saving.config });
      const { view, finalize } = await vegaEmbed(place, drawn, { config: theme, actions: false, renderer: "svg", ast: true });
      const svg = await view.toSVG();
      finalize();
      return svg;
    } finally {
      place.remove();
    }
  }

  function pngOf(svg, scale = 3) {
    return new Promise((done, fail) => {
      const image = new Image();
      image.onload = () => {
        const canvas = Object.assign(document.createElement("canvas"), { width: image.width * scale, height: image.height * scale });
        canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
        canvas.toBlob(done, "image/png");
      };
      image.onerror = () => fail(new Error("the drawing could not be read"));
      image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
    });
  }

  /** The numbers, a row per point. A text that a spreadsheet would run as a formula stays text. */
  function csvOf(spec) {
    const rows = (spec.usermeta?.rows ?? Object.keys(spec.datasets ?? {})).flatMap((table) => spec.datasets[table]);
    const columns = [...new Set(rows.flatMap(Object.keys))].filter((column) => column !== "text");
    const cell = (value) => {
      if (value === null || value === undefined) return "";
      const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
      return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    return [columns, ...rows.map((row) => columns.map((column) => row[column]))].map((row) => row.map(cell).join(",")).join("\n") + "\n";
  }

  function download(blob, file) {
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: file });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  return (place, key) => {
    const spec = charts[key];
    const title = (place.closest("figure, section")?.querySelector("h3.axis, h2")?.firstChild?.textContent || "").trim();
    const makers = {
      PNG: async () => pngOf(await svgOf(spec, title)),
      SVG: async () => new Blob([await svgOf(spec, title)], { type: "image/svg+xml" }),
      CSV: async () => new Blob([csvOf(spec)], { type: "text/csv" }),
    };
    const bar = Object.assign(document.createElement("p"), { className: "save" });
    bar.append("Save as ");
    for (const [kind, make] of Object.entries(makers)) {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: kind });
      button.setAttribute("aria-label", `Save this chart as ${kind}`);
      button.addEventListener("click", async () => {
        try {
          download(await make(), `${name}-${key}.${kind.toLowerCase()}`.replace(/[^\w.-]+/g, "_"));
        } catch (error) {
          button.textContent = `${kind}: ${error.message}`;
        }
      });
      bar.append(button);
    }
    place.before(bar);
  };
};

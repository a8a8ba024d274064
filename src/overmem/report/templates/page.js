"use strict";
(() => {
  const given = JSON.parse(document.getElementById("charts").textContent);
  const { config, charts, glossary } = given;
  const offerSaving = startSaving(given);
  const offerReading = startReading(given);
  const options = {
    config, actions: false, renderer: "svg", ast: true, hover: false,
    tooltip: { theme: "custom", offsetX: 14, offsetY: 14 },
  };
  const draw = (place) => {
    const section = place.closest("section").id;
    const spec = charts[`${section}-${place.dataset.chart}`];
    if (!spec || place.dataset.drawn) return;
    place.dataset.drawn = "yes";
    offerSaving(place, `${section}-${place.dataset.chart}`);
    offerReading(place, `${section}-${place.dataset.chart}`);
    vegaEmbed(place, spec, options).catch((error) => {
      place.textContent = `This chart could not be drawn: ${error.message}`;
      console.error(error);
    });
  };
  const drawIn = (root) => root.querySelectorAll(".chart").forEach((place) => {
    if (!place.closest("details:not([open]), [hidden]")) draw(place);
  });
  startGlosses(glossary, document.querySelectorAll("main section"));
  drawIn(document);
  document.querySelectorAll("details").forEach((fold) => fold.addEventListener("toggle", () => drawIn(fold)));
  const chooser = document.getElementById("chart-chooser");
  const choose = () => document.querySelectorAll("[data-choice]").forEach((figure) => {
    figure.hidden = figure.dataset.choice !== chooser.value;
    drawIn(figure);
  });
  const examples = document.getElementById("examples-data");
  if (examples) startEmbedded(document.getElementById("explorer"), examples);
  if (chooser) {
    chooser.addEventListener("change", choose);
    choose();
  }
})();
